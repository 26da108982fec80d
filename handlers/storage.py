"""Storage: files that an account keeps to attach them to drafts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from mimetypes import MimeTypes
from urllib.parse import quote

from bson import ObjectId

from handlers.answers import Stream
from handlers.call import Answer, Body, Call
from mail.encodings import from_base64, from_hex
from problems import InvalidInput, OverQuota, Problem, RequestTooLarge
from storage.accounts.documents import User
from storage.accounts.user_fields import require_active
from storage.base.paging import Paging
from storage.messages.documents import KeptFile
from storage.messages.files import MOST_FILES

LARGEST = 67_108_864
_OF_UPLOAD = {"quota": 1, "storageUsed": 1, "disabled": 1, "suspended": 1}
_TYPES = MimeTypes()
_ANY_TYPE = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"([a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+)(\s*;[\x20-\x7e]*)?", re.I)
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\"\\/]+")
_PASSIVE = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "text/plain", "application/pdf"}
)
_DECODERS = {"base64": from_base64, "hex": from_hex}


def get_files(call: Call, user: ObjectId, paging: Paging, query: str | None = None) -> Answer:
    """List the files of an account by name."""
    call.store.users.require(user)
    page, total = call.store.files.page(user, query, paging)
    return page.answer(map(_listed, page.rows), total=total, **({"query": query} if query else {}))


def _listed(file: KeptFile) -> Answer:
    optional = {"cid": file.get("metadata", {}).get("cid"), "md5": file.get("md5")}
    return {
        "id": file["_id"],
        "filename": file.get("filename") or "",
        "contentType": file.get("contentType") or _ANY_TYPE,
        **{name: value for name, value in optional.items() if value},
        "size": file["length"],
        "created": file["uploadDate"],
    }


def upload_file(call: Call, user: ObjectId, body: Body) -> Answer:
    """Keep a file, whose content is a field or comes piece by piece."""
    account = require_active(call.store.users.get(user, _OF_UPLOAD))
    if "raw" not in body and "content" not in body:
        raise InvalidInput({"content": '"content" is required'})
    room = _room(call, account)
    filename, content_type = _names(body, call.now)
    file_id = call.store.files.create(
        user, _content(body, room), filename=filename, content_type=content_type, cid=body.get("cid")
    )
    _keep_within(call, account, file_id)
    return {"success": True, "id": file_id}


def _room(call: Call, account: User) -> int:
    """Bytes that an account may still keep. Raises OverQuota where it has as many files as it may."""
    room, count = _left(call, account)
    if count >= MOST_FILES:
        raise OverQuota(f"An account keeps {MOST_FILES} files at most")
    return room


def _left(call: Call, account: User) -> tuple[int, int]:
    """The bytes left of an account's quota, which holds for messages and files together, and how many files it has.

    Files stay out of `storageUsed`, which WildDuck and a recalculation of the quota make of messages alone.
    """
    kept, count = call.store.files.usage(account["_id"])
    allowed = account.get("quota") or int(call.store.settings.get("const:max:storage"))
    return int(allowed - max(account.get("storageUsed", 0), 0) - kept), count


def _keep_within(call: Call, account: User, file_id: ObjectId) -> None:
    """Take a file back that is too much. Counted again with it, so that none of those that come at once slips past."""
    room, count = _left(call, account)
    if count > MOST_FILES or room < 0:
        call.store.files.delete(account["_id"], file_id)
        raise OverQuota


def _names(body: Body, now: datetime) -> tuple[str, str]:
    """File name and media type; each is made of the other where it is not given."""
    filename, content_type = body.get("filename"), body.get("contentType")
    if not filename:
        extension = _TYPES.guess_extension(content_type or "") or ".bin"
        return f"upload-{now:%Y-%m-%d}{extension}", content_type or _ANY_TYPE
    if not content_type:
        guessed = _TYPES.guess_type(filename)[0] or _ANY_TYPE
        content_type = guessed if "." in filename else "text/plain"
    return filename, content_type


def _content(body: Body, room: int) -> Iterator[bytes]:
    given = body["raw"] if "raw" in body else [body["content"].encode()]
    pieces = _bounded(given, LARGEST, RequestTooLarge(f"A file has {LARGEST} bytes at most"))
    if decode := _DECODERS.get(body.get("encoding", "")):
        pieces = _named_fault(decode(pieces))
    return _bounded(pieces, room, OverQuota())


def _named_fault(pieces: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except ValueError as error:
        raise InvalidInput({"content": f'"content" {error}'}) from error


def _bounded(pieces: Iterable[bytes], limit: int, problem: Problem) -> Iterator[bytes]:
    """The same pieces; raises `problem` with the first byte too many."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > limit:
            raise problem
        yield piece


def get_file(call: Call, user: ObjectId, file: ObjectId) -> Stream:
    """The content of a file."""
    call.store.users.require(user)
    found = call.store.files.get(user, file)
    content_type = _safe_type(found.get("contentType") or "")
    headers = {
        "Content-Length": str(found["length"]),
        "Content-Disposition": _disposition(found.get("filename") or str(file), content_type),
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Stream(call.store.files.pieces(found), content_type, headers)


def _safe_type(stored: str) -> str:
    """The stored type where it is one at all (RFC 9110 §8.3.1): it came from outside and goes into a header."""
    return stored if _MEDIA_TYPE.fullmatch(stored) else _ANY_TYPE


def _disposition(name: str, content_type: str) -> str:
    """Shown in place only where a browser does not act on what is in it (RFC 6266)."""
    kind = "inline" if content_type.partition(";")[0].strip().lower() in _PASSIVE else "attachment"
    name = _UNSAFE_NAME.sub("_", name)
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    encoded = quote(name.encode("utf-8", "replace"), safe="")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def delete_file(call: Call, user: ObjectId, file: ObjectId) -> Answer:
    """Remove a file."""
    call.store.users.require(user)
    call.store.files.delete(user, file)
    return {"success": True}

"""Reading a request's body and query, bounded in size, before anything looks at what they say.

A body that is needed whole is on disk until all of it has come, and only a few large ones are in memory at a time. So
clients that send slowly, or many at once, cost a worker no memory; what is too much waits on disk.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from functools import cache
from tempfile import SpooledTemporaryFile
from threading import BoundedSemaphore
from urllib.parse import parse_qsl

import orjson
from flask import Request
from werkzeug.datastructures import MultiDict

from problems import InvalidContent, UnsupportedMediaType
from server.contract.formats import is_deeper
from server.contract.operations import Operation
from server.http.request import Fields
from server.http.uploads import Upload, read_form, read_pieces

LARGE = 1024 * 1024
AT_ONCE = 2
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json", re.I)
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_LIST_END = re.compile(r"\[\d{0,2}\]$")
_MOST_PARAMETERS = 1000
_DEEPEST = 100


def read_query(request: Request) -> Fields:
    """The query's fields; repeated ones, `a[]` and `a[0]` become lists, `or[from]` is another spelling of `or.from`."""
    return _fields(request.args)


def _fields(given: MultiDict[str, str]) -> Fields:
    grouped: dict[str, list[str]] = {}
    lists: set[str] = set()
    for name, values in list(given.lists())[:_MOST_PARAMETERS]:
        stem = _LIST_END.sub("", name)
        plain = _BRACKETS.sub(r".\1", stem)
        grouped.setdefault(plain, []).extend(values)
        if stem != name or len(grouped[plain]) > 1:
            lists.add(plain)
    return {name: values if name in lists else values[0] for name, values in grouped.items()}


def read_body(
    request: Request, operation: Operation, held: ExitStack
) -> tuple[Fields, bytes | Upload | None]:
    """The body's fields, or its bytes where the operation takes them as they are; `held` until it is dealt with.

    Raises Problem: InvalidContent, RequestTooLarge or UnsupportedMediaType.
    """
    if request.method == "GET":
        return {}, None
    kind = request.mimetype
    if operation.streams and _has_body(request) and not _is_fields(kind):
        fields, upload = _streamed(request, operation)
        if upload:
            held.callback(upload.close)
        return fields, upload
    data = _data(request, operation.largest_body, held)
    if not data or data.isspace():
        return {}, data if operation.takes_raw and kind.startswith("message/") else None
    if _JSON.fullmatch(kind) or (not kind and not operation.takes_raw):
        return _object(data), None
    if kind == _FORM:
        return _form(data), None
    if operation.takes_raw and kind != _MULTIPART:
        return {}, data
    raise UnsupportedMediaType(f"A body of type {kind or 'unknown'} is not taken here, send application/json")


def _is_fields(kind: str) -> bool:
    return kind == _FORM or bool(_JSON.fullmatch(kind))


def _streamed(request: Request, operation: Operation) -> tuple[Fields, Upload | None]:
    """What is neither JSON nor a short form is read while the operation works on it."""
    if request.mimetype == _MULTIPART and operation.form_content:
        return read_form(request, operation.largest_body, operation.form_content)
    return {}, Upload(read_pieces(request, operation.largest_body))


def _data(request: Request, limit: int, held: ExitStack) -> bytes:
    if not _has_body(request):
        return b""
    is_plain = request.headers.get("Content-Encoding", "identity").lower() == "identity"
    if is_plain and 0 < (request.content_length or 0) <= min(limit, LARGE):
        return _read(request)
    return read_whole(request, limit, held)


def _has_body(request: Request) -> bool:
    return bool(request.content_length) or "chunked" in request.headers.get("Transfer-Encoding", "").lower()


def _read(request: Request) -> bytes:
    length = request.content_length or 0
    data = request.environ["wsgi.input"].read(length)
    if len(data) < length:
        raise InvalidContent("The request body ended early")
    return bytes(data)


def _object(data: bytes) -> Fields:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidContent(f"Invalid JSON: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidContent("Invalid JSON: the body must be an object")
    if is_deeper(value, _DEEPEST):
        raise InvalidContent(f"Invalid JSON: nested deeper than {_DEEPEST} levels")
    return value


def _form(data: bytes) -> Fields:
    """Cut before it is parsed: a few megabytes of `&` would stall the worker."""
    first = b"&".join(data.split(b"&", _MOST_PARAMETERS)[:_MOST_PARAMETERS])
    return _fields(MultiDict(parse_qsl(first.decode("utf-8", "replace"), keep_blank_values=True)))


def read_whole(request: Request, limit: int, held: ExitStack) -> bytes:
    """The body, inflated. A large one keeps one of the places of the worker until `held` is closed.

    Raises Problem as `read_pieces` does.
    """
    with SpooledTemporaryFile(LARGE) as spool:
        for piece in read_pieces(request, limit):
            spool.write(piece)
        size = spool.tell()
        if size > LARGE:
            held.enter_context(_places())
        spool.seek(0)
        return spool.read(size)


@cache
def _places() -> BoundedSemaphore:
    """Made at the first use: by then a worker has its own kind of threads."""
    return BoundedSemaphore(AT_ONCE)

"""Pictures that HTML carries in `data:` URLs (RFC 2397) → attachments with a content id."""

from __future__ import annotations

import re
import uuid
from base64 import b64decode
from urllib.parse import unquote_to_bytes

from mail.compose import Attachment

_LARGEST_SCANNED = 12 * 1024 * 1024
# Possessive, so that no markup makes the search go back over it.
_IMAGE_TAG = re.compile(r"<img\b(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+>", re.I)
_SOURCE = re.compile(r"(\ssrc\s*+=\s*+)(?:\"(data:[^\"]*+)\"|'(data:[^']*+)'|(data:[^\s\"'>]++))", re.I)
_FILE_NAME = re.compile(r"\sdata-filename\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)')", re.I)
_MEDIA_TYPE = re.compile(r"[\w.+\-]+/[\w.+\-]+")


def extract_data_images(html: str, domain: str) -> tuple[str, list[Attachment]]:
    """HTML whose pictures in `data:` URLs have become attachments with a content id at `domain`."""
    attachments: list[Attachment] = []
    if len(html) > _LARGEST_SCANNED or "data:" not in html.lower():
        return html, attachments
    return _IMAGE_TAG.sub(lambda match: _rewritten(match[0], domain, attachments), html), attachments


def _rewritten(tag: str, domain: str, attachments: list[Attachment]) -> str:
    source = _SOURCE.search(tag)
    picture = _picture(source[2] or source[3] or source[4]) if source else None
    if not source or not picture:
        return tag
    kind, content = picture
    name = _FILE_NAME.search(tag)
    cid = f"{uuid.uuid4()}@{domain}"
    attachments.append(Attachment(content, (name[1] or name[2] or "") if name else "", kind, cid))
    linked = f'{tag[: source.start()]}{source[1]}"cid:{cid}"{tag[source.end() :]}'
    return _FILE_NAME.sub("", linked)


def _picture(url: str) -> tuple[str, bytes] | None:
    """Media type and content of a `data:` URL, None where it holds none."""
    head, comma, data = url.partition(",")
    kind, *parameters = head.partition(":")[2].lower().split(";")
    content = unquote_to_bytes(data)
    if parameters and parameters[-1].strip() == "base64":
        text = b"".join(content.split()).rstrip(b"=")
        try:
            content = b64decode(text + b"=" * (-len(text) % 4), validate=True)
        except ValueError:
            return None
    if not comma or not content:
        return None
    return (kind if _MEDIA_TYPE.fullmatch(kind) else "text/plain"), content

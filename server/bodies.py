"""Reading a request's body and query, bounded in size, before anything looks at what they say."""

from __future__ import annotations

import re
import zlib
from typing import Any
from urllib.parse import parse_qsl

import orjson
from flask import Request
from werkzeug.datastructures import MultiDict

from problems import Problem
from server.contract import Operation

Fields = dict[str, Any]
_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json", re.I)
_FORM = "application/x-www-form-urlencoded"
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_LIST_END = re.compile(r"\[\d{0,2}\]$")
_MOST_PARAMETERS = 1000


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


def read_body(request: Request, operation: Operation) -> tuple[Fields, bytes | None]:
    """The body's fields, or its bytes where the operation takes them as they are.

    Raises Problem: InvalidContent, RequestTooLarge or UnsupportedMediaType.
    """
    if request.method == "GET" or not _has_body(request):
        return {}, None
    data = _decoded(request, _read(request, operation.largest_body), operation.largest_body)
    if not data.strip():
        return {}, None
    kind = request.mimetype
    if _JSON.fullmatch(kind) or (not kind and not operation.takes_raw):
        return _object(data), None
    if kind == _FORM:
        return _form(data), None
    if operation.takes_raw:
        return {}, data
    raise Problem(
        "UnsupportedMediaType", f"A body of type {kind or 'unknown'} is not taken here, send application/json"
    )


def _has_body(request: Request) -> bool:
    return bool(request.content_length) or "chunked" in request.headers.get("Transfer-Encoding", "").lower()


def _read(request: Request, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    data = request.environ["wsgi.input"].read(request.content_length or limit + 1)
    if len(data) > limit:
        raise _too_large(limit)
    return bytes(data)


def _too_large(limit: int) -> Problem:
    return Problem(
        "RequestTooLarge", f"The request body is larger than the {limit} bytes that this operation takes"
    )


def _decoded(request: Request, data: bytes, limit: int) -> bytes:
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return data
    if encoding != "gzip":
        raise Problem("UnsupportedMediaType")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        inflated = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise Problem("InvalidContent", f"Invalid gzip: {error}") from error
    if len(inflated) > limit:
        raise _too_large(limit)
    if not inflater.eof or inflater.unused_data:
        raise Problem("InvalidContent", "Invalid gzip: the body is not one whole stream")
    return inflated


def _object(data: bytes) -> Fields:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Problem("InvalidContent", f"Invalid JSON: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Problem("InvalidContent", "Invalid JSON: the body must be an object")
    return value


def _form(data: bytes) -> Fields:
    """Cut before it is parsed: a few megabytes of `&` would stall the worker."""
    first = b"&".join(data.split(b"&", _MOST_PARAMETERS)[:_MOST_PARAMETERS])
    return _fields(MultiDict(parse_qsl(first.decode("utf-8", "replace"), keep_blank_values=True)))

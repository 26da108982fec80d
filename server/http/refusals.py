"""The answer to what is no HTTP request: gunicorn's own is a page of HTML, ours has the shape of all other failures."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from gunicorn.http import errors as http

from problems import InternalFault, InvalidContent, RequestTooLarge, UriTooLong
from server.http.json import dumps

_CODES: Final = {
    414: UriTooLong.code,
    431: RequestTooLarge.code,
    501: "NotImplemented",
}
_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (http.LimitRequestLine, 414),
    (http.LimitRequestHeaders, 431),
    (http.ExpectationFailed, 417),
    (http.UnsupportedTransferCoding, 501),
    (http.ConfigurationProblem, 500),
    (http.InvalidResponseHeader, 500),
    (http.InvalidResponseHeaderName, 500),
    (http.ParseException, 400),
)


def status_of(error: BaseException) -> int:
    """The status (RFC 9110 §15) for an error that gunicorn met; 500 for what is no fault of the client."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def refusal(status: int, detail: str) -> bytes:
    """A whole HTTP answer, after which the connection closes; `detail` is left out of a 500."""
    code = InternalFault.code if status == 500 else _CODES.get(status, InvalidContent.code)
    phrase = HTTPStatus(status).phrase
    text = InternalFault.default_text if status == 500 else f"{phrase}: {detail}"
    body = dumps({"error": text, "message": text, "code": code})
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body

"""The one place where a problem becomes an HTTP answer, also the answer to what is no HTTP request.

gunicorn's own answer to that is a page of HTML; ours has the shape of all other failures.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import structlog
from flask import Flask, Response, request
from gunicorn.http import errors as gunicorn
from werkzeug import exceptions as werkzeug

from problems import (
    ConfigFault,
    DatabaseFault,
    InternalFault,
    InvalidContent,
    MethodNotAllowed,
    PathNotFound,
    Problem,
    RequestTooLarge,
    ServerFault,
    UriTooLong,
)
from security.secrets import SecretUnreadable
from server.http.json import dumps
from server.http.request import current_request, request_id
from storage.base.database import DatabaseError

log = structlog.get_logger()

_CODES: Final = {
    414: UriTooLong.code,
    431: RequestTooLarge.code,
    501: "NotImplemented",
}
_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (gunicorn.LimitRequestLine, 414),
    (gunicorn.LimitRequestHeaders, 431),
    (gunicorn.ExpectationFailed, 417),
    (gunicorn.UnsupportedTransferCoding, 501),
    (gunicorn.ConfigurationProblem, 500),
    (gunicorn.InvalidResponseHeader, 500),
    (gunicorn.InvalidResponseHeaderName, 500),
    (gunicorn.ParseException, 400),
)


def problem_response(problem: Problem) -> Response:
    """The answer to a caller's own problem, in both error shapes that clients know."""
    body = {"error": problem.text, "message": problem.text, "code": problem.code, **problem.extra}
    return Response(dumps(body), problem.status, mimetype="application/json")


def _refusal(problem: Problem) -> Response:
    """The same, noted for the metrics, which count answers by their code."""
    current_request().problem = problem.code
    return problem_response(problem)


def _fault_response(error: Exception) -> Response:
    """The answer to a fault of ours: logged in full, answered without any inner detail."""
    log.error(
        "request failed", id=request_id(), method=request.method, route=str(request.url_rule), exc_info=error
    )
    kind = _fault(error)
    return _refusal(kind(f"{kind.default_text}. Request id: {request_id()}", requestId=request_id()))


def _fault(error: Exception) -> type[ServerFault]:
    match error:
        case DatabaseError():
            return DatabaseFault
        case SecretUnreadable():
            return ConfigFault
    return InternalFault


def _http_response(error: werkzeug.HTTPException) -> Response:
    """The answer to what the router or the HTTP library refused."""
    match error:
        case werkzeug.NotFound():
            return _refusal(PathNotFound(f"{request.path} does not exist"))
        case werkzeug.MethodNotAllowed():
            response = _refusal(MethodNotAllowed(f"{request.method} is not allowed"))
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
            return response
        case _ if (error.code or 500) < 500:
            response = _refusal(InvalidContent(error.description or "Bad request"))
            response.status_code = error.code or 400
            return response
    return _fault_response(error)


def install(app: Flask) -> None:
    """Answer everything that goes wrong in `app` in the standard shape."""

    def respond(error: Exception) -> Response:
        if isinstance(error, Problem):
            return _refusal(error)
        return _http_response(error) if isinstance(error, werkzeug.HTTPException) else _fault_response(error)

    app.register_error_handler(Exception, respond)


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

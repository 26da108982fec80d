"""The one place where a problem becomes an HTTP answer."""

from __future__ import annotations

import structlog
from flask import Flask, Response, request
from pymongo.errors import PyMongoError
from werkzeug import exceptions as http

from problems import (
    ConfigFault,
    DatabaseFault,
    InternalFault,
    InvalidContent,
    MethodNotAllowed,
    PathNotFound,
    Problem,
    ServerFault,
)
from security.secrets import SecretUnreadable
from server.http.context import current_request, request_id
from server.http.json import dumps

log = structlog.get_logger()


def problem_response(problem: Problem) -> Response:
    """The answer to a caller's own problem, in both error shapes that clients know."""
    body = {"error": problem.text, "message": problem.text, "code": problem.code, **problem.extra}
    return Response(dumps(body), problem.status, mimetype="application/json")


def _refusal(problem: Problem) -> Response:
    """The same, noted for who counts answers by their code."""
    current_request().problem = problem.code
    return problem_response(problem)


def _fault_response(error: Exception) -> Response:
    """The answer to a fault of ours: logged in full, told without any inner detail."""
    log.error(
        "request failed", id=request_id(), method=request.method, route=str(request.url_rule), exc_info=error
    )
    kind = _fault(error)
    return _refusal(kind(f"{kind.default_text}. Request id: {request_id()}", requestId=request_id()))


def _fault(error: Exception) -> type[ServerFault]:
    match error:
        case PyMongoError():
            return DatabaseFault
        case SecretUnreadable():
            return ConfigFault
    return InternalFault


def _http_response(error: http.HTTPException) -> Response:
    """The answer to what the router or the HTTP library refused."""
    match error:
        case http.NotFound():
            return _refusal(PathNotFound(f"{request.path} does not exist"))
        case http.MethodNotAllowed():
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

    def answer(error: Exception) -> Response:
        if isinstance(error, Problem):
            return _refusal(error)
        return _http_response(error) if isinstance(error, http.HTTPException) else _fault_response(error)

    app.register_error_handler(Exception, answer)

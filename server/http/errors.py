"""The one place where a problem becomes an HTTP answer."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from flask import Flask, Response, request
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from problems import TEXTS, Problem
from security.secrets import SecretUnreadable
from server.http.context import current_request, request_id
from server.http.json import dumps

STATUS: Mapping[str, int] = {
    "AccountFound": 400,
    "AccountNotFound": 404,
    "AddressExistsError": 400,
    "AddressNotFound": 404,
    "AliasChain": 400,
    "AliasExists": 400,
    "AliasNotFound": 404,
    "AspNotFound": 404,
    "AttachmentNotFound": 404,
    "AuditNotFoundError": 404,
    "AuthFailed": 403,
    "CertNotFound": 404,
    "ChangeNotAllowed": 400,
    "ConfirmationRequired": 403,
    "CustomDisabled": 400,
    "CustomEnabled": 400,
    "DeleteInProgress": 400,
    "DisallowedMailboxMethod": 400,
    "DkimNotFound": 404,
    "DomainNotFound": 404,
    "ELOOP": 400,
    "ENORECIPIENTS": 400,
    "EmptyMessage": 400,
    "EncryptionFailed": 400,
    "EventNotFound": 404,
    "FileNotFound": 404,
    "FilterNotFound": 404,
    "HashError": 400,
    "InputValidationError": 400,
    "InsecurePasswordError": 403,
    "InternalConfigError": 500,
    "InternalDatabaseError": 500,
    "InternalError": 500,
    "InvalidAuthScope": 403,
    "InvalidContent": 400,
    "InvalidProfileScope": 400,
    "InvalidSetupCode": 400,
    "InvalidToken": 403,
    "InvalidTotpNonce": 403,
    "MailboxExistsError": 400,
    "MessageNotDraft": 400,
    "MessageNotFound": 404,
    "MessageTooLarge": 413,
    "MethodNotAllowed": 405,
    "MissingPrivileges": 403,
    "NoSuchMailbox": 404,
    "NoSuchQueueEntry": 404,
    "NoUpdates": 400,
    "NotPermitted": 400,
    "OverQuotaError": 400,
    "RateLimitedError": 403,
    "RequestTooLarge": 413,
    "ResourceNotFound": 404,
    "SettingNotFound": 404,
    "TempPasswordNotYetValid": 403,
    "TooMany": 403,
    "TooManyStreams": 429,
    "TotpDisabled": 400,
    "TotpEnabled": 400,
    "UnsupportedMediaType": 415,
    "UriTooLong": 414,
    "UserDisabled": 403,
    "UserExistsError": 400,
    "UserNotFound": 404,
    "WebhookNotFound": 404,
    "WildcardNotPermitted": 400,
}

# Clients know these under a name that has another status elsewhere.
_PUBLISHED: Mapping[str, str] = {
    "InvalidProfileScope": "InvalidAuthScope",
    "InvalidSetupCode": "InvalidToken",
}

log = structlog.get_logger()


def problem_response(problem: Problem) -> Response:
    """The answer to a caller's own problem, in both error shapes that clients know."""
    code = _PUBLISHED.get(problem.code, problem.code)
    body = {"error": problem.text, "message": problem.text, "code": code, **problem.extra}
    return Response(dumps(body), STATUS[problem.code], mimetype="application/json")


def _refusal(problem: Problem) -> Response:
    """The same, noted for who counts answers by their code."""
    current_request().problem = problem.code
    return problem_response(problem)


def _fault_response(error: Exception) -> Response:
    """The answer to a fault of ours: logged in full, told without any inner detail."""
    log.error(
        "request failed", id=request_id(), method=request.method, route=str(request.url_rule), exc_info=error
    )
    code = _code(error)
    text = f"{TEXTS[code]}. Request id: {request_id()}"
    return _refusal(Problem(code, text, requestId=request_id()))


def _code(error: Exception) -> str:
    match error:
        case PyMongoError():
            return "InternalDatabaseError"
        case SecretUnreadable():
            return "InternalConfigError"
    return "InternalError"


def _http_response(error: HTTPException) -> Response:
    """The answer to what the router or the HTTP library refused."""
    match error:
        case NotFound():
            return _refusal(Problem("ResourceNotFound", f"{request.path} does not exist"))
        case MethodNotAllowed():
            response = _refusal(Problem("MethodNotAllowed", f"{request.method} is not allowed"))
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
            return response
        case _ if (error.code or 500) < 500:
            response = _refusal(Problem("InvalidContent", error.description or "Bad request"))
            response.status_code = error.code or 400
            return response
    return _fault_response(error)


def install(app: Flask) -> None:
    """Answer everything that goes wrong in `app` in the standard shape."""

    def answer(error: Exception) -> Response:
        if isinstance(error, Problem):
            return _refusal(error)
        return _http_response(error) if isinstance(error, HTTPException) else _fault_response(error)

    app.register_error_handler(Exception, answer)

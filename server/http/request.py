"""The request being answered: its id, its fields, and what its log line needs."""

from __future__ import annotations

import re
import secrets
import time
from contextvars import ContextVar
from functools import cached_property
from typing import Any, TypeAlias, cast

from flask import Request, has_request_context
from flask.globals import request_ctx

from accounts.context import Caller

Fields: TypeAlias = dict[str, Any]
"""The fields of a request by their name, wherever they came from."""

_GIVEN = re.compile(r"[A-Za-z0-9._\-]{8,64}")

_latest: ContextVar[ApiRequest | None] = ContextVar("latest_request", default=None)


class ApiRequest(Request):
    """A request, and what else its log line says of it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _latest.set(self)
        self.started = time.perf_counter()
        self.operation_id: str | None = None
        self.caller: Caller | None = None
        self.fields: Fields | None = None
        self.problem = ""
        self.database_seconds = 0.0

    @cached_property
    def id(self) -> str:
        """The caller's `X-Request-Id` where it is a plain word of 8 to 64 characters, else one of our own."""
        given = self.environ.get("HTTP_X_REQUEST_ID", "")
        return given if _GIVEN.fullmatch(given) else secrets.token_hex(8)

    def header(self, variable: str) -> str:
        """A header by its CGI variable, such as `HTTP_ORIGIN` (RFC 3875 §4.1.18); empty when it was not sent.

        Asked of every request: `headers.get` builds an exception for each header that is not there.
        """
        return cast(str, self.environ.get(variable, ""))


latest_request = _latest.get
"""Return the request that this greenlet or thread took last, None if it took none.

For what is called with every database command: four times as fast as asking Flask.
"""


def current_request() -> ApiRequest:
    """The request being answered, itself and no proxy of it."""
    return cast(ApiRequest, request_ctx.request)


def request_id() -> str:
    """The id of the request being answered, in its headers, its log lines and its error body; `-` outside of one."""
    return current_request().id if has_request_context() else "-"

"""The id of the request being answered, in its headers, its log lines and its error body."""

from __future__ import annotations

import re
import secrets

from flask import g, has_request_context, request

_GIVEN = re.compile(r"[A-Za-z0-9._\-]{8,64}")


def request_id() -> str:
    """The caller's `X-Request-Id` where it is a plain word of 8 to 64 characters, else one of our own."""
    if not has_request_context():
        return "-"
    if "request_id" not in g:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _GIVEN.fullmatch(given) else secrets.token_hex(8)
    return str(g.request_id)

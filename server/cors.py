"""Which web pages may call the API (Fetch standard, CORS protocol)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Flask, Response, request

_VARY = "origin,access-control-request-method,access-control-request-headers"
_EXPOSED = "api-version,content-length,content-md5,content-type,date,request-id,response-time"
_TAKEN = (
    "X-Access-Token,Authorization,accept,accept-version,content-type,request-id,origin,x-api-version,"
    "x-request-id,x-requested-with"
)


class Cors:
    """Answers preflights of allowed origins and marks answers as readable by them."""

    def __init__(self, origins: Sequence[str]) -> None:
        patterns = (re.escape(origin).replace(r"\*", ".*") for origin in origins)
        self._allowed = re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)", re.I)

    def install(self, app: Flask) -> None:
        """Hook into `app`: preflights before routing, headers on every answer."""
        app.before_request(self._preflight)
        app.after_request(self._mark)

    def _origin(self) -> str | None:
        origin = request.headers.get("Origin")
        return origin if origin and self._allowed.fullmatch(origin) else None

    def _preflight(self) -> Response | None:
        method = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or not method or not self._origin():
            return None
        headers = {
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": f"{method},OPTIONS",
            "Access-Control-Allow-Headers": _TAKEN,
        }
        return Response(status=204, headers=headers)

    def _mark(self, response: Response) -> Response:
        response.headers["Vary"] = _VARY
        if origin := self._origin():
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response

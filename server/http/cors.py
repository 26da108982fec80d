"""Which web pages may call the API (Fetch standard, CORS protocol)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from flask import Response

from problems import MissingPrivileges
from server.http.request import ApiRequest

_VARY = "origin,access-control-request-method,access-control-request-headers"
_EXPOSED = "api-version,content-length,content-md5,content-type,date,request-id,response-time"
_TAKEN = (
    "X-Access-Token,Authorization,accept,accept-version,content-type,request-id,origin,x-api-version,"
    "x-request-id,x-requested-with"
)

_LOOPBACK = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?", re.I)
_STRANGER = (
    "This API is open to everyone on this machine, so pages of other sites may not call it. "
    "Name their origin in MALLARD_CORS_ORIGINS, or set MALLARD_ACCESS_CONTROL=on"
)


def _one_of(origins: Sequence[str]) -> re.Pattern[str]:
    patterns = (re.escape(origin).replace(r"\*", ".*") for origin in origins)
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)", re.I)


def _is_navigation(request: ApiRequest) -> bool:
    """Return whether somebody follows a link to here: the page that holds the link cannot read the answer."""
    return request.method == "GET" and request.header("HTTP_SEC_FETCH_MODE") == "navigate"


class Cors:
    """Answers preflights of allowed origins and marks answers as readable by them."""

    def __init__(self, origins: Sequence[str], *, is_open: bool) -> None:
        self._allowed = _one_of(origins)
        self._named = _one_of([origin for origin in origins if origin != "*"])
        self._is_open = is_open

    @property
    def arrivals(self) -> list[Callable[[ApiRequest], Response | None]]:
        """What looks at a request before it is routed."""
        return [self._preflight, self._refuse_strangers] if self._is_open else [self._preflight]

    def _origin(self, request: ApiRequest) -> str | None:
        origin = request.header("HTTP_ORIGIN")
        return origin if origin and self._allowed.fullmatch(origin) else None

    def _preflight(self, request: ApiRequest) -> Response | None:
        if request.method != "OPTIONS":
            return None
        method = request.header("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if not method or not self._origin(request):
            return None
        headers = {
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": f"{method},OPTIONS",
            "Access-Control-Allow-Headers": _TAKEN,
        }
        return Response(status=204, headers=headers)

    def _refuse_strangers(self, request: ApiRequest) -> None:
        """Where nobody needs a token, a page of any web site could read all mail through its visitor's browser.

        Browsers say where a request comes from (Fetch Metadata, `Sec-Fetch-Site`). Pages of this machine and named
        origins may call.
        """
        if request.header("HTTP_SEC_FETCH_SITE") != "cross-site" or _is_navigation(request):
            return
        origin = request.header("HTTP_ORIGIN")
        if not (self._named.fullmatch(origin) or _LOOPBACK.fullmatch(origin)):
            raise MissingPrivileges(_STRANGER)

    def mark(self, request: ApiRequest, response: Response) -> None:
        """Say in headers whether the browser's page may read the answer."""
        response.headers.add("Vary", _VARY)
        if origin := self._origin(request):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED

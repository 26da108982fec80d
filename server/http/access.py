"""Who calls, and what they may do: decided here alone, from what the contract says about the operation."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from accounts.context import Caller
from handlers.call import Answer
from problems import InvalidToken, MissingPrivileges
from security.roles import filter_attributes, permits
from server.contract.operations import Access
from server.http.request import ApiRequest, Fields
from server.settings.table import Settings
from storage.store import Store

_TOKEN = re.compile(r"[0-9a-fA-F]{40}")
_BEARER = re.compile(r"^bearer\s+", re.I)
_ROOT = Caller()


def token_of(request: ApiRequest) -> str:
    """The access token of a request, empty without one: query, then own header, then Authorization."""
    query: str = request.args.get("accessToken", "")
    given = query or request.header("HTTP_X_ACCESS_TOKEN") or request.header("HTTP_AUTHORIZATION")
    return _BEARER.sub("", given).strip()


class Gate:
    """Turns a token into a caller."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store

    def identify(self, token: str) -> Caller:
        """The caller with this token. Raises InvalidToken.

        A token that is sent must be right even where none is needed.
        """
        settings = self._settings
        if settings.token and hmac.compare_digest(settings.token.encode(), token.encode()):
            return _ROOT
        if not token and not settings.needs_token:
            return _ROOT
        record = (
            self._store.tokens.find(token, secret=settings.secret, lifetime=settings.token_lifetime)
            if _TOKEN.fullmatch(token)
            else None
        )
        if record is None:
            raise InvalidToken
        return Caller(record.user, record.role, token=record.session, record=record.record)


class Permission:
    """What one caller may do with one operation: the attributes they may send and see."""

    __slots__ = ("_attributes", "_filters", "own_only")

    def __init__(self, attributes: Any, filters: frozenset[str], own_only: ObjectId | None) -> None:
        self._attributes = attributes
        self._filters = filters
        self.own_only = own_only

    def filter_input(self, fields: Fields) -> Fields:
        """The fields that the role may send; others are dropped without a word, as clients rely on."""
        return filter_attributes(self._attributes, fields) if "request" in self._filters else fields

    def filter_answer(self, answer: Answer) -> Answer:
        """The fields that the role may see."""
        if "results" in self._filters:
            rows = [filter_attributes(self._attributes, row) for row in answer["results"]]
            return {**answer, "results": rows}
        return filter_attributes(self._attributes, answer) if "response" in self._filters else answer


def permit(access: Access, caller: Caller, fields: Mapping[str, Any]) -> Permission:
    """The caller's permission for an operation with this input. Raises MissingPrivileges."""
    if access.resource is None or access.action is None:
        return Permission(None, frozenset(), None)
    own = access.possession == "own" and caller.user_id is not None and fields.get("user") == caller.user_id
    attributes = permits(caller.role, access.resource, access.action, own=own)
    own_only = None
    if attributes is None and access.possession == "listing" and caller.user_id:
        attributes = permits(caller.role, access.resource, access.action, own=True)
        own_only = caller.user_id
    if attributes is None:
        raise MissingPrivileges
    return Permission(attributes, access.filters, own_only)

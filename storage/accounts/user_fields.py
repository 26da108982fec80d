"""How accounts stand on disk, and what they may be listed by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from bson import ObjectId

from problems import TooManyItems, UserDisabled
from security.normalize import sorted_tags, view
from storage.accounts.documents import OwnUserFields, User
from storage.addresses.targets import stored_target
from storage.base.database import Condition
from storage.base.listing import common_conditions, literal

_JSON_FIELDS = ("metaData", "internalData")


def listing_filter(fields: Mapping[str, Any], own_only: ObjectId | None) -> Condition:
    """The condition of a listing by `query`, `forward`, `tags` and `requiredTags`."""
    conditions: list[Condition] = [{"_id": own_only}] if own_only else []
    if query := fields.get("query"):
        parts = {"address": literal(query), "unameview": literal(view(query))}
        conditions.append({"$or": [{name: {"$regex": text}} for name, text in parts.items()]})
    conditions += common_conditions(fields)
    return {"$and": conditions} if conditions else {}


def stored_fields(fields: Mapping[str, Any]) -> User:
    """A request's fields as they stand on disk: tags beside their view, data as JSON, targets as documents."""
    stored = dict(fields)
    for name in _JSON_FIELDS:
        if isinstance(stored.get(name), dict):
            stored[name] = json.dumps(stored[name], separators=(",", ":"), ensure_ascii=False)
    if "tags" in stored:
        stored["tags"], stored["tagsview"] = sorted_tags(stored["tags"])
    if "targets" in stored:
        stored["targets"] = [stored_target(value) for value in stored["targets"]]
    if "mtaRelay" in stored:
        stored["mtaRelay"] = stored_target(stored["mtaRelay"]) if stored["mtaRelay"] else False
    return cast("User", stored)


def initial(now: datetime) -> User:
    """What an account starts with."""
    return {
        "name": None, "language": None, "address": "", "password": "", "authVersion": 1,
        "enabled2fa": [], "seed": "", "pendingSeed": "", "pendingSeedChanged": False, "webauthn": {"credentials": []},
        "require2faEnabled": False, "storageUsed": 0, "quota": 0, "recipients": 0, "forwards": 0, "filters": 0,
        "imapMaxUpload": 0, "imapMaxDownload": 0, "pop3MaxDownload": 0, "pop3MaxMessages": 0, "imapMaxConnections": 0,
        "receivedMax": 0, "targets": [],
        "autoreply": False, "uploadSentMessages": False, "pubKey": "", "smimeCerts": [], "smimeCipher": "AES-CBC",
        "smimeKeyTransport": "PKCS#1 v1.5", "encryptMessages": False, "encryptForwarded": False, "spamLevel": 50,
        "retention": 0, "disabledScopes": [], "metaData": "", "internalData": "", "featureFlags": {},
        "lastLogin": {"time": False, "authEvent": False, "ip": False},
        "activated": True, "disabled": False, "suspended": False, "created": now,
    }  # fmt: skip


def free_slot(slots: Sequence[int | None], limit: int, *, too_many: str) -> int:
    """Return the lowest number that none of an account's rows has. Raises TooManyItems where there are `limit`.

    Slots are unique: of several callers that see the last free one, one gets it and the others look again.
    """
    if len(slots) >= limit:
        raise TooManyItems(too_many, allowed=limit)
    return next(number for number in range(limit) if number not in slots)


def is_closed(user: User) -> bool:
    """Return whether an account is disabled or suspended."""
    return bool(user.get("disabled") or user.get("suspended"))


def require_active(user: User) -> User:
    """The account itself. Raises UserDisabled: one that is closed sends and stores nothing."""
    if is_closed(user):
        raise UserDisabled
    return user


def own_fields(user: User) -> OwnUserFields:
    """What Mallard keeps of an account beside WildDuck's fields."""
    return user.get("mallard") or {}

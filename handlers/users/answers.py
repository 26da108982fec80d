"""An account as the API shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accounts.keys import pgp_info, smime_info
from accounts.passwords import TEMPORARY_LASTS
from accounts.second_factors import enabled_methods
from handlers.answers import target_values
from handlers.call import Answer, Call
from mail.custom_data import custom_data, named_data
from storage.accounts.documents import User, UserSummary
from storage.base.counters import COUNTER_OF

_DEFAULT_OF = {
    "recipients": ("recipients", "const:max:recipients"),
    "forwards": ("forwards", "const:max:forwards"),
    "received": ("receivedMax", 60),
    "imapUpload": ("imapMaxUpload", "const:max:imap:upload"),
    "imapDownload": ("imapMaxDownload", "const:max:imap:download"),
    "pop3Download": ("pop3MaxDownload", "const:max:pop3:download"),
}
_POP3_MESSAGES, _IMAP_CONNECTIONS = 250, 15
_SETTINGS = [key for _, key in _DEFAULT_OF.values() if isinstance(key, str)] + [
    "const:max:storage",
    "const:max:filters",
]


def account(call: Call, user: UserSummary) -> Answer:
    """getUser's answer of a user's summary."""
    answer: Answer = {
        "success": True,
        "id": user["_id"],
        "username": user["username"],
        "name": user.get("name") or "",
        "address": user.get("address") or "",
        "language": user.get("language"),
        "retention": user.get("retention") or False,
        "enabled2fa": enabled_methods(user),
        "autoreply": bool(user.get("autoreply")),
        **_keys(call, user),
        "encryptMessages": bool(user.get("encryptMessages")),
        "encryptForwarded": bool(user.get("encryptForwarded")),
        "spamLevel": 50 if user.get("spamLevel") is None else user["spamLevel"],
        "uploadSentMessages": bool(user.get("uploadSentMessages")),
        "metaData": custom_data(user.get("metaData")),
        "internalData": custom_data(user.get("internalData")),
        "targets": target_values(user),
        "limits": limits(call, user),
        "tags": user.get("tags") or [],
        "fromWhitelist": user.get("fromWhitelist") or [],
        "disabledScopes": user.get("disabledScopes") or [],
        "featureFlags": user.get("featureFlags") or {},
        "hasPasswordSet": user["hasPassword"],
        **{name: bool(user.get(name)) for name in ("activated", "disabled", "suspended")},
        "passwordPwned": bool(user.get("passwordPwned")),
        "require2faEnabled": bool(user.get("require2faEnabled")),
        "requirePasswordChange": _has_temporary_password(call, user),
    }
    if relay := user.get("mtaRelay"):
        answer["mtaRelay"] = relay["value"]
    if user.get("lastPwnedCheck"):
        answer["lastPwnedCheck"] = user["lastPwnedCheck"]
    return answer


def _has_temporary_password(call: Call, user: UserSummary) -> bool:
    created = user.get("tempCreated")
    return bool(created and call.now - created < TEMPORARY_LASTS)


def _keys(call: Call, user: User) -> Answer:
    key_info = pgp_info(call, user)
    return {
        "pubKey": user.get("pubKey") or "",
        **({"keyInfo": key_info} if key_info is not None else {}),
        "smimeCerts": user.get("smimeCerts") or [],
        "smimeCipher": user.get("smimeCipher") or "AES-CBC",
        "smimeKeyTransport": user.get("smimeKeyTransport") or "PKCS#1 v1.5",
        "smimeCertInfo": smime_info(call, user),
    }


def limits(call: Call, user: UserSummary) -> Answer:
    """Each limit: what is allowed, what is used, and the seconds until its window ends (`False` if none runs)."""
    settings = call.store.settings.get_many(_SETTINGS)
    counters = {row["_id"].rpartition(":")[0]: row for row in user["counters"]}
    answer: Answer = {
        "quota": {
            "allowed": user.get("quota") or settings["const:max:storage"],
            "used": max(user.get("storageUsed") or 0, 0),
        }
    }
    for name, (field, default) in _DEFAULT_OF.items():
        allowed = user.get(field) or (settings[default] if isinstance(default, str) else default)
        answer[name] = {"allowed": allowed, **_used(call, counters.get(COUNTER_OF[field]))}
    answer["filters"] = {
        "allowed": user.get("filters") or settings["const:max:filters"],
        "used": user["filterCount"],
    }
    answer["pop3MaxMessages"] = {"allowed": user.get("pop3MaxMessages") or _POP3_MESSAGES}
    answer["imapMaxConnections"] = {"allowed": user.get("imapMaxConnections") or _IMAP_CONNECTIONS, "used": 0}
    return answer


def _used(call: Call, counter: Mapping[str, Any] | None) -> Answer:
    if not counter:
        return {"used": 0, "ttl": False}
    return {"used": counter["value"], "ttl": max(int((counter["expires"] - call.now).total_seconds()), 0)}


def listed(call: Call, user: UserSummary, data: Iterable[str]) -> Answer:
    """A row of getUsers; `data` are the fields of the caller's own, shown where they are set."""
    row: Answer = {
        "id": user["_id"],
        "username": user["username"],
        "name": user.get("name") or "",
        "address": user.get("address") or "",
        "tags": user.get("tags") or [],
        "targets": target_values(user),
        "enabled2fa": enabled_methods(user),
        **{
            name: bool(user.get(name))
            for name in (
                "autoreply",
                "encryptMessages",
                "encryptForwarded",
                "activated",
                "disabled",
                "suspended",
            )
        },
        "quota": {
            "allowed": user.get("quota") or call.store.settings.get("const:max:storage"),
            "used": max(user.get("storageUsed") or 0, 0),
        },
        "hasPasswordSet": user["hasPassword"],
    }
    return {**row, **named_data(user, data)}


def deleted_account(entry: Mapping[str, Any], free: Sequence[Mapping[str, Any]]) -> Answer:
    """What is left of a deleted account, and which of its addresses are `free` to come back."""
    return {
        "success": True,
        "user": entry["_id"],
        "username": entry["username"],
        "storageUsed": max(entry.get("storageUsed") or 0, 0),
        "tags": entry.get("tags") or [],
        "deleted": entry["deleteInfo"]["deletedAt"],
        "recoverableAddresses": [row["address"] for row in free],
    }

"""What a request says about an account, checked beyond what the contract can say."""

from __future__ import annotations

from typing import Any

from accounts import passwords
from accounts.keys import key_facts
from accounts.sign_up import SignUp, checked_names, first_address
from handlers.call import Body, Call
from problems import InvalidInput
from security.normalize import sender_pattern

_NOT_STORED = frozenset(
    {
        "username", "password", "hashedPassword", "allowUnsafe", "address", "emptyAddress", "requirePasswordChange",
        "addTagsToAddress", "mailboxes", "existingPassword", "disable2fa", "protocol", "sess", "ip",
    }
)  # fmt: skip


def new_account(call: Call, body: Body) -> SignUp:
    """What a new account starts with. Raises Problem: InvalidInput, UnusableHash, InsecurePassword."""
    names = checked_names(body.get("mailboxes") or {}, body.get("language"))
    empty = body.get("emptyAddress")
    address = "" if empty else first_address(call, body["username"], body.get("address"))
    fields = stored_input(body)
    if fields.get("pubKey") and fields.get("smimeCerts"):
        raise InvalidInput({"smimeCerts": "An account has a PGP key or S/MIME certificates, not both"})
    return SignUp(
        username=body["username"],
        address=address,
        fields=fields,
        keys=key_facts(fields),
        password=password_hash(call, body),
        is_temporary=bool(body.get("requirePasswordChange")),
        tag_address=bool(body.get("addTagsToAddress")),
        mailbox_names=names,
    )


def password_hash(call: Call, body: Body) -> str:
    """The hash to store; empty for no password. Raises Problem: UnusableHash, InsecurePassword."""
    return passwords.password_hash(
        call,
        body.get("password") or "",
        is_hashed=bool(body.get("hashedPassword")),
        allow_breached=bool(body.get("allowUnsafe", True)),
    )


def stored_input(body: Body) -> dict[str, Any]:
    """The fields of a request that are stored as they come."""
    fields = {name: value for name, value in body.items() if name not in _NOT_STORED}
    if "fromWhitelist" in fields:
        fields["fromWhitelist"] = _whitelist(fields["fromWhitelist"])
    if "disabledScopes" in fields:
        fields["disabledScopes"] = sorted(set(fields["disabledScopes"]))
    return fields


def _whitelist(entries: list[str]) -> list[str]:
    """Sender patterns, normalized."""
    return list(dict.fromkeys(map(sender_pattern, entries)))

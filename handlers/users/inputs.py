"""What a request says about an account, checked beyond what the contract can say."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import Any

from handlers.authentication_limits import begin_anew, limited, password_limit
from handlers.call import Call
from problems import AuthFailed, InsecurePassword, InvalidInput, MailboxProtected, UnusableHash
from security.keys import KeyRefused, certificate_info, mark, pgp_key_info
from security.normalise import domain_of, is_plain, normalise_address
from security.passwords import UnknownHash, check_hash, hash_password, verify_password
from storage.accounts.documents import User
from storage.base.database import Document
from storage.mailboxes.names import mailbox_names
from storage.mailboxes.paths import checked_path

NO_SMIME = {"smimeCerts": [], "smimeCipher": "AES-CBC", "smimeKeyTransport": "PKCS#1 v1.5"}

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def first_address(call: Call, body: Document) -> str:
    """The given address, else the one that the user name makes; empty where none is wanted. Raises InvalidInput."""
    if body.get("emptyAddress"):
        return ""
    given = body.get("address")
    if given and "*" in given:
        raise InvalidInput({"address": '"address" cannot contain *'})
    address = normalise_address(given or _derived(call, body["username"]), without_label=True)
    if not is_plain(address):
        text = (
            '"address" must be a valid email'
            if given
            else '"username" makes no address, so "address" is required'
        )
        raise InvalidInput({"address": text})
    if target := call.store.addresses.alias_targets([domain_of(address)]):
        domain = next(iter(target.values()))
        raise InvalidInput({"address": f"The domain is an alias, use the address at {domain}"})
    return address


def _derived(call: Call, username: str) -> str:
    """The user name itself where a host stands behind its `@`, else what stands before that at our own domain."""
    local, _, host = username.partition("@")
    if _HOST_NAME.fullmatch(host):
        return username
    return f"{local}@{call.rules.email_domain or socket.gethostname()}"


def password_hash(call: Call, body: Document) -> str:
    """The hash to store; empty for no password. Raises Problem: UnusableHash, InsecurePassword."""
    password = body.get("password") or ""
    if not password:
        return ""
    if body.get("hashedPassword"):
        try:
            check_hash(password)
        except UnknownHash as error:
            raise UnusableHash from error
        return str(password)
    _refuse_pwned(call, body, password)
    return str(call.offload(hash_password, password, call.rules.password_scheme))


def check_existing_password(call: Call, user: User, body: Document) -> None:
    """A given one must be right, and counts as a guess: a stolen session is not to find out what the password is.

    Raises Problem: AuthFailed, RateLimited, UnusableHash where what is stored is no hash.
    """
    given, stored = body.get("existingPassword"), user.get("password")
    if not given or not stored:
        return
    with limited(call, password_limit(call, user["_id"])):
        if not call.offload(_matches, given, stored):
            call.log_event(
                user["_id"], "password change", result="fail", protocol=body.get("protocol", "API")
            )
            raise AuthFailed
    begin_anew(call, user["_id"])


def _matches(password: str, stored: str) -> bool:
    try:
        return verify_password(password, stored)
    except UnknownHash as error:
        raise UnusableHash from error


def _refuse_pwned(call: Call, body: Document, password: str) -> None:
    """Only where asked for; a service that does not answer stops nobody."""
    if body.get("allowUnsafe", True):
        return
    try:
        pwned = call.rules.is_pwned(password)
    except OSError:
        return
    if pwned:
        raise InsecurePassword


def checked_names(names: Mapping[str, str], language: str | None) -> dict[str, str]:
    """The paths of the special-use mailboxes that have one of their own.

    Raises InvalidInput where one is too long, is INBOX, or is that of another one, given or in the language.
    """
    paths = {use: _checked_path(use, path) for use, path in names.items() if path}
    taken = ["INBOX", *mailbox_names(language, paths).values()]
    for use, path in reversed(paths.items()):
        if taken.count(path) > 1:
            raise InvalidInput({f"mailboxes,{use}": f"Duplicate mailbox name: {path}"})
    return paths


def _checked_path(use: str, path: str) -> str:
    try:
        return checked_path(path)
    except MailboxProtected as problem:
        raise InvalidInput({f"mailboxes,{use}": problem.text}) from problem


def _whitelist(entries: list[str]) -> list[str]:
    """Sender patterns, normalised."""
    return list(dict.fromkeys(normalise_address(e) if "@" in e else e.lower() for e in entries))


def checked_keys(fields: Document) -> Document:
    """Fields about keys that follow from those given: what is known of a key is stored beside it.

    Of PGP and S/MIME only one is kept. Raises InvalidInput.
    """
    key, certificates = fields.get("pubKey"), fields.get("smimeCerts")
    try:
        if key:
            return {**NO_SMIME, "mallard.keyInfo": pgp_key_info(key), "mallard.keyOf": mark(key)}
        if certificates:
            info = [certificate_info(pem, number) for number, pem in enumerate(certificates, 1)]
            known = {"mallard.smimeCertInfo": info, "mallard.certsOf": mark(*certificates)}
            return {"pubKey": "", **known}
    except KeyRefused as error:
        raise InvalidInput({"pubKey" if key else "smimeCerts": str(error)}) from error
    return {}


def stored_input(body: Document, *, leave_out: frozenset[str]) -> dict[str, Any]:
    """The fields of a request that are stored as they come."""
    fields = {name: value for name, value in body.items() if name not in leave_out}
    if "fromWhitelist" in fields:
        fields["fromWhitelist"] = _whitelist(fields["fromWhitelist"])
    if "disabledScopes" in fields:
        fields["disabledScopes"] = sorted(set(fields["disabledScopes"]))
    return fields

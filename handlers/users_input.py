"""What a request says about an account, checked beyond what the contract can say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers.call import Call
from problems import InvalidInput, Problem
from security.keys import KeyRefused, certificate_info, mark, pgp_key_info
from security.normalise import normalise_address
from security.passwords import UnknownHash, check_hash, hash_password, verify_password
from storage.database import Document
from storage.mailboxes import normalise_path

NO_SMIME = {"smimeCerts": [], "smimeCipher": "AES-CBC", "smimeKeyTransport": "PKCS#1 v1.5"}


def password_hash(call: Call, body: Document) -> str:
    """The hash to store; empty for no password. Raises Problem: HashError, InsecurePasswordError."""
    password = body.get("password") or ""
    if not password:
        return ""
    if body.get("hashedPassword"):
        try:
            check_hash(password)
        except UnknownHash as error:
            raise Problem("HashError") from error
        return str(password)
    _refuse_pwned(call, body, password)
    return str(call.offload(hash_password, password, call.password_scheme))


def password_matches(password: str, stored: str) -> bool:
    """Whether the password is the one that was hashed. Raises Problem HashError."""
    try:
        return verify_password(password, stored)
    except UnknownHash as error:
        raise Problem("HashError") from error


def _refuse_pwned(call: Call, body: Document, password: str) -> None:
    """Only where asked for; a service that does not answer stops nobody."""
    if body.get("allowUnsafe", True):
        return
    try:
        pwned = call.rules.is_pwned(password)
    except OSError:
        return
    if pwned:
        raise Problem("InsecurePasswordError")


def checked_names(names: Mapping[str, str]) -> dict[str, str]:
    """The paths of the special-use mailboxes. Raises InvalidInput where two are the same or one is INBOX."""
    paths = {use: normalise_path(path) for use, path in names.items() if path}
    taken = {"INBOX"}
    for use, path in paths.items():
        if path in taken:
            raise InvalidInput({f"mailboxes,{use}": f"Duplicate mailbox name: {path}"})
        taken.add(path)
    return paths


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

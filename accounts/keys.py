"""The encryption keys of an account, PGP or S/MIME, and what is known of them.

What is known of a key is stored beside it, with a mark of the key: a key that WildDuck stored is looked at on its
first read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts.context import Context
from problems import InvalidInput
from security.keys import KeyRefused, certificate_info, mark, pgp_key_info
from storage.accounts.documents import OwnUserFields, User
from storage.accounts.user_changes import KeyFacts
from storage.accounts.user_fields import own_fields

NO_SMIME = {"smimeCerts": [], "smimeCipher": "AES-CBC", "smimeKeyTransport": "PKCS#1 v1.5"}


def key_facts(fields: Mapping[str, Any]) -> KeyFacts:
    """What follows from the keys that are given: of PGP and S/MIME only one is kept. Raises InvalidInput."""
    key, certificates = fields.get("pubKey"), fields.get("smimeCerts")
    try:
        if key:
            return KeyFacts(NO_SMIME, _of_key(key, pgp_key_info(key)))
        if certificates:
            return KeyFacts({"pubKey": ""}, _of_certificates(certificates, _infos(certificates)))
    except KeyRefused as error:
        raise InvalidInput({"pubKey" if key else "smimeCerts": str(error)}) from error
    return KeyFacts()


def pgp_info(context: Context, account: User) -> dict[str, str] | bool | None:
    """What is known of the PGP key: False without one, None for one that cannot be used."""
    key = account.get("pubKey")
    if not key:
        return False
    known = own_fields(account)
    if known.get("keyOf") == mark(key):
        return known["keyInfo"] or None
    try:
        info = pgp_key_info(key)
    except KeyRefused:
        info = None
    context.store.users.remember_keys(account["_id"], {"pubKey": key}, _of_key(key, info))
    return info


def smime_info(context: Context, account: User) -> list[dict[str, str]]:
    """What is known of the S/MIME certificates; nothing where one of them cannot be used."""
    certificates = account.get("smimeCerts")
    if not certificates:
        return []
    known = own_fields(account)
    if known.get("certsOf") == mark(*certificates):
        return list(known["smimeCertInfo"])
    try:
        infos = _infos(certificates)
    except KeyRefused:
        infos = []
    facts = _of_certificates(certificates, infos)
    context.store.users.remember_keys(account["_id"], {"smimeCerts": certificates}, facts)
    return infos


def _infos(certificates: list[str]) -> list[dict[str, str]]:
    return [certificate_info(pem, number) for number, pem in enumerate(certificates, 1)]


def _of_key(key: str, info: dict[str, str] | None) -> OwnUserFields:
    return OwnUserFields(keyInfo=info, keyOf=mark(key))


def _of_certificates(certificates: list[str], infos: list[dict[str, str]]) -> OwnUserFields:
    return OwnUserFields(smimeCertInfo=infos, certsOf=mark(*certificates))

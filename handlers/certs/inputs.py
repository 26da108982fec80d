"""Checks of a certificate that is given, and the fields that are stored of it."""

from __future__ import annotations

import structlog

from handlers.call import Answer, Body, Call
from problems import InvalidInput
from security.certificates import (
    MOST_CERTIFICATES,
    Chain,
    Key,
    check_pair,
    covers,
    read_chain,
    read_key,
    strangers,
)
from security.pem import UnusableKey
from storage.keys.certs import Halves

log = structlog.get_logger()


def changed_fields(call: Call, servername: str, body: Body) -> Answer:
    """What to store, a field to remove being None. Raises InvalidInput that names the field."""
    _require_both(body)
    stored = call.store.certs.halves(servername)
    key = _read_key(call, body.get("privateKey"))
    chain = _read_chain(call, "cert", body.get("cert"))
    authorities = [_read_authority(call, at, text) for at, text in enumerate(body.get("ca") or ())]
    _check(call, stored, key, chain, authorities)
    fields: dict[str, object] = {}
    if "description" in body:
        fields["description"] = body["description"] or None
    if key:
        fields |= {
            "privateKey": call.offload(call.store.certs.keys.encrypt, key.pem),
            "fingerprint": key.fingerprint,
            "fp": None,
        }
    if chain:
        _warn(call, servername, chain)
        fields |= {"cert": chain.pem, "expires": chain.expires, "altNames": chain.names or [servername]}
    elif not stored.cert:
        fields["altNames"] = [servername]
    if "ca" in body:
        fields["ca"] = [part.pem for part in authorities]
    elif chain and not _still_fits(call, chain, stored, acme=body["acme"]):
        fields["ca"] = None
    return fields


def _require_both(body: Body) -> None:
    missing = [name for name in ("privateKey", "cert") if not body.get(name)]
    if missing and not body["acme"]:
        raise InvalidInput({name: f'"{name}" is required' for name in missing})


def _read_key(call: Call, text: str | None) -> Key | None:
    if not text:
        return None
    try:
        return call.offload(read_key, text)
    except UnusableKey as error:
        raise InvalidInput({"privateKey": f'"privateKey" {error}'}) from error


def _read_chain(call: Call, name: str, text: str | None) -> Chain | None:
    return _read(call, name, text) if text else None


def _read_authority(call: Call, at: int, text: str) -> Chain:
    return _read(call, f"ca,{at}", text)


def _read(call: Call, name: str, text: str) -> Chain:
    try:
        return call.offload(read_chain, text)
    except UnusableKey as error:
        raise InvalidInput({name: f'"{name}" {error}'}) from error


def _check(
    call: Call, stored: Halves, key: Key | None, chain: Chain | None, authorities: list[Chain]
) -> None:
    """A half that is given alone must fit to the other one that is stored."""
    if key and not chain and stored.cert:
        _check_pair(key, _read(call, "cert", stored.cert), "privateKey")
    elif chain and not key and stored.key:
        _check_pair(_stored_key(call, stored), chain, "cert")
    elif key and chain:
        _check_pair(key, chain, "cert")
    whole = chain or (_read(call, "cert", stored.cert) if stored.cert and authorities else None)
    if whole:
        _check_chain(call, whole, authorities)


def _check_pair(key: Key, chain: Chain, field: str) -> None:
    try:
        check_pair(key, chain)
    except UnusableKey as error:
        text = str(error) if field == "cert" else "is not the key of the certificate that is stored"
        raise InvalidInput({field: f'"{field}" {text}'}) from error


def _stored_key(call: Call, stored: Halves) -> Key:
    text = call.offload(call.store.certs.keys.decrypt, stored.key)
    try:
        return call.offload(read_key, text)
    except UnusableKey as error:
        raise InvalidInput({"privateKey": f'"privateKey" is required, the stored one {error}'}) from error


def _check_chain(call: Call, chain: Chain, authorities: list[Chain]) -> None:
    if sum(len(part.certificates) for part in authorities) > MOST_CERTIFICATES:
        raise InvalidInput({"ca": f'"ca" has more than {MOST_CERTIFICATES} certificates'})
    found = call.offload(strangers, chain, authorities)
    names = ["cert" if at < 0 else f"ca,{at}" for at in found]
    if names:
        raise InvalidInput(
            {name: f'"{name}" has a certificate that has issued none of the others' for name in names}
        )


def _still_fits(call: Call, chain: Chain, stored: Halves, *, acme: bool) -> bool:
    """Return whether the stored certificates of the authority belong to a new chain, too.

    A program for ACME keeps them apart.
    """
    if not (acme and stored.ca):
        return False
    try:
        return not call.offload(strangers, chain, [read_chain(text) for text in stored.ca])
    except UnusableKey:
        return False


def _warn(call: Call, servername: str, chain: Chain) -> None:
    if chain.expires <= call.now:
        log.warning("the certificate has expired", servername=servername, expired=chain.expires)
    if chain.names and not covers(chain.names, servername):
        log.warning("the certificate is for other names", servername=servername, names=chain.names[:10])

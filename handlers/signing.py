"""The key that configuration profiles are signed with."""

from __future__ import annotations

import structlog

from handlers.call import Call
from security.pem import UnusableKey
from security.profile import Signer, load_signer, make_signer, to_pem
from storage.base.database import Document

_PURPOSE = "profile"

log = structlog.get_logger()


def profile_signer(call: Call) -> Signer:
    """The one of the settings; else one of our own making, kept in the database for all processes."""
    if call.rules.profile.signer:
        return call.rules.profile.signer
    row = call.store.signing_keys.find(_PURPOSE)
    signer = _load(call, row) if row else None
    if signer and signer.certificate.not_valid_after_utc > call.now:
        return signer
    return _make(call, instead_of=row)


def _make(call: Call, instead_of: Document | None) -> Signer:
    """A new one; where another process was faster, that one's."""
    signer: Signer = call.offload(make_signer, call.rules.profile.organization, call.now)
    key, certificate = call.offload(to_pem, signer, _password(call))
    row = call.store.signing_keys.put(_PURPOSE, key, certificate, instead_of)
    return signer if row["certificate"] == certificate else _read(call, row)


def _read(call: Call, row: Document) -> Signer:
    """Raises UnusableKey. Decrypting takes a while, so that a stolen key is not soon open."""
    signer: Signer = call.offload(load_signer, row["key"], row["certificate"], _password(call))
    return signer


def _load(call: Call, row: Document) -> Signer | None:
    """None where the key was encrypted with a secret that is not the present one; a new one takes its place."""
    try:
        return _read(call, row)
    except UnusableKey as error:
        log.warning("the own key of profiles cannot be used, a new one is made", reason=str(error))
        return None


def _password(call: Call) -> bytes:
    return call.rules.secret.encode()

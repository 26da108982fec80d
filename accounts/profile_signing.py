"""The key that configuration profiles are signed with."""

from __future__ import annotations

import structlog

from accounts.context import Context
from problems import summary
from security.pem import UnusableKey
from security.profile import Signer, load_signer, make_signer, to_pem
from storage.keys.documents import OwnKey

_PURPOSE = "profile"

log = structlog.get_logger()


def profile_signer(context: Context) -> Signer:
    """The key of the settings; without one, a key of our own, kept in the database for all processes."""
    if context.rules.profile.signer:
        return context.rules.profile.signer
    row = context.store.signing_keys.find(_PURPOSE)
    signer = _load(context, row) if row else None
    if signer and signer.certificate.not_valid_after_utc > context.now:
        return signer
    return _make(context, instead_of=row)


def _make(context: Context, instead_of: OwnKey | None) -> Signer:
    """A new key; where another process was faster, its key."""
    signer = context.offload(make_signer, context.rules.profile.organization, context.now)
    key, certificate = context.offload(to_pem, signer, _password(context))
    row = context.store.signing_keys.put(_PURPOSE, key, certificate, instead_of)
    return signer if row["certificate"] == certificate else _read(context, row)


def _read(context: Context, row: OwnKey) -> Signer:
    """Raises UnusableKey. Decrypting takes a while, so that a stolen key is not soon open."""
    return context.offload(load_signer, row["key"], row["certificate"], _password(context))


def _load(context: Context, row: OwnKey) -> Signer | None:
    """None where the key was encrypted with a secret that is not the present one; a new one takes its place."""
    try:
        return _read(context, row)
    except UnusableKey as error:
        log.warning("the key of profiles cannot be used, a new one is made", reason=summary(error))
        return None


def _password(context: Context) -> bytes:
    return context.rules.secret.encode()

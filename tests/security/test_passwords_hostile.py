"""Hashes and passwords made to break the verifier."""

from __future__ import annotations

import pytest

from security.passwords import UnknownHash, check_hash, verify_password

_SALT, _KEY = "AAECAwQFBgcICQoLDA0ODw", "dyN7iiF9/XdplhfjiTgX+fohW/+IGEnzwAcVTaC0eI0"


@pytest.mark.parametrize(
    "costs", ["m==5,t=1,p=1", "m=1024,t=,p=1", "m=1024,m=1024,p=1", "mtp=1", "t=1,p=1,m=1024,t=1"]
)
def test_malformed_argon2_costs_are_refused_and_no_crash(costs: str) -> None:
    with pytest.raises(UnknownHash):
        check_hash(f"$argon2id$v=19${costs}${_SALT}${_KEY}")


@pytest.mark.parametrize(("salt", "key"), [("A", _KEY), (_SALT, "A")])
def test_pbkdf2_that_could_never_verify_is_not_imported(salt: str, key: str) -> None:
    with pytest.raises(UnknownHash):
        check_hash(f"$pbkdf2-sha256$i=1000${salt}${key}")


@pytest.mark.parametrize(
    "stored", ["saTQTB/hE/rKc", "$1$saltsalt$NuzA7WTAelpl95xgBGWN60", "$5$rounds=1500$saltstring$" + "a" * 43]
)
def test_a_nul_in_a_password_is_a_wrong_password(stored: str) -> None:
    assert not verify_password("correct\0horse", stored)

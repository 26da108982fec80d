"""Secrets at rest: the forms that WildDuck reads and writes, wrong keys, tampering, and a key that is changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.secrets import KeyRing, Opened, SecretUnreadable

KEY, SEED = "a secret cat", "IZEFIWRTORVUS22QJ5FDCVBXMJXUCZDB"
PRESENT = (
    "$wd01$aes-256-gcm$ff80962f08518bd07802d60dc1b40405$101112131415161718191a1b$000102030405060708090a0b0c0d0e0f"
    "$ba668642ca7a7418715a59e667c2e0b03cd841324ddcd0963eaafd7c49e94fdb"
)
# openssl enc -aes-192-cbc -md md5 -nosalt -pass 'pass:a secret cat', and the same with -aes-256-cbc
OLD_192 = "$8d4a4a1614a90de7118ae2b4ff371c98aa3833e2e91e93ce2ebebff9b07a47b08c67b0ea6d4d78150e3ee19bfca8f090"
OLD_256 = "$f14fe9f55ca3a717d9e34c4b33551d9d3f0b54eff5e8b079ba64d77feeb2324c18236b651cd426cedeb3ba7731688124"


@pytest.mark.parametrize("stored", [PRESENT, OLD_192, SEED])
def test_what_wildduck_stored_is_read(stored: str) -> None:
    assert KeyRing(KEY).decrypt(stored) == SEED


def test_the_old_cipher_is_a_setting() -> None:
    assert KeyRing(KEY, old_cipher="aes-256-cbc").decrypt(OLD_256) == SEED
    with pytest.raises(SecretUnreadable):
        KeyRing(KEY).decrypt(OLD_256)


def test_the_same_text_is_never_stored_twice_alike() -> None:
    ring = KeyRing(KEY)
    first, second = ring.encrypt(SEED), ring.encrypt(SEED)
    for one, other in zip(first.split("$")[3:], second.split("$")[3:], strict=True):
        assert one != other
    assert [len(part) for part in first.split("$")] == [0, 4, 11, 32, 24, 32, 2 * len(SEED)]
    assert ring.decrypt(first) == ring.decrypt(second) == SEED


@settings(max_examples=10, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40), st.text(st.characters(codec="utf-8"), min_size=1))
def test_every_text_comes_back(text: str, key: str) -> None:
    assert KeyRing(key).open(KeyRing(key).encrypt(text)) == Opened(text, is_outdated=False)


def test_without_a_key_it_is_stored_in_clear() -> None:
    assert KeyRing().encrypt(SEED) == SEED
    assert KeyRing().open(SEED) == Opened(SEED, is_outdated=False)
    with pytest.raises(ValueError, match="in clear"):
        KeyRing().encrypt("$wd01$")


@pytest.mark.parametrize("stored", [PRESENT, OLD_192])
@pytest.mark.parametrize("ring", [KeyRing(), KeyRing("another cat"), KeyRing("another cat", ("a dead cat",))])
def test_a_wrong_key_reads_nothing(ring: KeyRing, stored: str) -> None:
    with pytest.raises(SecretUnreadable):
        ring.decrypt(stored)


@pytest.mark.parametrize("part", [3, 4, 5, 6])
def test_every_part_is_sealed(part: int) -> None:
    parts = PRESENT.split("$")
    parts[part] = f"{int(parts[part][:2], 16) ^ 1:02x}{parts[part][2:]}"
    with pytest.raises(SecretUnreadable):
        KeyRing(KEY).decrypt("$".join(parts))


@pytest.mark.parametrize(
    "stored",
    [
        "$",
        "$zz",
        "$abc",
        OLD_192[:-2],
        "$wd02" + PRESENT[5:],
        PRESENT.replace("aes-256-gcm", "aes-128-gcm"),
        PRESENT.replace("ff80962f08518bd07802d60dc1b40405", "ff80962f"),
        PRESENT.replace("$101112131415161718191a1b$", "$$"),
        PRESENT[:-1],
        PRESENT + "$00",
        PRESENT + "\n",
    ],
)
def test_what_is_no_form_at_all_is_a_fault(stored: str) -> None:
    with pytest.raises(SecretUnreadable):
        KeyRing(KEY).decrypt(stored)


def test_a_key_is_changed_without_losing_anything() -> None:
    before, ring = KeyRing(KEY), KeyRing("a new cat", ("a stray cat", KEY))
    for stored in (SEED, OLD_192, PRESENT, before.encrypt(SEED)):
        assert ring.open(stored) == Opened(SEED, is_outdated=True)
    assert ring.open(ring.encrypt(SEED)) == Opened(SEED, is_outdated=False)


def test_the_old_form_is_stored_anew_under_the_same_key() -> None:
    assert KeyRing(KEY).open(OLD_192).is_outdated
    assert not KeyRing(KEY).open(PRESENT).is_outdated
    assert not KeyRing("", (KEY,)).open(PRESENT).is_outdated


def test_a_key_beyond_latin_1_counts_with_the_low_byte_of_each_unit() -> None:
    """What Node.js makes of it: `Ł` (U+0141) is `A`, and an emoji is two units."""
    assert KeyRing("Ł").decrypt(_old_form("A")) == KeyRing("A").decrypt(_old_form("A")) == "secret"
    assert KeyRing("😀").decrypt(_old_form("=\0")) == "secret"


def _old_form(key: str) -> str:
    """Encrypted by OpenSSL's rules, written once more and apart from the code under test."""
    from hashlib import md5

    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    one = md5(key.encode()).digest()
    two = md5(one + key.encode()).digest()
    three = md5(two + key.encode()).digest()
    encryptor = Cipher(AES((one + two)[:24]), CBC((two[8:] + three)[:16])).encryptor()
    return "$" + (encryptor.update(b"secret" + b"\x0a" * 10) + encryptor.finalize()).hex()

"""Token hashes and signatures, by the vectors that records of WildDuck follow."""

from __future__ import annotations

import pytest

from security.tokens import is_signed, new_token, signature, token_hash

TOKEN = "0123456789abcdef0123456789abcdef01234567"
SECRET = "a secret cat"


def test_the_hash() -> None:
    assert token_hash(TOKEN) == "deb87fabd17715bb31ad4cf4ffb9494eeb15f8d33d85b031a301c64ab3417eaa"


@pytest.mark.parametrize(
    ("user", "role", "version", "expected"),
    [
        (
            "507f1f77bcf86cd799439011",
            "user",
            1,
            "9fc56119b46cf4deec1fe58c580778ae6f2a356eed01d7d2c8a1edc6c6db9406",
        ),
        ("webmail", "root", None, "87b62888090e9c064ed62d5d35185e3fa320411e1da6362ea1bf21cccfc794cc"),
    ],
)
def test_the_signature(user: str, role: str, version: int | None, expected: str) -> None:
    assert signature(SECRET, TOKEN, user, role, version) == expected
    assert is_signed(expected, SECRET, TOKEN, user, role, version)
    assert not is_signed(expected, "another secret", TOKEN, user, role, version)


def test_tokens_are_random() -> None:
    assert len({new_token() for _ in range(100)}) == 100

"""Password hashes: every format that a database of accounts may hold verifies, new ones are of the best.

CPU work of up to a second: callers run these functions off the event loop.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Callable, Mapping
from functools import cache

import argon2
import bcrypt

_ALPHABET = string.ascii_letters + string.digits
_BCRYPT_COST = 12
_BCRYPT_BYTES = 72
_MOST_PBKDF2 = 5_000_000
_MOST_ARGON2_KIB, _MOST_ARGON2_TIME = 1_048_576, 20
_FEWEST_SHA_ROUNDS, _MOST_SHA_ROUNDS = 1000, 5_000_000
_MOST_BCRYPT_COST = 16

_DES = re.compile(r"[0-9A-Za-z./]{13}")
_PBKDF2 = re.compile(
    r"\$pbkdf2-(sha1|sha256|sha512)\$(?:v=\d+\$)?i=([1-9]\d{0,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}")
_SHA_CRYPT = re.compile(
    r"\$([56])\$(?:rounds=(\d{1,9})\$)?([./0-9A-Za-z]{0,64})\$([./0-9A-Za-z]{43}|[./0-9A-Za-z]{86})"
)
_MD5_CRYPT = re.compile(r"\$1\$([./0-9A-Za-z]{0,64})\$([./0-9A-Za-z]{22})")
_ARGON2 = re.compile(
    r"\$(argon2(?:id|i|d))\$v=19\$([mtp]=\d{1,10}(?:,[mtp]=\d{1,10}){2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)"
)

_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Hashes of random texts, to compare with where there is no hash: a log-in then takes as long as any other.
DUMMY_HASHES: Mapping[str, str] = {
    "argon2id": "$argon2id$v=19$m=19456,t=2,p=1$25XqVmILBJr3X8OzSs+kag$z96rUPC6GGoHPrguHzoHuNgNI3NHCDbdPXx0AYoPHwU",
    "bcrypt": "$2b$12$BcfrAd5gJku47h40tU6yXu5b6bl8aFVCJW8Orbm0hf0C45GdQnWye",
}
_NAMES = ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.dylib")
_DATA_BYTES = 256 * 1024  # more than any version's `struct crypt_data`


class UnknownHash(ValueError):
    """The text is no password hash that can be verified, or one that would cost far too much to."""


def hash_password(password: str, scheme: str = "argon2id") -> str:
    """A new hash, `argon2id` or `bcrypt`; WildDuck verifies both."""
    if scheme == "bcrypt":
        return bcrypt.hashpw(password.encode()[:_BCRYPT_BYTES], bcrypt.gensalt(_BCRYPT_COST)).decode()
    return _hasher.hash(password)


def temporary_password() -> str:
    """A new password of 12 letters and digits, some 71 bits of randomness."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))


def verify_password(password: str, stored: str) -> bool:
    """Return whether `password` is the one that was hashed. Raises UnknownHash."""
    return _verifier(stored)(password.encode(), stored)


def check_hash(stored: str) -> None:
    """Raises UnknownHash unless the text is a hash that can be verified at a bearable cost."""
    _verifier(stored)


def needs_rehash(stored: str, scheme: str = "argon2id") -> bool:
    """Return whether a log-in should replace the hash by a new one."""
    if scheme == "bcrypt":
        match = _BCRYPT.fullmatch(stored)
        return not match or int(match[1]) < _BCRYPT_COST
    return not stored.startswith("$argon2id$") or _hasher.check_needs_rehash(stored)


def _verifier(stored: str) -> Callable[[bytes, str], bool]:
    for pattern, check, verify in _FORMATS:
        if (match := pattern.fullmatch(stored)) and check(match):
            return verify
    raise UnknownHash("The text is no password hash of a known format")


def _unpadded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise UnknownHash("The salt or the key is no base64") from error


def _pbkdf2(password: bytes, stored: str) -> bool:
    match = _PBKDF2.fullmatch(stored)
    assert match
    key = _unpadded(match[4])
    made = hashlib.pbkdf2_hmac(match[1], password, _unpadded(match[3]), int(match[2]), len(key))
    return hmac.compare_digest(made, key)


def _bcrypt(password: bytes, stored: str) -> bool:
    return bcrypt.checkpw(password[:_BCRYPT_BYTES], stored.encode())


def _argon2(password: bytes, stored: str) -> bool:
    match = _ARGON2.fullmatch(stored)
    assert match
    costs = _argon2_costs(match[2])
    kinds = {"argon2id": argon2.Type.ID, "argon2i": argon2.Type.I, "argon2d": argon2.Type.D}
    key = _unpadded(match[4])
    made = argon2.low_level.hash_secret_raw(
        password, _unpadded(match[3]), costs["t"], costs["m"], costs["p"], len(key), kinds[match[1]], 19
    )
    return hmac.compare_digest(made, key)


def _argon2_costs(text: str) -> Mapping[str, int]:
    """The parameters m, t and p, which stand in any order."""
    pairs = [part.partition("=") for part in text.split(",")]
    return {name: int(number) for name, _, number in pairs}


def _des_crypt(password: bytes, stored: str) -> bool:
    return _crypt_matches(password, stored, stored)


def _sha_crypt(password: bytes, stored: str) -> bool:
    """Return whether it matches. Rounds below 1000 mean 1000; a salt is cut at 16 characters; keys are compared."""
    match = _SHA_CRYPT.fullmatch(stored)
    assert match
    rounds = f"rounds={max(int(match[2]), _FEWEST_SHA_ROUNDS)}$" if match[2] else ""
    return _crypt_matches(password, f"${match[1]}${rounds}{match[3][:16]}$", match[4])


def _md5_crypt(password: bytes, stored: str) -> bool:
    """Return whether MD5-crypt matches. A salt is cut at eight characters; only the key is compared."""
    match = _MD5_CRYPT.fullmatch(stored)
    assert match
    return _crypt_matches(password, f"$1${match[1][:8]}$", match[2])


def _crypt_matches(password: bytes, setting: str, key: str) -> bool:
    """Return whether crypt matches. A password with a NUL was never hashed: C strings end there."""
    if b"\0" in password:
        return False
    return hmac.compare_digest(crypt(password, setting).rpartition("$")[2].encode(), key.encode())


def _bearable_pbkdf2(match: re.Match[str]) -> bool:
    return int(match[2]) <= _MOST_PBKDF2 and bool(_unpadded(match[3]) and _unpadded(match[4]))


def _bearable_argon2(match: re.Match[str]) -> bool:
    costs = _argon2_costs(match[2])
    if set(costs) != {"m", "t", "p"}:
        return False
    fits = 8 * costs["p"] <= costs["m"] <= _MOST_ARGON2_KIB and 1 <= costs["t"] <= _MOST_ARGON2_TIME
    return fits and 1 <= costs["p"] <= 16 and len(_unpadded(match[3])) >= 8 and len(_unpadded(match[4])) >= 4


def _bearable_sha(match: re.Match[str]) -> bool:
    right_length = len(match[4]) == (43 if match[1] == "5" else 86)
    return right_length and int(match[2] or 0) <= _MOST_SHA_ROUNDS


def _any(match: re.Match[str]) -> bool:
    return True


_FORMATS: tuple[
    tuple[re.Pattern[str], Callable[[re.Match[str]], bool], Callable[[bytes, str], bool]], ...
] = (
    (_ARGON2, _bearable_argon2, _argon2),
    (_PBKDF2, _bearable_pbkdf2, _pbkdf2),
    (_BCRYPT, lambda match: 4 <= int(match[1]) <= _MOST_BCRYPT_COST, _bcrypt),
    (_SHA_CRYPT, _bearable_sha, _sha_crypt),
    (_MD5_CRYPT, _any, _md5_crypt),
    (_DES, _any, _des_crypt),
)


class NoLibcrypt(OSError):
    """This machine has no libcrypt."""


def crypt(password: bytes, setting: str) -> str:
    """The hash of a password with the algorithm and salt of `setting`; `*0` or `*1` for one that is not known.

    A password ends at its first NUL, as C strings do.
    """
    made = _library().crypt_r(password, setting.encode(), ctypes.create_string_buffer(_DATA_BYTES))
    return bytes(made or b"*0").decode("ascii", "replace")


@cache
def _library() -> ctypes.CDLL:
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.crypt_r.restype = ctypes.c_char_p
        library.crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]
        return library
    raise NoLibcrypt("Hashes of crypt(3) cannot be verified without libcrypt")

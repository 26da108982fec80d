"""crypt(3) of the operating system, called so that other threads go on meanwhile."""

from __future__ import annotations

import ctypes
from functools import cache

_NAMES = ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.dylib")
_DATA_BYTES = 256 * 1024  # more than any version's `struct crypt_data`


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

"""`python -m bench.signing`: how long a DKIM signature takes, ours beside dkimpy's, over the same messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.console import Console
from rich.table import Table

from mail.dkim import SigningKey, signature_header

ROUNDS = 15
_HEADER = b"From: Ada <ada@example.com>\r\nTo: grace@example.com\r\nSubject: Minutes\r\n\r\n"
_LINE = b"A line of a letter, as people write it, with two  blanks.\r\n"
_RELAXED: Any = {"canonicalize": (b"relaxed", b"relaxed")}


def main() -> None:
    """Sign with RSA-2048, and print milliseconds of CPU and the ratio."""
    private = rsa.generate_private_key(65537, 2048)
    key = SigningKey("example.com", "mail", private)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    table = Table("message", "dkimpy ms", "Mallard ms", "ratio", title="RSA-2048, relaxed/relaxed")
    for lines in (20, 1900, 19_000):
        message = _HEADER + _LINE * lines
        ours = fastest(lambda message=message: signature_header(message, key, datetime.now(UTC)))  # type: ignore[misc]
        theirs = fastest(lambda message=message: dkim.sign(message, b"mail", b"example.com", pem, **_RELAXED))  # type: ignore[misc]
        table.add_row(f"{len(message) // 1024} kB", f"{theirs:.2f}", f"{ours:.2f}", f"{theirs / ours:.1f}")
    Console().print(table)


def fastest(work: Callable[[], Any]) -> float:
    """Milliseconds of CPU of the fastest of some rounds."""
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times) * 1000


main()

"""How much memory it takes to index a large message: the message is there once, its parts are views of it."""

from __future__ import annotations

import os
import tracemalloc
from base64 import encodebytes
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from mail.attachment import encoded_pieces
from mail.message import index

SIZE = 12_000_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = (
    b"From: grace@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee\r\n--b\r\n"
)


def base64_of(content: bytes) -> bytes:
    return encodebytes(content).replace(b"\n", b"\r\n").rstrip()


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("part_head", "body", "most"),
    [
        (b"Content-Type: video/mp4\r\nContent-Transfer-Encoding: base64", base64_of(os.urandom(SIZE * 3 // 4)), 1),
        (b"Content-Type: video/mp4\r\nContent-Transfer-Encoding: binary", os.urandom(SIZE).replace(b"\n", b"x"), 0.2),
        (
            b"Content-Type: message/rfc822",
            HEAD + b"Content-Type: video/mp4\r\n\r\n" + os.urandom(SIZE).replace(b"\n", b"x") + b"\r\n--b--",
            0.2,
        ),
    ],
    ids=["base64", "binary", "embedded"],
)  # fmt: skip
def test_a_large_part_is_not_copied(part_head: bytes, body: bytes, most: float) -> None:
    """base64 is stored decoded, which takes three quarters of it."""
    raw = HEAD + part_head + b"\r\n\r\n" + body + b"\r\n--b--\r\n"
    assert peak_of(lambda: index(raw, NOW)) < most * len(raw)


def test_what_stays_in_the_document_is_no_view() -> None:
    """The database takes bytes alone; a message in a message in a message is where a large body may stay."""
    raw = b"Content-Type: message/rfc822\r\n\r\n" * 3 + b"\r\n" + b"x" * 400_000
    node = index(raw, NOW).document["mimeTree"]
    while node:
        assert not isinstance(node["body"], memoryview)
        node = node.get("message")


def test_a_body_is_encoded_again_piece_by_piece() -> None:
    content = (os.urandom(1) * 261_120 for _ in range(40))
    assert peak_of(lambda: [len(piece) for piece in encoded_pieces(content, 77)]) < 4_000_000

"""A message's source comes back byte for byte, whatever it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import bson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail import attachment, source
from mail.message import Indexed, index
from mail.mime_tree import normalize

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LARGEST_DOCUMENT = 16 * 1024 * 1024


def rebuilt(indexed: Indexed) -> bytes:
    """The source from what is stored: the document through BSON, the bodies as the bucket gives them back."""
    stored = bson.decode(bson.encode(indexed.document))
    bodies: dict[str, bytes | memoryview] = {
        body.id: attachment.encode(body.content, body.line_length) if body.line_length else body.content
        for body in indexed.bodies
    }
    return b"".join(
        source.stream(stored["mimeTree"], indexed.layout, lambda body_id: [bytes(bodies[body_id])])
    )


def check(raw: bytes) -> Indexed:
    indexed = index(raw, NOW)
    assert rebuilt(indexed) == normalize(raw)
    layout = bson.encode({"layout": indexed.layout}) if indexed.layout else b""
    assert len(bson.encode(indexed.document)) + len(layout) < LARGEST_DOCUMENT
    return indexed


def test_the_corpus(corpus: list[Path]) -> None:
    for file in corpus:
        check(file.read_bytes())


ODD = {
    "nothing": b"",
    "no header": b"\r\nbody",
    "header only": b"Subject: x",
    "no final newline": b"Subject: x\r\n\r\nbody",
    "no mime": b"just some words",
    "bare newlines": b"Subject: x\n\nbody\n",
    "carriage returns": b"Subject: x\r\r\n\r\r\nbo\rdy\r\r\n",
    "nul bytes": b"Sub\0ject: \0x\r\n\0\r\n\r\n\0body",
    "only newlines": b"\n\n\n",
    "only dashes": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--",
    "unterminated": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na",
    "epilogue": b"Content-Type: multipart/mixed; boundary=x\r\n\r\npre\r\n--x\r\n\r\na\r\n--x--\r\nafter",
    "boundary blanks": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x \t\r\n\r\na\r\n--x-- \r\n",
    "same boundary inside": (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n--x--\r\n"
    ),
    "inner one never ends": (
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
        b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\na\r\n--o\r\n\r\nb\r\n--o--\r\n"
    ),
    "empty part": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n\r\n--x--\r\n",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\n" + b"x" * 400_000,
    "broken base64": b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAA=\r\nB!\r\nCC",
    "base64": b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUJD\r\n" * 40,
    "8-bit header": "Subject: ä\r\nX-\xff: ü\r\n\r\nö".encode("latin-1"),
    "embedded": b"Content-Type: MESSAGE/RFC822\r\n\r\nSubject: inner\r\n\r\nbody",
}


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD)
def test_odd_messages(raw: bytes) -> None:
    check(raw)


LINES = st.sampled_from(
    [
        b"--x", b"--x--", b"--y", b"--y--", b"--x ", b"", b" folded", b"body \xff\0", b"QUJDREVG",
        b"Subject: =?utf-8?q?=C3",
        b"Content-Type: multipart/mixed; boundary=x", b'Content-Type: multipart/related; boundary="y"',
        b"Content-Type: message/rfc822", b"Content-Type: text/html", b"Content-Type: image/png; name*0*=u''%ff",
        b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable", b"From: a: b <c@d>;,,\"",
        b": empty name", b"no colon", b"Date: 99 Foo", b"Content-Disposition: attachment; filename=\"a",
    ]
)  # fmt: skip
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r\n\r\n", b"\r\r\n", b"\r", b""])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(LINES, ENDS), max_size=25))
def test_any_lines(lines: list[tuple[bytes, bytes]]) -> None:
    check(b"".join(line + end for line, end in lines))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    check(raw)


def nested(depth: int) -> bytes:
    opening = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
    )
    return opening + b"\r\ncore\r\n" + b"".join(b"--b%d--\r\n" % n for n in reversed(range(depth)))


LARGE = {
    "1,000 levels": nested(1000),
    "1,000 embedded messages": b"Content-Type: message/rfc822\r\n\r\n" * 1000 + b"core",
    "10,000 parts": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    + b"--x\r\n\r\na\r\n" * 10_000
    + b"--x--\r\n",
    "a header of 1 MB": b"Subject: " + b"x" * 1_000_000 + b"\r\n\r\nbody",
    "a header of 20 MB": b"X-Y: z\r\n" * 2_500_000 + b"\r\nbody",
    "10,000 recipients": b"To: " + b", ".join(b"<a%d@example.com>" % n for n in range(10_000)) + b"\r\n\r\nx",
    "a long preamble": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    + b"p" * 3_000_000
    + b"\r\n--x\r\n\r\na\r\n--x--",
    "many large texts": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
    + (b"--x\r\n\r\n" + b"t" * 290_000 + b"\r\n") * 80
    + b"--x--\r\n",
    "5 MB of text": b"\r\n" + b"word " * 1_000_000,
    "open html": b"Content-Type: text/html\r\n\r\n" + b"<div>" * 100_000,
    "brackets": b"\r\n" + b"[" * 500_000,
    "encoded words": b"Subject: " + b"=?utf-8?q?=C3=A4?= " * 20_000 + b"\r\n\r\n",
    "quotes": b"From: " + b'"\\' * 200_000 + b"\r\n\r\n",
    "parentheses": b"From: " + b"(" * 200_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", LARGE.values(), ids=LARGE)
def test_hostile_messages_are_stored_and_come_back(raw: bytes) -> None:
    begin = time.process_time()
    check(raw)
    assert time.process_time() - begin < 20, "a message must not keep a worker busy"

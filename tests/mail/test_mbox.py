"""mbox: what goes in comes out of two readers, wherever it is cut and whatever stands in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.mbox import entry, quoted, separator
from tests.mail.mboxrd import count_of_python, read

NOON = datetime(2024, 1, 5, 3, 4, 5, tzinfo=UTC)
HEADER = b"From: <g@example.com>\r\nSubject: x\r\n"


def written(*pieces: bytes, **fields: Any) -> bytes:
    given = {"sender": "g@example.com", "date": NOON, "mailbox": "", "draft": False, **fields}
    return b"".join(entry(pieces, **given))


def test_an_entry() -> None:
    raw = HEADER + b"Status: RO\r\nX-Gmail-Labels: a,\r\n b\r\n\r\nDear\r\nFrom me\r\n>From you\r\n"
    assert written(raw, mailbox="Töö/2024", draft=True) == (
        b"From g@example.com Fri Jan  5 03:04:05 2024\n"
        + "X-Export-Mailbox: Töö/2024\n".encode()
        + b"X-Export-Draft: Yes\nFrom: <g@example.com>\nSubject: x\n\nDear\n>From me\n>>From you\n\n"
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"Subject: x\r\n\r\nno end", b"Subject: x\n\nno end\n\n"),
        (b"Subject: x\r\n\r\nb", b"Subject: x\n\nb\n\n"),
        (b"Subject: no body\r\n", b"Subject: no body\n\n"),
        (b"Subject: no end", b"Subject: no end\n\n"),
        (b"\r\nno header", b"\nno header\n\n"),
        (b"", b"\n"),
        (b"From a b\r\nSubject: x\r\n\r\nFrom ", b">From a b\nSubject: x\n\n>From \n\n"),
        (b"STATUS : O\r\nstatus: O\r\n O\r\nSubject: x\r\n\r\nStatus: stays\r\n", b"Subject: x\n\nStatus: stays\n\n"),
        (b"Subject: x\r\n\r\n>\rFrom a\r\r\n\rFrom", b"Subject: x\n\n>>From a\nFrom\n\n"),
    ],
)  # fmt: skip
def test_edges(raw: bytes, expected: bytes) -> None:
    begin = b"From g@example.com Fri Jan  5 03:04:05 2024\n"
    assert written(raw) == begin + expected
    assert written(*(bytes([byte]) for byte in raw)) == begin + expected, "cut into bytes"


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("", b"MAILER-DAEMON"),
        (" \r\n", b"MAILER-DAEMON"),
        ("a b\nFrom c@d\r\x00", b"abFromc@d"),
        ("õ@example.com\u2028", "õ@example.com".encode()),
        ("x" * 100_000, b"x" * 500),
    ],
)
def test_a_crafted_sender_breaks_no_line(sender: str, expected: bytes) -> None:
    line = separator(sender, NOON)
    assert line == b"From " + expected + b" Fri Jan  5 03:04:05 2024\n"


def test_a_crafted_path_breaks_no_header() -> None:
    data = written(HEADER + b"\r\nx", mailbox="a\r\n\r\nFrom b\x85c")
    assert data.splitlines()[1] == b"X-Export-Mailbox: a From b c"
    assert len(list(read(data))) == 1


LINES = st.lists(
    st.sampled_from([b"From x", b">From ", b">>From y", b"From", b"Fro", b">", b"", b" From z", b"\rFrom w", b"text"])
)  # fmt: skip


@given(LINES, st.lists(st.integers(0, 60)))
def test_quoting_can_be_taken_back_however_it_was_cut(lines: list[bytes], cuts: list[int]) -> None:
    body = b"\n".join(lines).replace(b"\r", b"")
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[a:b] for a, b in pairwise(places)]
    result = b"".join(quoted(pieces))
    assert not any(line.startswith(b"From ") for line in result.split(b"\n"))
    assert [unquoted(line) for line in result.split(b"\n")] == body.split(b"\n")


def unquoted(line: bytes) -> bytes:
    return line[1:] if line.startswith(b">") and line.lstrip(b">").startswith(b"From ") else line


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_both_readers_count_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, raws: list[bytes]
) -> None:
    data = b"".join(written(raw, sender="a\nFrom b") for raw in raws)
    assert [sender for sender, _ in read(data)] == [b"aFromb"] * len(raws)
    path = tmp_path_factory.getbasetemp() / "any.mbox"
    path.write_bytes(data)
    assert count_of_python(path) == len(raws)


def test_real_mail_comes_back_but_for_its_crs(corpus: list[Path], tmp_path: Path) -> None:
    raws = [path.read_bytes() for path in corpus]
    data = b"".join(written(raw) for raw in raws)
    (tmp_path / "all.mbox").write_bytes(data)
    assert count_of_python(tmp_path / "all.mbox") == len(raws)
    found = [text for _, text in read(data)]
    kept = [raw for raw in raws if not re.search(rb"(?im)^(x-)?status *:|^content-length *:", raw)]
    assert len(kept) > len(raws) // 2
    assert len(found) == len(raws)
    assert {bare(raw) for raw in kept} <= {bare(text) for text in found}


def bare(raw: bytes) -> bytes:
    return raw.replace(b"\r", b"").rstrip(b"\n")


def test_a_message_that_is_one_header_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held = 0

    def pieces() -> Any:
        for _ in range(200):
            yield b"X-A: " + b"a" * 65_536 + b"\r\n"

    for piece in entry(pieces(), sender="", date=NOON, mailbox="", draft=False):
        held = max(held, len(piece))
    assert held < 1_200_000

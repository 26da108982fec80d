"""The end of DATA: found in whatever pieces it comes, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.inbound.syntax import DotData

LINES = st.lists(
    st.sampled_from([b"", b".", b"..", b"x", b".x", b"a\nb", b"\n.\n", b"\r.\r", b"\r", b"\x00\xff"])
)


def taken(pieces: list[bytes], largest: int = 10_000) -> tuple[bytes, bytes | None, DotData]:
    data = DotData(largest)
    rest: bytes | None = None
    for piece in pieces:
        assert rest is None
        rest = data.feed(piece)
    return data.content(), rest, data


def stuffed(message: bytes) -> bytes:
    lines = message.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


@given(LINES, st.lists(st.integers(1, 8), min_size=1), st.sampled_from([b"", b"QUIT\r\n", b"\r\n.\r\n"]))
def test_any_message_in_any_pieces(lines: list[bytes], sizes: list[int], behind: bytes) -> None:
    message = b"".join(line + b"\r\n" for line in lines)
    wire = stuffed(message) + b".\r\n"
    pieces, position = [], 0
    while position < len(wire):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(wire[position : position + size])
        position += size
    pieces[-1] += behind
    content, rest, data = taken(pieces)
    assert (content, rest, data.size) == (message, behind, len(message))
    data.close()


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n\r\n.\n", b"\r\n\x00.\r\n"]
)
def test_what_is_no_end(end: bytes) -> None:
    _, rest, data = taken([b"one" + end + b"MAIL FROM:<x@y>\r\n"])
    assert rest is None
    assert data.feed(b"two\r\n.\r\n") == b""
    assert b"MAIL FROM:<x@y>" in data.content()
    data.close()


def test_a_large_message_is_read_to_its_end_and_not_kept() -> None:
    data = DotData(100)
    assert data.feed(b"x" * 90 + b"\r\n") is None
    assert not data.is_too_large
    assert data.feed(b"y" * 90 + b"\r\n.\r\nNOOP\r\n") == b"NOOP\r\n"
    assert data.is_too_large
    assert len(data.content()) <= 100
    data.close()


def test_a_disk_that_is_full_does_not_stop_the_reading() -> None:
    data = DotData(100)

    class Full:
        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

    spool, data._spool = data._spool, Full()  # type: ignore[assignment]
    assert data.feed(b"x\r\n") is None
    assert data.feed(b".\r\n") == b""
    assert data.fault
    spool.close()

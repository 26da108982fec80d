"""What the request log asks of an answer."""

from __future__ import annotations

from flask import Response

from server.http.app import _length


def test_a_streamed_answer_is_not_read_to_learn_its_length() -> None:
    pieces = iter([b"a", b"b"])
    assert _length(Response(pieces)) is None
    assert list(pieces) == [b"a", b"b"]
    assert _length(Response(pieces, headers={"Content-Length": "7"})) == 7
    assert _length(Response(b"abc")) == 3

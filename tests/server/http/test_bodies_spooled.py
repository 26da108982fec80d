"""Bodies that are needed whole: received on disk, a few large ones in memory at a time."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDone
from contextlib import ExitStack

import pytest
from flask import Request
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from problems import Problem
from server.http.bodies import AT_ONCE, LARGE, read_whole

LIMIT = 4 * LARGE


def request(data: bytes, **headers: str) -> Request:
    """A request whose length nobody announced."""
    builder = EnvironBuilder(method="POST", headers=Headers({"Transfer-Encoding": "chunked"} | headers))
    return Request({**builder.get_environ(), "wsgi.input": io.BytesIO(data), "wsgi.input_terminated": True})


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


@pytest.mark.parametrize("size", [0, 1, LARGE, LARGE + 1, LIMIT])
def test_every_byte_is_there(held: ExitStack, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert read_whole(request(data), LIMIT, held) == data
    held.close()
    zipped = request(gzip.compress(data, 1), **{"Content-Encoding": "gzip"})
    assert read_whole(zipped, LIMIT, held) == data


def test_what_is_too_large_takes_no_place(held: ExitStack) -> None:
    for _ in range(AT_ONCE + 1):
        with pytest.raises(Problem, match="RequestTooLarge"):
            read_whole(request(bytes(LIMIT + 1)), LIMIT, held)


def test_large_ones_wait_for_a_place_and_small_ones_do_not(held: ExitStack) -> None:
    large = bytes(LARGE + 1)
    first = ExitStack()
    with ThreadPoolExecutor(1) as pool:
        read_whole(request(large), LIMIT, first)
        for _ in range(AT_ONCE - 1):
            read_whole(request(large), LIMIT, held)
        waiting = pool.submit(read_whole, request(large), LIMIT, held)
        with pytest.raises(NotDone):
            waiting.result(0.3)
        assert read_whole(request(bytes(LARGE)), LIMIT, held) == bytes(LARGE)
        first.close()
        assert waiting.result(10) == large

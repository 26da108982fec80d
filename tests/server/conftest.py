"""Apps with other settings than those of most tests, and what they wrote to their log."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator

import orjson
import pytest
import structlog

from server.processes import logging as logs
from tests.rows import Row


class Log:
    """What was logged, as text and as the lines of JSON it is made of."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[Row]:
        return [orjson.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Log]]:
    """`logged("json")` starts to keep what is logged in that format."""

    def start(log_format: str) -> Log:
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        logs.configure(log_format, "info")
        from server.http import app, errors

        monkeypatch.setattr(app, "log", structlog.get_logger())
        monkeypatch.setattr(errors, "log", structlog.get_logger())
        return Log(stream)

    yield start
    monkeypatch.undo()
    logs.configure("json", "error")

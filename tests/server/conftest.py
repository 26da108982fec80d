"""Apps with other settings than those of most tests, and what they wrote to their log."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from click.testing import CliRunner, Result
from flask import Flask

from server.cli import main
from server.processes import logging as logs
from server.processes.mongod import Mongod
from server.settings.table import Settings
from storage.store import Store
from tests.conftest import AppOf


@pytest.fixture
def make_app(store: Store, settings: Settings, app_of: AppOf) -> Callable[..., Flask]:
    """`make_app(access_control=True)`: the whole application with some settings of its own."""

    def make(**own: Any) -> Flask:
        return app_of(replace(settings, **own), store)

    return make


class Log:
    """What was logged, as text and as the lines of JSON it is made of."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
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


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, mongod: Mongod, store: Store, tmp_path: Path
) -> Callable[..., Result]:
    """`run("token", "list", MALLARD_SECRET="x")` over the database of the test."""
    own = {
        "MALLARD_MONGO_URI": mongod.uri,
        "MALLARD_DATABASE": "test",
        "MALLARD_STATE_DIR": str(tmp_path / "state"),
        "MALLARD_LOG_LEVEL": "error",
    }

    def invoke(*words: str, **settings: str) -> Result:
        with monkeypatch.context() as patch:
            for name, value in {**own, **settings}.items():
                patch.setenv(name, value)
            return CliRunner().invoke(main, list(words))

    return invoke

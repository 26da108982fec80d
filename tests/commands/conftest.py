"""The command `mallard` over the database of a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.main import main
from server.processes.mongod import Mongod
from storage.store import Store


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


@pytest.fixture
def address(make_app: Callable[..., Any]) -> Any:
    """Where the app is served for the test."""
    from threading import Thread

    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, make_app(token="static"), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()

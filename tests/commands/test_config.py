"""`mallard config`: every setting in force, secrets masked."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from click.testing import Result

from server.settings.table import Settings

Run = Callable[..., Result]


def test_config_shows_every_setting_and_no_secret(run: Run) -> None:
    shown = run("config", MALLARD_TOKEN="hush", MALLARD_CORS_ORIGINS="https://a.test https://b.test")
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    for name in Settings.__dataclass_fields__:
        assert any(line.startswith(f"MALLARD_{name.upper()}=") for line in lines), name
    assert "MALLARD_TOKEN=***" in lines
    assert "MALLARD_MONGO_URI=***" in lines
    assert "MALLARD_CORS_ORIGINS=https://a.test https://b.test" in lines
    assert "hush" not in shown.stdout


def test_config_speaks_json(run: Run) -> None:
    shown = orjson.loads(run("config", "--json", MALLARD_TOKEN="hush", MALLARD_WORKERS="2").stdout)
    assert shown.keys() == Settings.__dataclass_fields__.keys()
    assert (shown["token"], shown["workers"], shown["access_control"]) == ("***", 2, False)

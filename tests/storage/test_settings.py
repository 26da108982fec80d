"""Settings that operators change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from storage import settings as module
from storage.settings import DEFAULTS, Settings
from storage.store import Store
from tests.storage.conftest import together

KEY = "const:max:filters"


@pytest.fixture
def settings(store: Store) -> Iterator[Settings]:
    """Settings of another process, and none stored after the test."""
    yield Settings(store.databases, store.clock)
    store.databases.main["settings"].delete_many({})


def test_a_default_is_in_force_until_a_value_is_stored_and_again_after(settings: Settings) -> None:
    assert settings.get(KEY) == DEFAULTS[KEY] == 400
    settings.put(KEY, 7)
    assert settings.get_many([KEY, "const:max:forwards"]) == {KEY: 7, "const:max:forwards": 2000}
    assert settings.delete(KEY)
    assert settings.get(KEY) == 400
    assert not settings.delete(KEY)
    assert settings.get("const:nothing") is None


def test_rows_are_those_that_wildduck_reads(store: Store, settings: Settings) -> None:
    settings.put("const:sender:defer_times", "5m, 1h")
    row = store.databases.main["settings"].find_one({"key": "const:sender:defer_times"})
    assert row
    assert (row["value"], row["encrypted"], row["enumerable"]) == ('"5m, 1h"', False, True)
    settings.put("const:sender:defer_times", "")
    after = store.databases.main["settings"].find_one({"key": "const:sender:defer_times"})
    assert after == {**row, "value": '""'}


@pytest.mark.parametrize(("stored", "value"), [("12", 12), (12, 12), ("5m, 1h", "5m, 1h"), ("true", True)])
def test_rows_of_other_hands_are_read(store: Store, settings: Settings, stored: Any, value: Any) -> None:
    store.databases.main["settings"].insert_one({"key": KEY, "value": stored, "enumerable": True})
    assert settings.get(KEY) == value


def test_what_is_encrypted_is_not_taken_for_a_value(store: Store, settings: Settings) -> None:
    row = {"key": KEY, "value": "$wd01$x", "encrypted": True, "enumerable": True}
    store.databases.main["settings"].insert_one(row)
    assert settings.get(KEY) == 400


def test_a_change_elsewhere_is_in_force_after_some_seconds(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    assert settings.get(KEY) == 400
    Settings(store.databases, store.clock).put(KEY, 8)
    assert settings.get(KEY) == 400
    now += 4
    assert settings.get(KEY) == 8


def test_many_at_once_store_one_row(store: Store, settings: Settings) -> None:
    assert together(32, lambda n: settings.put(KEY, n)) == [None] * 32
    assert store.databases.main["settings"].count_documents({"key": KEY}) == 1

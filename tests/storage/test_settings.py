"""Settings that operators change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from storage.base.setting_keys import DEFAULTS, SETTINGS
from storage.base.settings import Settings
from storage.store import Store
from tests.storage.conftest import together

KEY = "const:max:filters"
TIMES, SWITCH = "const:sender:defer_times", "const:domaincache:enabled"


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


@pytest.mark.parametrize(
    ("key", "stored", "value"),
    [
        (KEY, "12", 12),
        (KEY, 12, 12),
        (KEY, 12.0, 12),
        (KEY, '"12"', 12),
        (TIMES, "5m, 1h", "5m, 1h"),
        (TIMES, '"5m, 1h"', "5m, 1h"),
        (SWITCH, "true", True),
        ("other:key", '"text"', "text"),
        ("other:key", "text", "text"),
    ],
)
def test_rows_of_other_hands_are_read(
    store: Store, settings: Settings, key: str, stored: Any, value: Any
) -> None:
    store.databases.main["settings"].insert_one({"key": key, "value": stored, "enumerable": True})
    assert settings.get(key) == value
    assert type(settings.get(key)) is type(value)


@pytest.mark.parametrize(
    "stored",
    ["many", "-5", "1.5", "NaN", "1e999", "9" * 400, "9" * 5000, "null", None, [], {}, True, "$wd01$x"],
)
def test_what_a_key_does_not_take_is_not_in_force(store: Store, settings: Settings, stored: Any) -> None:
    store.databases.main["settings"].insert_one({"key": KEY, "value": stored, "enumerable": True})
    assert settings.get(KEY) == 400
    assert settings.stored() == {}


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("key", [TIMES, "other:key"])
def test_what_is_encrypted_is_not_taken_for_a_value(
    store: Store, settings: Settings, key: str, encrypted: bool
) -> None:
    """WildDuck marks encrypted rows as if they were not."""
    row = {"key": key, "value": "$wd01$aes-256-gcm$x", "encrypted": encrypted, "enumerable": True}
    store.databases.main["settings"].insert_one(row)
    assert settings.get(key) == DEFAULTS.get(key)
    assert settings.stored() == {}


def test_every_default_is_a_value_that_its_key_takes() -> None:
    for setting in SETTINGS.values():
        assert setting.checked(setting.default) == setting.default


def test_a_change_elsewhere_is_in_force_after_some_seconds(store: Store, settings: Settings) -> None:
    now = store.clock()
    here = Settings(store.databases, lambda: now)
    assert here.get(KEY) == 400
    settings.put(KEY, 8)
    assert here.get(KEY) == 400
    assert here.stored(KEY)[KEY].value == 8
    now += timedelta(seconds=4)
    assert here.get(KEY) == 8
    settings.delete(KEY)
    now -= timedelta(hours=1)
    assert here.get(KEY) == 400, "a clock that was put back keeps no old values alive"


def test_many_at_once_store_one_row(store: Store, settings: Settings) -> None:
    assert together(32, lambda n: settings.put(KEY, n)) == [None] * 32
    assert store.databases.main["settings"].count_documents({"key": KEY}) == 1

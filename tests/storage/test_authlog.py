"""The log of security events."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta

import pytest
from bson import ObjectId

from storage.accounts.auth_log import AuthLog, event_key
from storage.base.paging import Paging
from storage.base.settings import Settings
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import together

KEEP = "const:authlog:time"


@pytest.fixture
def settings(store: Store) -> Iterator[Settings]:
    """Settings that are taken back after the test."""
    yield store.settings
    store.settings.delete(KEEP)


def rows(store: Store, user: ObjectId) -> list[Row]:
    return list(store.databases.users["authlog"].find({"user": user}).sort("created", 1))


def test_the_key_is_the_one_of_wildduck() -> None:
    entry = {"protocol": "API", "ip": "127.0.0.1", "action": "authentication", "result": "success"}
    assert base64.b64encode(event_key(entry)) == b"mVJzraDuY/cCrKwU8f4Scw=="
    assert event_key({**entry, "target": "x"}) != event_key(entry)


def test_an_entry_as_it_stands_on_disk(store: Store) -> None:
    user = ObjectId()
    entry = store.auth_log.write(user, "authentication", protocol="API", result="success", source="master")
    (row,) = rows(store, user)
    assert row["_id"] == entry
    assert (row["action"], row["result"], row["source"], row["events"]) == (
        "authentication",
        "success",
        "master",
        1,
    )
    assert (row["sess"], row["ip"]) == (None, None)
    assert row["last"] == row["created"]
    assert row["expires"] - row["created"] == timedelta(days=30)
    assert len(row["key"]) == 16


def test_like_events_at_once_share_one_entry_that_counts_them_all(store: Store) -> None:
    user = ObjectId()
    ids = together(60, lambda _: store.auth_log.write(user, "authentication", ip="192.0.2.1", result="fail"))
    assert len(set(ids)) == 1
    assert [row["events"] for row in rows(store, user)] == [60]


def test_other_events_and_other_accounts_have_entries_of_their_own(store: Store) -> None:
    one, other = ObjectId(), ObjectId()
    for user, ip, result in (
        (one, "192.0.2.1", "fail"),
        (one, "192.0.2.2", "fail"),
        (one, "192.0.2.1", "success"),
    ):
        store.auth_log.write(user, "authentication", ip=ip, result=result)
    store.auth_log.write(other, "authentication", ip="192.0.2.1", result="fail")
    assert (len(rows(store, one)), len(rows(store, other))) == (3, 1)


def test_after_six_hours_a_new_entry_begins(store: Store) -> None:
    user, now = ObjectId(), store.clock()
    log = AuthLog(store.databases, lambda: now, store.settings)
    log.write(user, "reset")
    now += timedelta(hours=5)
    log.write(user, "reset")
    now += timedelta(hours=2)
    log.write(user, "reset")
    assert [row["events"] for row in rows(store, user)] == [2, 1]


def test_at_the_edge_of_six_hours_all_meet_in_one_new_entry(store: Store) -> None:
    user, start = ObjectId(), store.clock() - timedelta(hours=6, seconds=5)
    AuthLog(store.databases, lambda: start, store.settings).write(user, "reset")
    together(40, lambda _: store.auth_log.write(user, "reset"))
    assert [row["events"] for row in rows(store, user)] == [1, 40]
    assert ["bucket" in row for row in rows(store, user)] == [False, True]


def test_of_like_events_the_latest_details_stay(store: Store) -> None:
    user = ObjectId()
    store.auth_log.write(
        user, "authentication", result="fail", sess="one", source="master", appId="https://a"
    )
    store.auth_log.write(user, "authentication", result="fail", sess="two", source="master")
    (row,) = rows(store, user)
    assert (row["sess"], row["appId"], row["events"]) == ("two", "https://a", 2)


@pytest.mark.parametrize("field", ["source", "requiredScope"])
def test_scope_and_source_tell_events_apart(store: Store, field: str) -> None:
    user = ObjectId()
    for value in ("one", "two"):
        store.auth_log.write(user, "authentication", result="fail", **{field: value})
    assert [row["events"] for row in rows(store, user)] == [1, 1]


def test_ids_are_in_the_order_of_events(store: Store) -> None:
    user = ObjectId()
    made = [store.auth_log.write(user, f"action {number}") for number in range(20)]
    page, total = store.auth_log.page(user, None, None, Paging(limit=20))
    assert [row["_id"] for row in page.rows] == made[::-1]
    assert total == 20
    assert not {"user", "bucket"} & page.rows[0].keys()


@pytest.mark.parametrize(
    ("wanted", "indexes"),
    [
        ({}, {"user"}),
        ({"ip": "192.0.2.1"}, {"user_by_known_ip"}),
        ({"action": "reset"}, {"user_by_action"}),
        ({"ip": "192.0.2.1", "action": "reset"}, {"user_by_known_ip", "user_by_action"}),
    ],
)
def test_each_filter_has_an_index_that_is_in_order(store: Store, wanted: Row, indexes: set[str]) -> None:
    user = ObjectId()
    for number in range(60):
        store.auth_log.write(user, f"action {number % 9}", ip=f"192.0.2.{number % 7}")
    store.auth_log.write(user, "reset", ip="192.0.2.1")
    cursor = store.databases.users["authlog"].find({"user": user, **wanted}).sort("_id", -1).limit(5)
    plan = cursor.explain()
    fetch = plan["queryPlanner"]["winningPlan"]["inputStage"]
    assert (fetch["stage"], fetch["inputStage"]["stage"]) == ("FETCH", "IXSCAN"), (
        "nothing is sorted in memory"
    )
    assert fetch["inputStage"]["indexName"] in indexes
    assert plan["executionStats"]["totalDocsExamined"] <= 10


def test_nothing_is_logged_where_the_setting_is_zero(store: Store, settings: Settings) -> None:
    user = ObjectId()
    settings.put(KEEP, 0)
    assert store.auth_log.write(user, "reset") is None
    assert rows(store, user) == []

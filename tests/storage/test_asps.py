"""Application passwords on disk."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from bson import ObjectId

from problems import Problem
from storage.accounts.asps import Asps
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import together

FIELDS = {"description": "Phone", "scopes": ["*"], "password": "hash", "selector": "c"}


@pytest.fixture
def user() -> ObjectId:
    return ObjectId()


def rows(store: Store, user: ObjectId) -> list[Row]:
    return list(store.databases.users["asps"].find({"user": user}).sort("_id", 1))


def test_as_they_stand_on_disk(store: Store, user: ObjectId) -> None:
    made = [store.asps.create(user, FIELDS, ttl, 50) for ttl in (None, 60)]
    lasting, ending = rows(store, user)
    assert [lasting["_id"], ending["_id"]] == made
    created = lasting.pop("created")
    assert lasting == {
        "_id": made[0], "user": user, **FIELDS, "used": False, "authEvent": False, "authIp": False, "slot": 0,
    }  # fmt: skip
    assert created.tzinfo is not None
    assert (ending["ttl"], ending["expires"] - ending["created"]) == (60, timedelta(seconds=60))


@pytest.mark.parametrize("most", [1, 5])
def test_callers_at_once_never_pass_the_limit_and_reach_it(store: Store, user: ObjectId, most: int) -> None:
    def make(_: int) -> str:
        try:
            store.asps.create(user, FIELDS, None, most)
        except Problem as problem:
            return f"{problem.code} {problem.extra}"
        return "made"

    assert Counter(together(40, make)) == {"made": most, f"TooMany {{'allowed': {most}}}": 40 - most}
    assert len(rows(store, user)) == most


def test_those_of_wildduck_count(store: Store, user: ObjectId) -> None:
    store.databases.users["asps"].insert_many([{"user": user, **FIELDS} for _ in range(2)])
    store.asps.create(user, FIELDS, None, 3)
    with pytest.raises(Problem, match="TooMany"):
        store.asps.create(user, FIELDS, None, 3)


def test_a_deleted_one_makes_room(store: Store, user: ObjectId) -> None:
    made = [store.asps.create(user, FIELDS, None, 3) for _ in range(3)]
    assert store.asps.delete(user, made[1])
    store.asps.create(user, FIELDS, None, 3)
    assert sorted(row["slot"] for row in rows(store, user)) == [0, 1, 2]


def test_one_that_ended_is_none_before_it_is_swept(store: Store, user: ObjectId) -> None:
    now = store.clock()
    asps = Asps(store.databases, lambda: now, store.events)
    asp = asps.create(user, FIELDS, 60, 1)
    assert asps.of_user(user, temporary=False) == []
    assert [row["_id"] for row in asps.of_user(user, temporary=True)] == [asp]
    now += timedelta(seconds=60)
    assert asps.of_user(user, temporary=True) == asps.secrets(user) == []
    with pytest.raises(Problem, match="AspNotFound"):
        asps.get(user, asp)
    assert asps.create(user, FIELDS, None, 1)


def test_a_use_is_noted_and_lets_the_time_begin_anew(store: Store, user: ObjectId) -> None:
    now = store.clock()
    asps = Asps(store.databases, lambda: now, store.events)
    asps.create(user, FIELDS, 60, 5)
    now += timedelta(seconds=30)
    event = ObjectId()
    asps.note_use(asps.secrets(user)[0], event, "192.0.2.1")
    (row,) = rows(store, user)
    assert (row["used"], row["authEvent"], row["authIp"]) == (now, event, "192.0.2.1")
    assert row["expires"] == now + timedelta(seconds=60)


def test_only_the_owners(store: Store, user: ObjectId) -> None:
    asp = store.asps.create(user, FIELDS, None, 5)
    assert store.asps.delete(ObjectId(), asp) is None
    with pytest.raises(Problem, match="AspNotFound"):
        store.asps.get(ObjectId(), asp)


def test_reads_go_through_an_index(store: Store, user: ObjectId) -> None:
    plan = store.databases.users["asps"].find({"user": user}).explain()["queryPlanner"]["winningPlan"]
    assert plan["inputStage"]["indexName"] == "asps_user"

"""Threads."""

from __future__ import annotations

from bson import ObjectId

from storage.store import Store


def test_joined_by_any_common_id_and_the_same_subject(store: Store) -> None:
    user, join = ObjectId(), store.threads.join
    first = join(user, "Plan", ["a", "b"])
    assert join(user, "Plan", ["b", "c"]) == first
    assert join(user, "Plan", ["c"]) == first, "ids that came later count as well"
    assert join(user, "plan", ["a"]) != first
    assert join(user, "Plan", ["d"]) != first
    assert join(ObjectId(), "Plan", ["a"]) != first
    assert store.databases.main["threads"].find_one({"_id": first}, {"ids": 1, "_id": 0}) == {
        "ids": ["a", "b", "c"]
    }


def test_without_ids_always_a_new_one(store: Store) -> None:
    user = ObjectId()
    assert store.threads.join(user, "", []) != store.threads.join(user, "", [])


def test_one_that_has_ended_comes_back_under_its_id(store: Store) -> None:
    user = ObjectId()
    first = store.threads.join(user, "Plan", ["a"])
    store.databases.main["threads"].delete_one({"_id": first})
    assert store.threads.join_that(first, user, "Plan", ["b"]) == first
    assert store.threads.join(user, "Plan", ["b"]) == first


def test_never_the_thread_of_another_account(store: Store) -> None:
    first, other = store.threads.join(ObjectId(), "Plan", ["a"]), ObjectId()
    assert store.threads.join_that(first, other, "Plan", ["a"]) != first


def test_joined_through_the_index(store: Store) -> None:
    user, threads = ObjectId(), store.databases.main["threads"]
    threads.insert_many({"user": user, "ids": [f"id{n}"], "subject": "Plan"} for n in range(500))
    before = store.databases.main.command("serverStatus")["metrics"]["queryExecutor"]["scannedObjects"]
    first = store.threads.join(user, "Plan", ["id7", "new"])
    after = store.databases.main.command("serverStatus")["metrics"]["queryExecutor"]["scannedObjects"]
    assert (threads.find_one({"_id": first}) or {})["ids"] == ["id7", "new"]
    assert after - before < 50

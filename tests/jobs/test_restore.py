"""`restore` and `clear-folder`: in bounded steps, none of them done twice, none of the messages in another's way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bson import ObjectId

from jobs.runner import Runner
from storage.base.tasks import LEASE
from storage.store import Store
from tests.jobs.conftest import HandClock, add, die_before_step
from tests.rows import Row
from tests.storage.plans import examined, indexes, plans

Make = Callable[..., ObjectId]


def archive(store: Store, user: ObjectId, clock: HandClock, count: int) -> list[Row]:
    rows = [add(store, user, number) for number in range(count)]
    for row in rows:
        store.removal.delete(user, row["mailbox"], row["uid"])
        if row["uid"] % 3 == 0:
            clock.move(seconds=1)
    return rows


def order(store: Store, user: ObjectId, clock: HandClock) -> None:
    store.tasks.add("restore", {"user": user, "start": clock.now.replace(year=2020), "end": clock.now})


def number(store: Store, collection: str) -> int:
    return store.databases.main[collection].count_documents({})


@pytest.fixture
def clock() -> HandClock:
    """A clock that starts at noon: restored messages go to the mailbox of the day, which a lease must not leave."""
    clock = HandClock()
    clock.now = clock.now.replace(hour=12)
    return clock


@pytest.fixture
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs import restore
    from storage.messages import removal

    monkeypatch.setattr(restore, "_AT_ONCE", 2)
    monkeypatch.setattr(removal, "_BATCH", 2)


@pytest.mark.usefixtures("two_at_once")
@pytest.mark.parametrize("at", range(4))
def test_a_restore_taken_up_on_the_next_day_fills_the_same_mailbox(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    user = make_user()
    rows = archive(store, user, clock, 7)
    path = f"Restored ({clock.now:%Y-%m-%d})"
    order(store, user, clock)
    die_before_step(store, monkeypatch, at)
    if at:
        clock.move(days=1)
    clock.now += LEASE
    assert Runner(store).run_one()
    place = store.mailboxes.by_path(user, path)
    there = list(store.databases.main["messages"].find({}).sort("uid", 1))
    assert [(row["_id"], row["mailbox"], row["uid"]) for row in there] == [
        (row["_id"], place["_id"], n + 1) for n, row in enumerate(rows)
    ]
    assert number(store, "archived") == 0
    assert store.users.get(user)["storageUsed"] == sum(row["size"] for row in there)
    assert number(store, "mailboxes") == len(store.mailboxes.of_user(user))
    assert [box["path"] for box in store.mailboxes.of_user(user) if "Restored" in box["path"]] == [path]


@pytest.mark.usefixtures("two_at_once")
def test_what_cannot_be_restored_stays_and_keeps_none_of_the_others(
    store: Store, make_user: Make, clock: HandClock
) -> None:
    user = make_user()
    rows = archive(store, user, clock, 6)
    archived = store.databases.main["archived"]
    alive = archived.find_one({"_id": rows[1]["_id"]})
    assert alive
    store.databases.main["messages"].insert_one({**alive, "uid": 999})
    archived.update_one({"_id": rows[3]["_id"]}, {"$set": {"flags": None}})
    order(store, user, clock)
    assert Runner(store).run_one()
    left = {row["_id"] for row in archived.find({})}
    assert left == {rows[3]["_id"]}, "the copy of what is there is none any more"
    assert number(store, "messages") == 5
    (done,) = store.tasks.finished()
    assert done["progress"] == {"done": 4}


@pytest.mark.usefixtures("two_at_once")
def test_an_account_that_is_full_ends_the_job(store: Store, make_user: Make, clock: HandClock) -> None:
    user = make_user()
    archive(store, user, clock, 5)
    store.databases.users["users"].update_one({"_id": user}, {"$set": {"quota": 1}})
    order(store, user, clock)
    assert Runner(store).run_one()
    assert (number(store, "archived"), number(store, "messages"), store.tasks.all()) == (5, 0, [])


def test_the_mailbox_has_the_word_of_the_language(store: Store, make_user: Make, clock: HandClock) -> None:
    user = make_user()
    archive(store, user, clock, 1)
    store.databases.users["users"].update_one({"_id": user}, {"$set": {"language": "ET_ee"}})
    order(store, user, clock)
    assert Runner(store).run_one()
    assert store.mailboxes.by_path(user, f"Taastatud ({clock.now:%Y-%m-%d})")["subscribed"]


def test_an_account_that_is_gone_needs_no_restore(store: Store, clock: HandClock) -> None:
    order(store, ObjectId(), clock)
    assert Runner(store).run_one()
    assert store.tasks.all() == []


def test_a_step_reads_what_it_restores(store: Store, make_user: Make, clock: HandClock) -> None:
    user = make_user()
    archive(store, user, clock, 9)
    start, end = clock.now.replace(year=2020), clock.now
    first = store.archive.between(user, start, end, None, 3)
    found = plans(store, lambda: store.archive.between(user, start, end, first[-1], 3))
    assert [(indexes(plan), examined(plan)) for plan in found] == [({"user_archived_order"}, 0)]
    assert len({copy for _, copy in store.archive.between(user, start, end, None, 99)}) == 9


@pytest.mark.usefixtures("two_at_once")
@pytest.mark.parametrize("skip_archive", [True, False])
def test_a_mailbox_is_emptied_batch_by_batch(
    store: Store, make_user: Make, clock: HandClock, monkeypatch: pytest.MonkeyPatch, skip_archive: bool
) -> None:
    user = make_user()
    for n in range(7):
        add(store, user, n)
    box = store.mailboxes.by_path(user, "INBOX")["_id"]
    store.tasks.add("clear-folder", {"user": user, "mailbox": box, "skipArchive": skip_archive})
    die_before_step(store, monkeypatch, 1)
    assert store.tasks.all()[0]["progress"] == {"done": 2}
    assert number(store, "messages") == 3
    clock.now += LEASE
    assert Runner(store).run_one()
    assert (number(store, "messages"), number(store, "archived")) == (0, 0 if skip_archive else 7)
    assert store.users.get(user)["storageUsed"] == 0


def test_a_mailbox_that_is_gone_needs_no_emptying(store: Store, make_user: Make) -> None:
    store.tasks.add("clear-folder", {"user": make_user(), "mailbox": ObjectId()})
    assert Runner(store).run_one()
    assert store.tasks.all() == []

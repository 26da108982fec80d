"""The queue of webhooks: lanes are found, leased, kept in order and ended; nothing is stranded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from storage.events.documents import WebhookQueueEntry
from storage.events.webhook_queue import LEASE, Entry, Lane, LaneLost, WebhookQueue
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import together
from tests.storage.plans import examined, indexes, plans
from tests.storage.profiler import entries

A, B = "http://a.example.com:80", "http://b.example.com:80"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def own(mongo: MongoClient[dict[str, Any]], store: Store, clock: Clock) -> Iterator[Store]:
    """The store with a clock of its own, the queue emptied after the test."""
    yield Store(mongo, store.databases.names, clock)
    for name in ("webhookqueue", "webhooklanes", "webhooks"):
        store.databases.main[name].delete_many({})


@pytest.fixture
def queue(own: Store) -> WebhookQueue:
    return own.webhook_queue


def put(queue: WebhookQueue, hook: ObjectId, *numbers: int, target: str = A, user: str = "u") -> None:
    """Entries of one lane, the body being the number."""
    rows: list[WebhookQueueEntry] = [
        {
            "lane": f"{hook}:{user}", "n": number, "hook": hook, "user": None, "target": target, "type": "*",
            "body": {"n": number}, "since": queue._clock(),
        }
        for number in numbers
    ]  # fmt: skip
    queue.enqueue(rows)


def claimed(queue: WebhookQueue, busy: tuple[str, ...] = ()) -> Lane:
    lane = queue.claim(busy)
    assert lane
    return lane


def head(queue: WebhookQueue, lane: Lane) -> Entry:
    entry = queue.head(lane)
    assert entry
    return entry


def test_entries_come_in_the_order_of_their_numbers(queue: WebhookQueue) -> None:
    hook = ObjectId()
    put(queue, hook, 3, 1, 2)
    assert queue.discover() == 3
    assert queue.discover() == 0
    lane = claimed(queue)
    assert queue.claim() is None, "a lane has one runner"
    seen = []
    while entry := queue.head(lane):
        seen.append((entry.body["n"], queue.begin(lane, entry)))
        queue.accept(lane, entry)
    assert seen == [(1, 1), (2, 1), (3, 1)]
    queue.finish(lane)
    assert queue.claim() is None
    assert queue.states() == {}


def test_a_lane_whose_runner_died_is_taken_over_and_the_attempt_counts(
    queue: WebhookQueue, clock: Clock
) -> None:
    put(queue, ObjectId(), 1, 2)
    queue.discover()
    dead = claimed(queue)
    entry = head(queue, dead)
    assert queue.begin(dead, entry) == 1
    clock.now += LEASE - timedelta(seconds=1)
    assert queue.claim() is None, "the lease still runs"
    clock.now += timedelta(seconds=1)
    other = claimed(queue)
    assert head(queue, other).id == entry.id
    assert queue.begin(other, entry) == 2
    for late in (
        lambda: queue.begin(dead, entry),
        lambda: queue.give_up(dead, entry, 1, "x"),
    ):
        with pytest.raises(LaneLost):
            late()
    queue.release(dead)
    queue.finish(dead)
    queue.defer(dead, "x", timedelta(0))
    assert queue.claim() is None, "who lost a lane does not touch it any more"


def test_a_lane_that_is_at_work_keeps_its_lease(queue: WebhookQueue, clock: Clock) -> None:
    put(queue, ObjectId(), *range(5))
    queue.discover()
    lane = claimed(queue)
    for _ in range(5):
        entry = head(queue, lane)
        queue.begin(lane, entry)
        clock.now += LEASE - timedelta(seconds=1)
        assert queue.claim() is None
        queue.accept(lane, entry)


def test_what_comes_while_a_lane_ends_is_not_stranded(queue: WebhookQueue) -> None:
    """In each order of the three steps: the runner sees nothing, an entry comes, the lane is made or ended."""
    hook = ObjectId()
    put(queue, hook, 1)
    queue.discover()
    lane = claimed(queue)
    queue.accept(lane, head(queue, lane))
    assert queue.head(lane) is None
    put(queue, hook, 2)
    queue.discover()
    queue.finish(lane)
    again = claimed(queue)
    queue.accept(again, head(queue, again))
    assert queue.head(again) is None
    put(queue, hook, 3)
    queue.finish(again)
    assert queue.claim() is None
    queue.discover()
    assert head(queue, claimed(queue)).body == {"n": 3}


def test_finding_new_entries_may_break_off(queue: WebhookQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    put(queue, ObjectId(), 1)

    def gone(*args: Any) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(queue._entries, "update_many", gone, raising=False)
        with pytest.raises(OSError, match="gone"):
            queue.discover()
    assert queue.discover() == 1
    lane = claimed(queue)
    queue.accept(lane, head(queue, lane))
    queue.finish(lane)
    assert queue.claim() is None


def test_a_lane_that_was_put_off_waits_whatever_comes(queue: WebhookQueue, clock: Clock) -> None:
    hook = ObjectId()
    put(queue, hook, 1)
    queue.discover()
    for failures in range(3):
        lane = claimed(queue)
        assert lane.failures == failures
        entry = head(queue, lane)
        assert queue.begin(lane, entry) == failures + 1
        queue.defer(lane, "refused", timedelta(seconds=10))
        put(queue, hook, 2 + failures)
        queue.discover()
        clock.now += timedelta(seconds=9)
        assert queue.claim() is None
        clock.now += timedelta(seconds=1)
    (state,) = queue.states().values()
    assert (state["waiting"], state["failures"], state["error"]) == (4, 3, "refused")
    lane = claimed(queue)
    queue.accept(lane, head(queue, lane))
    queue.release(lane)
    assert claimed(queue).failures == 0


def test_busy_targets_are_passed_over(queue: WebhookQueue) -> None:
    for target in (A, A, A, B):
        put(queue, ObjectId(), 1, target=target)
    queue.discover()
    assert claimed(queue, (A,)).target == B
    assert queue.claim((A,)) is None
    assert claimed(queue).target == A


def test_of_many_runners_each_gets_another_lane(queue: WebhookQueue) -> None:
    for _ in range(30):
        put(queue, ObjectId(), 1)
    together(4, lambda _: queue.discover())
    lanes = together(40, lambda _: queue.claim())
    got = [lane.id for lane in lanes if lane]
    assert len(got) == len(set(got)) == 30


def test_a_dead_entry_leaves_its_lane_and_comes_back_to_its_place(queue: WebhookQueue, clock: Clock) -> None:
    hook = ObjectId()
    put(queue, hook, 1, 2)
    queue.discover()
    lane = claimed(queue)
    entry = head(queue, lane)
    queue.begin(lane, entry)
    clock.now += timedelta(days=1)
    queue.give_up(lane, entry, 7, "HTTP 400")
    assert head(queue, lane).body == {"n": 2}
    queue.release(lane)
    (dead,) = queue.dead(hook, 10)
    assert dead == {
        "id": entry.id, "hook": hook, "user": None, "type": "*", "died": clock.now, "attempts": 7,
        "error": "HTTP 400", "body": {"n": 1},
    }  # fmt: skip
    assert queue.dead(ObjectId(), 10) == []
    row = queue._entries.find_one({"_id": entry.id})
    assert row
    assert row["expires"] == clock.now + timedelta(days=30)
    clock.now += timedelta(hours=1)
    assert queue.requeue_dead([entry.id, ObjectId()]) == 1
    assert queue.requeue_dead([entry.id]) == 0
    assert queue.dead(None, 10) == []
    queue.discover()
    again = head(queue, claimed(queue))
    assert (again.body, again.attempts, again.since) == ({"n": 1}, 7, clock.now)
    row = queue._entries.find_one({"_id": entry.id})
    assert row
    assert row.keys() == {
        "_id", "lane", "n", "hook", "user", "target", "type", "body", "since", "attempts",
    }  # fmt: skip


def test_a_hook_that_is_gone_leaves_what_is_dead(queue: WebhookQueue) -> None:
    hook, other = ObjectId(), ObjectId()
    put(queue, hook, 1, 2)
    put(queue, other, 1)
    queue.discover()
    lane = claimed(queue)
    lane = lane if lane.hook == hook else claimed(queue)
    queue.give_up(lane, head(queue, lane), 1, "x")
    queue.drop_pending(hook)
    assert queue.is_idle(hook)
    assert not queue.is_idle(other)
    assert list(queue.states()) == [other]
    assert len(queue.dead(hook, 10)) == 1


def test_every_read_is_led_by_an_index(own: Store) -> None:
    queue, hooks = own.webhook_queue, [ObjectId() for _ in range(30)]
    for hook in hooks:
        put(queue, hook, *range(20))
    queue.discover()
    queue.discover()
    lane = claimed(queue)
    for _ in range(5):
        queue.give_up(lane, head(queue, lane), 1, "x")
    put(queue, hooks[0], 100)

    def plan_of(work: Callable[[], Any]) -> Row:
        (plan,) = plans(own, work)
        return plan

    for work, index, most in (
        (lambda: queue.head(lane), "lane_order", 1),
        (lambda: queue.is_idle(hooks[3]), "waiting", 1),
        (lambda: queue.dead(None, 3), "dead", 3),
    ):
        plan = plan_of(work)
        assert indexes(plan) == {index}
        assert examined(plan) <= most
    assert indexes(plan_of(queue.discover)) == {"fresh"}
    used = [indexes(plan) for plan in plans(own, queue.states)]
    assert used == [{"waiting"}, {"by_hook"}]


def test_a_claim_reads_the_lane_it_takes(own: Store) -> None:
    queue, main = own.webhook_queue, own.databases.main
    for number in range(40):
        put(queue, ObjectId(), 1, target=A if number else B)
    queue.discover()
    targets: list[str] = []

    def claim_two() -> None:
        targets.append(claimed(queue, (A,)).target)
        claimed(queue)

    seen = [row for row in entries(main, claim_two) if "findAndModify" in row["command"]]
    assert targets == [B]
    assert [row["docsExamined"] for row in seen] == [1, 1]
    assert all(row["planSummary"] == "IXSCAN { due: 1, target: 1 }" for row in seen)


def test_listings_of_hooks_are_led_by_an_index(own: Store) -> None:
    from storage.base.paging import Paging

    user = ObjectId()
    rows = [
        {"type": ["user.*", f"t{n}"], "user": user if n % 2 else ObjectId(), "url": "http://x.example.com"}
        for n in range(60)
    ]
    own.databases.users["webhooks"].insert_many(rows)
    for kind, of in (("user.*", None), (None, user), ("user.*", user)):
        for plan in plans(own, lambda kind=kind, of=of: own.webhooks.page(kind, of, Paging(limit=5))):
            indexes(plan)
            if "find" in plan["command"]:
                assert examined(plan) <= 12, (kind, of)
    own.webhooks._known = None
    for plan in plans(own, lambda: own.webhooks.listening(user)):
        indexes(plan)

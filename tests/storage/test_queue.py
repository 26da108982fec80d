"""The outbound queue as a sender sees it: claims, turns, leases, and no scan however long it is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from bson import ObjectId
from pymongo import MongoClient

from storage.base.database import DatabaseNames
from storage.queue.claims import Entry
from storage.queue.documents import EntryOptions
from storage.queue.outbound_queue import Delivery, new_queue_id
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import together
from tests.storage.plans import indexes, plans, values
from tests.storage.profiler import profiled

SPAN = timedelta(minutes=2)


@pytest.fixture
def queue(store: Store) -> Iterator[Store]:
    """The store with an empty queue."""
    yield store
    for name in ("zone-queue", "mail.files", "mail.chunks"):
        store.databases.sender[name].delete_many({})


def put(store: Store, *recipients: str, later: timedelta = timedelta(0), **options: Any) -> str:
    queue_id = new_queue_id(store.clock())
    store.outbound_queue.put({"id": queue_id, "from": "ada@example.com"}, b"Hello")
    deliveries = [Delivery(recipient, cast(EntryOptions, options)) for recipient in recipients]
    store.outbound_queue.enqueue(queue_id, deliveries, store.clock() + later)
    return queue_id


def claim(store: Store, owner: str = "one", **options: Any) -> Entry | None:
    return store.queue_claims.claim_next(owner, SPAN, **options)


def row(store: Store, entry: Entry) -> Row | None:
    return store.databases.sender["zone-queue"].find_one({"_id": entry.key})


def test_a_claim_looks_like_one_of_a_zonemta(queue: Store) -> None:
    queue_id = put(queue, "grace@example.org", mxPort=25)
    entry = claim(queue)
    assert entry
    assert (entry.queue_id, entry.seq, entry.recipient, entry.domain) == (
        queue_id,
        "001",
        "grace@example.org",
        "example.org",
    )
    assert entry.options == {"mxPort": 25}
    found = row(queue, entry)
    assert found
    assert (found["locked"], found["assigned"]) == (True, "one")
    assert abs(found["lockTime"] - time.time() * 1000) < 5000
    assert claim(queue, "two") is None


def test_each_is_claimed_once_by_many_at_a_time(queue: Store) -> None:
    for number in range(100):
        put(queue, f"u{number}@d{number % 9}.example")
    claimed = [e for e in together(140, lambda number: claim(queue, f"owner{number}")) if e]
    assert not [e for e in claimed if isinstance(e, Exception)]
    assert len({e.key for e in claimed}) == len(claimed) == 100


def test_what_is_not_due_or_not_free_is_not_claimed(queue: Store) -> None:
    put(queue, "later@example.org", later=timedelta(minutes=1))
    for fields in ({"sendingZone": "bulk"}, {"assigned": "mta1"}, {"locked": True}):
        put(queue, "other@example.org", **fields)
    assert not queue.queue_claims.has_due()
    assert claim(queue) is None


def test_domains_have_their_turns(queue: Store) -> None:
    for domain in ("a", "a", "a", "b", "c", "c"):
        put(queue, f"x@{domain}.example")
    turns, last = [], ""
    while entry := claim(queue, after=last):
        turns.append(last := entry.domain)
    assert turns == ["a.example", "b.example", "c.example", "a.example", "c.example", "a.example"]


def test_busy_domains_are_passed_over(queue: Store) -> None:
    for domain in ("a", "b", "c"):
        put(queue, f"x@{domain}.example")
    entry = claim(queue, after="a.example", busy=["b.example", "c.example"])
    assert entry
    assert entry.domain == "a.example"
    assert claim(queue, busy=["b.example", "c.example"]) is None


def test_of_a_domain_the_longest_due_is_the_first(queue: Store) -> None:
    late = put(queue, "x@example.org", later=timedelta(minutes=-1))
    early = put(queue, "x@example.org", later=timedelta(minutes=-9))
    found = [queue.queue_claims.claim_for_domain("one", SPAN, "example.org") for _ in range(3)]
    assert [entry and entry.queue_id for entry in found] == [early, late, None]


class TestLeases:
    def test_a_lapsed_claim_is_free_again(self, queue: Store) -> None:
        put(queue, "x@example.org")
        entry = queue.queue_claims.claim_next("dead", timedelta(seconds=-1))
        assert entry
        assert queue.queue_claims.release_lapsed() == 1
        again = claim(queue, "two")
        assert again
        assert again.key == entry.key

    def test_a_renewed_one_is_not(self, queue: Store) -> None:
        put(queue, "x@example.org", "y@example.org")
        for _ in range(2):
            queue.queue_claims.claim_next("one", timedelta(seconds=-1))
        assert queue.queue_claims.renew("one", SPAN) == 2
        assert queue.queue_claims.release_lapsed() == 0

    def test_that_of_a_zonemta_is_left_alone(self, queue: Store) -> None:
        put(queue, "x@example.org", locked=True, lockTime=1, assigned="mta1")
        assert queue.queue_claims.release_lapsed() == 0
        assert claim(queue) is None

    def test_whoever_lost_a_claim_changes_nothing(self, queue: Store) -> None:
        put(queue, "x@example.org")
        lost = queue.queue_claims.claim_next("dead", timedelta(seconds=-1))
        assert lost
        queue.queue_claims.release_lapsed()
        assert claim(queue, "two")
        assert not queue.queue_claims.finish(lost, "dead")
        assert not queue.queue_claims.defer(lost, "dead", queue.clock(), {})
        assert not queue.queue_claims.release(lost, "dead")
        found = row(queue, lost)
        assert found
        assert found["assigned"] == "two"


class TestOperator:
    def test_what_waits_is_listed_in_the_order_of_its_time(self, queue: Store) -> None:
        put(queue, "later@example.org", later=timedelta(hours=1))
        put(queue, "now@example.org")
        put(queue, "x@example.net")
        listed = [r["recipient"] for r in queue.outbound_queue.waiting()]
        assert listed == ["now@example.org", "x@example.net", "later@example.org"]
        assert [r["recipient"] for r in queue.outbound_queue.waiting(limit=1)] == ["now@example.org"]
        of_domain = [r["recipient"] for r in queue.outbound_queue.waiting(domain="example.org")]
        assert of_domain == ["now@example.org", "later@example.org"]

    def test_tried_again_at_once(self, queue: Store) -> None:
        queue_id = put(queue, "a@example.org", "b@example.org", later=timedelta(hours=1), assigned="mta1")
        assert queue.outbound_queue.retry(queue_id, ["002"]) == 1
        entry = claim(queue)
        assert entry
        assert entry.seq == "002"
        assert queue.outbound_queue.retry(queue_id) == 1, "not the one that is being tried"
        assert queue.outbound_queue.retry("0" * 18) == 0

    def test_removed_with_its_message(self, queue: Store) -> None:
        queue_id = put(queue, "a@example.org", "b@example.org")
        assert queue.outbound_queue.remove(queue_id, ["001"]) == 1
        assert queue.outbound_queue.envelope(queue_id)
        assert queue.outbound_queue.remove(queue_id) == 1
        assert queue.outbound_queue.envelope(queue_id) is None
        assert queue.outbound_queue.remove(queue_id) == 0


class TestFiles:
    def test_a_message_is_read_back(self, queue: Store) -> None:
        queue_id = put(queue, "a@example.org")
        found = queue.outbound_queue.read(queue_id)
        assert found
        assert (found[0]["from"], found[1]) == ("ada@example.com", b"Hello")
        assert queue.outbound_queue.read("0" * 18) is None

    def test_leftovers_are_found_by_indexes(self, queue: Store) -> None:
        for _ in range(10):
            put(queue, "a@example.org")
        late = Store(queue.databases.client, queue.databases.names, lambda: queue.clock() + timedelta(days=2))
        entries, pieces = plans(queue, lambda: late.outbound_queue.sweep(10))
        assert (indexes(entries), indexes(pieces)) == ({"by_upload"}, {"files_id_1_n_1"})
        assert [list(values(plan, "collectionScans")) for plan in (entries, pieces)] == [[0], [0]]
        assert max(values(pieces, "totalKeysExamined")) == 10, "a key a message, however many pieces it has"


@pytest.fixture(scope="module")
def long(mongo: MongoClient[dict[str, Any]]) -> Iterator[Store]:
    """50,000 recipients: most for one domain, the rest spread, a third of all for later."""
    store = Store(mongo, DatabaseNames(main="test_long_queue"))
    store.ensure_indexes()
    now = store.clock()
    common = {"sendingZone": "default", "assigned": "no", "locked": False, "lockTime": 0, "created": now}
    rows = [
        {
            "id": f"{number:018x}",
            "seq": "001",
            "recipient": "x",
            "domain": f"d{number % 1000}.example" if number % 5 == 0 else "big.example",
            "queued": now + timedelta(hours=1 if number % 3 == 0 else -1),
            **common,
        }
        for number in range(50_000)
    ]
    store.databases.sender["zone-queue"].insert_many(rows)
    yield store
    mongo.drop_database("test_long_queue")


class TestLongQueue:
    def keys_read(self, store: Store, work: Any) -> int:
        entries = profiled(store.databases.sender, "zone-queue", work)
        assert entries
        assert all("COLLSCAN" not in entry["planSummary"] for entry in entries)
        assert not any(entry.get("hasSortStage") for entry in entries)
        return max(entry["keysExamined"] for entry in entries)

    def test_a_claim_reads_a_few_keys(self, long: Store) -> None:
        for after, busy in (("", []), ("d500.example", []), ("c", ["big.example"]), ("zzz", ["big.example"])):
            read = self.keys_read(long, lambda a=after, b=busy: claim(long, after=a, busy=b))
            assert read < 20, (after, busy)

    def test_so_do_those_of_one_domain(self, long: Store) -> None:
        assert (
            self.keys_read(long, lambda: long.queue_claims.claim_for_domain("one", SPAN, "big.example")) < 20
        )

    def test_the_look_whether_anything_is_due(self, long: Store) -> None:
        assert self.keys_read(long, long.queue_claims.has_due) < 20

    def test_leases(self, long: Store) -> None:
        for _ in range(5):
            claim(long, "some")
        assert self.keys_read(long, lambda: long.queue_claims.renew("some", SPAN)) < 20
        assert self.keys_read(long, long.queue_claims.release_lapsed) < 50

    def test_a_listing_reads_its_page(self, long: Store) -> None:
        assert self.keys_read(long, lambda: list(long.outbound_queue.waiting(limit=100))) <= 101

    def test_when_all_of_a_thousand_domains_wait_for_later(self, long: Store) -> None:
        """The turn goes past each domain once, not past each recipient."""
        queue = long.databases.sender["zone-queue"]
        explain = {
            "sendingZone": "default",
            "locked": False,
            "assigned": "no",
            "domain": {"$gt": ""},
            "queued": {"$lte": long.clock() - timedelta(days=1)},
        }
        plan = queue.find(explain).sort([("domain", 1), ("queued", 1)]).hint("turns").limit(1).explain()
        assert max(values(plan, "totalKeysExamined")) < 3000
        assert "SORT" not in set(values(plan, "stage"))

    def test_claims_are_fair(self, long: Store) -> None:
        last, turns = "", Counter[str]()
        for _ in range(200):
            entry = claim(long, "fair", after=last)
            assert entry
            last = entry.domain
            turns[last] += 1
        assert turns["big.example"] <= 1


def test_an_entry_has_what_sending_needs(queue: Store) -> None:
    put(queue, "x@example.org", http=True, targetUrl="https://example.net/")
    entry = claim(queue)
    assert entry
    assert entry.options == {"http": True, "targetUrl": "https://example.net/"}
    assert isinstance(entry.key, ObjectId)

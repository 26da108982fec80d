"""The relay over its queue: what is delivered, put off, given up, and never lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from delivery.relay.routes import SmartHost
from delivery.relay.session import Timeouts
from delivery.sending.enqueue import server_of
from storage.queue.outbound_queue import Delivery
from storage.store import Store
from tests.delivery.relay.conftest import RAW, Bench, Clock, files, make_carrier, put, rows, to_sinks
from tests.delivery.relay.sinks import FakeDns, Sink

Start = Callable[..., Any]


def through(server: Sink, **options: Any) -> Any:
    """A carrier that takes all to one sink, whatever the domain."""
    return make_carrier(FakeDns({}), smart_host=SmartHost(host=server.host, port=server.port), **options)


def refusing(answers: dict[str, str]) -> Callable[[str], str | None]:
    return lambda address: answers.get(address.partition("@")[0])


def run_until(bench: Bench, done: Callable[[], bool], seconds: float = 15) -> None:
    """Run the relay itself, in a thread, until something holds."""
    thread = threading.Thread(target=bench.relay.run)
    thread.start()
    deadline = time.monotonic() + seconds
    try:
        while not done() and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        bench.relay.stop()
        thread.join(20)
    assert done()
    assert not thread.is_alive()


def test_what_is_delivered_leaves_nothing_behind(queue_store: Store, sink: Start) -> None:
    server = sink()
    put(queue_store, "grace@example.org", "b@example.net")
    Bench(queue_store, through(server)).round()
    assert server.recipients == ["b@example.net", "grace@example.org"]
    assert {mail.content for mail in server.mails} == {RAW}
    assert rows(queue_store) == []
    assert files(queue_store) == (0, 0)


def test_the_message_stays_until_its_last_recipient_is_through(
    queue_store: Store, sink: Start, clock: Clock
) -> None:
    answers = {"later": "450 4.2.2 full"}
    server = sink(rcpt=refusing(answers))
    put(queue_store, "grace@example.org", "later@example.org")
    bench = Bench(queue_store, through(server))
    bench.round()
    assert [row["recipient"] for row in rows(queue_store)] == ["later@example.org"]
    assert files(queue_store) == (1, 1)
    answers.clear()
    clock.forward(hours=1)
    bench.round()
    assert server.recipients == ["grace@example.org", "later@example.org"]
    assert files(queue_store) == (0, 0)


def test_what_is_put_off_is_in_the_form_of_a_zonemta(queue_store: Store, sink: Start, clock: Clock) -> None:
    server = sink(rcpt=lambda address: "450 4.2.2 full")
    put(queue_store, "grace@example.org")
    bench = Bench(queue_store, through(server))
    bench.round()
    (row,) = rows(queue_store)
    assert timedelta(minutes=5) <= row["queued"] - clock.now <= timedelta(minutes=6)
    assert (row["locked"], row["lockTime"], row["assigned"]) == (False, 0, "no")
    assert "mallard" not in row
    deferred = row["_deferred"]
    ms = int(clock.now.timestamp() * 1000)
    assert (deferred["first"], deferred["last"], deferred["count"]) == (ms, ms, 1)
    assert deferred["next"] == int(row["queued"].timestamp() * 1000)
    assert deferred["response"] == "450 4.2.2 full"
    bench.round()
    assert rows(queue_store) == [row], "it is not tried before its time"


def test_five_days_and_then_a_report(queue_store: Store, sink: Start, clock: Clock) -> None:
    asked = []

    def later(address: str) -> str | None:
        if address != "grace@example.org":
            return None
        asked.append(clock.now)
        return "451 4.7.1 greylisted"

    server = sink(rcpt=later)
    begun = clock.now
    put(queue_store, "grace@example.org")
    bench = Bench(queue_store, through(server))
    for _ in range(5 * 24 * 4 + 40):
        bench.round()
        if server.mails:
            break
        clock.forward(minutes=15)
    assert timedelta(days=5) <= asked[-1] - begun <= timedelta(days=5, minutes=15)
    assert 25 <= len(asked) <= 36
    (report,) = server.mails
    assert (report.sender, report.recipient) == ("", "ada@example.com")
    assert b"Status: 5.7.1\r\n" in report.content
    assert b"Diagnostic-Code: smtp; 451 4.7.1 greylisted\r\n" in report.content
    assert rows(queue_store) == []
    assert files(queue_store) == (0, 0)


def test_a_refusal_is_reported_at_once(queue_store: Store, sink: Start) -> None:
    server = sink(rcpt=refusing({"grace": "550 5.1.1 No such user"}))
    put(queue_store, "grace@example.org", "b@example.org")
    Bench(queue_store, through(server)).round()
    assert server.recipients == ["ada@example.com", "b@example.org"]
    report = next(mail for mail in server.mails if mail.recipient == "ada@example.com")
    parsed = message_from_bytes(report.content, policy=policy.default)
    assert parsed.get_content_type() == "multipart/report"
    assert "Dear Grace" not in report.content.decode()
    assert "Subject: Hello" in report.content.decode()
    assert rows(queue_store) == []
    assert files(queue_store) == (0, 0)


def test_a_report_is_never_reported(queue_store: Store, sink: Start) -> None:
    server = sink(rcpt=lambda address: "550 5.1.1 No such user")
    put(queue_store, "grace@example.org")
    put(queue_store, "grace@example.org", sender="")
    Bench(queue_store, through(server)).round()
    assert server.mails == []
    assert rows(queue_store) == []
    assert files(queue_store) == (0, 0)


def test_a_report_stands_in_the_queue_like_any_message(queue_store: Store, sink: Start) -> None:
    server = sink(rcpt=lambda address: "550 5.1.1 No" if address.startswith("grace") else "450 4.2.0 later")
    user = ObjectId()
    put(queue_store, "grace@example.org", user=user)
    Bench(queue_store, through(server)).round()
    (row,) = rows(queue_store)
    assert (row["recipient"], row["domain"], row["seq"]) == ("ada@example.com", "example.com", "001")
    envelope = queue_store.outbound_queue.envelope(row["id"])
    assert envelope
    assert (envelope["from"], envelope["reason"], envelope["interface"]) == ("", "bounce", "bounce")


def test_scheduled_mail_goes_at_its_time(queue_store: Store, sink: Start, clock: Clock) -> None:
    server = sink()
    put(queue_store, "grace@example.org", send_at=clock.now + timedelta(hours=2))
    bench = Bench(queue_store, through(server))
    clock.forward(hours=1, minutes=59)
    bench.round()
    assert server.mails == []
    clock.forward(minutes=1)
    bench.round()
    assert server.recipients == ["grace@example.org"]


def test_cancelled_until_it_is_claimed(queue_store: Store, sink: Start) -> None:
    server = sink()
    first, second = put(queue_store, "a@example.org"), put(queue_store, "b@example.org")
    bench = Bench(queue_store, through(server))
    claimed = queue_store.queue_claims.claim_next(bench.lease.owner, bench.lease.span)
    assert claimed
    assert claimed.queue_id == first
    assert (queue_store.outbound_queue.remove(first), queue_store.outbound_queue.remove(second)) == (0, 1)
    assert files(queue_store) == (1, 1)
    bench.worker.handle(claimed)
    bench.round()
    assert server.recipients == ["a@example.org"]
    assert files(queue_store) == (0, 0)


def test_a_message_that_is_gone_is_given_up_in_the_end(queue_store: Store, sink: Start, clock: Clock) -> None:
    put(queue_store, "grace@example.org")
    queue_store.databases.sender["mail.files"].delete_many({})
    bench = Bench(queue_store, through(sink()))
    bench.round()
    assert rows(queue_store)[0]["_deferred"]["response"] == "450 4.3.0 The message is not in the store"
    clock.forward(days=6)
    bench.round()
    assert rows(queue_store) == []


def test_a_fault_of_our_own_neither_loses_nor_stops(queue_store: Store, sink: Start) -> None:
    server = sink()
    put(queue_store, Delivery("broken@example.org", {"mx": [{"nonsense": 1}]}))
    put(queue_store, "b@example.org")
    Bench(queue_store, through(server)).round()
    assert server.recipients == ["b@example.org"]
    (row,) = rows(queue_store)
    assert row["_deferred"]["response"] == "450 4.3.0 Internal error: KeyError"


def test_a_database_that_is_away_as_it_is_noted(
    queue_store: Store, sink: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has accepted: it must not be sent again because the first try to say so failed."""
    server = sink()
    put(queue_store, "grace@example.org")
    bench = Bench(queue_store, through(server))
    finish, failures = (
        queue_store.queue_claims.finish,
        iter([AutoReconnect("away"), AutoReconnect("away"), None]),
    )

    def sometimes(*arguments: Any) -> bool:
        if error := next(failures):
            raise error
        return finish(*arguments)

    monkeypatch.setattr(queue_store.queue_claims, "finish", sometimes)
    bench.round()
    bench.round()
    assert len(server.mails) == 1
    assert rows(queue_store) == []


def test_without_transactions(queue_store: Store, sink: Start) -> None:
    queue_store.transactions.available = False
    server = sink(rcpt=refusing({"grace": "550 5.1.1 No such user"}))
    put(queue_store, "grace@example.org")
    Bench(queue_store, through(server)).round()
    assert server.recipients == ["ada@example.com"]
    assert rows(queue_store) == []


def test_a_target_of_its_own(queue_store: Store, sink: Start) -> None:
    server = sink()
    put(queue_store, Delivery("ada@example.com", server_of(f"smtp://127.0.0.1:{server.port}")))
    Bench(queue_store, make_carrier(FakeDns({}))).round()
    assert server.recipients == ["ada@example.com"]


def test_a_target_at_a_private_address_is_given_up(queue_store: Store, sink: Start) -> None:
    server = sink()
    put(queue_store, Delivery("x@example.org", server_of(f"smtp://127.0.0.1:{server.port}")), sender="")
    Bench(queue_store, make_carrier(FakeDns({}), allow_private=False)).round()
    assert server.mails == []
    assert rows(queue_store) == []


class TestRunning:
    def test_many_messages_over_few_connections(self, store: Store, sink: Start) -> None:
        server = sink()
        for number in range(120):
            put(store, f"u{number}@example.org")
        bench = Bench(store, to_sinks(server), connections=8, per_domain=2)
        run_until(bench, lambda: len(server.mails) == 120)
        assert Counter(server.recipients).most_common(1)[0][1] == 1
        assert server.connections <= 6
        assert rows(store) == []
        assert files(store) == (0, 0)

    def test_a_domain_has_no_more_connections_than_it_may(self, store: Store, sink: Start) -> None:
        server = sink(pause=0.03)
        for number in range(40):
            put(store, f"u{number}@example.org")
        bench = Bench(store, to_sinks(server), connections=10, per_domain=3)
        run_until(bench, lambda: len(server.mails) == 40)
        assert server.connections == 3

    def test_a_long_queue_for_one_domain_does_not_hold_up_another(self, store: Store, sink: Start) -> None:
        slow, quick = sink(pause=0.1), sink(host="127.0.0.2")
        quick_port = slow.port
        quick.stop()
        quick = sink(host="127.0.0.2", port=quick_port)
        for number in range(60):
            put(store, f"u{number}@slow.example")
        put(store, "late@quick.example")
        records = {("slow.example", "A"): ["127.0.0.1"], ("quick.example", "A"): ["127.0.0.2"]}
        carrier = make_carrier(FakeDns(records), port=slow.port)
        bench = Bench(store, carrier, connections=4, per_domain=2)
        run_until(bench, lambda: bool(quick.mails))
        assert len(slow.mails) < 20

    def test_two_relays_share_a_queue(self, store: Store, sink: Start) -> None:
        server = sink()
        for number in range(80):
            put(store, f"u{number}@d{number % 7}.example")
        benches = [Bench(store, through(server), connections=4) for _ in range(2)]
        threads = [threading.Thread(target=bench.relay.run) for bench in benches]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while rows(store) and time.monotonic() < deadline:
            time.sleep(0.02)
        for bench, thread in zip(benches, threads, strict=True):
            bench.relay.stop()
            thread.join(20)
        assert server.recipients == sorted(f"u{n}@d{n % 7}.example" for n in range(80))

    def test_what_a_dead_relay_had_is_taken_over(self, store: Store, sink: Start) -> None:
        server = sink()
        put(store, "grace@example.org")
        dead = Bench(store, through(server), lease=1)
        assert store.queue_claims.claim_next(dead.lease.owner, dead.lease.span)
        living = Bench(store, through(server), lease=2)
        run_until(living, lambda: not rows(store))
        assert server.recipients == ["grace@example.org"]

    def test_a_long_attempt_is_not_taken_over(self, store: Store, sink: Start) -> None:
        """The lease is renewed while the server thinks."""
        server = sink(pause=2.5)
        put(store, "grace@example.org")
        first = Bench(store, through(server, timeouts=Timeouts(content=10)), lease=1)
        second = Bench(store, through(server, timeouts=Timeouts(content=10)), lease=1)
        threads = [threading.Thread(target=bench.relay.run) for bench in (first, second)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while rows(store) and time.monotonic() < deadline:
            time.sleep(0.02)
        for bench, thread in zip((first, second), threads, strict=True):
            bench.relay.stop()
            thread.join(20)
        assert server.recipients == ["grace@example.org"]

    def test_a_stop_finishes_what_has_begun(self, store: Store, sink: Start) -> None:
        server = sink(pause=0.3)
        for number in range(10):
            put(store, f"u{number}@example.org")
        bench = Bench(store, to_sinks(server), connections=2, per_domain=2)
        run_until(bench, lambda: server.connections == 2)
        left = rows(store)
        assert len(server.mails) + len(left) == 10
        assert not any(row["locked"] for row in left)

    def test_an_abort_ends_a_wait(self, store: Store, sink: Start) -> None:
        server = sink(pause=30)
        put(store, "grace@example.org")
        bench = Bench(store, through(server, timeouts=Timeouts(content=60)))
        thread = threading.Thread(target=bench.relay.run)
        thread.start()
        while not any("354" in text for text in server.said):
            time.sleep(0.02)
        bench.relay.stop()
        bench.relay.abort()
        thread.join(5)
        assert not thread.is_alive()
        (row,) = rows(store)
        assert row["_deferred"]["count"] == 1

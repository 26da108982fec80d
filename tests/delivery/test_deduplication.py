"""A message that comes again is not stored again, nor forwarded or answered again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from delivery.inbound.arrival import Arrival, Envelope, Reading
from delivery.inbound.recipients import Recipients
from delivery.inbound.storing import Inbound, Outcome
from handlers.addresses import create_forwarded_address, create_user_address
from handlers.autoreplies import update_autoreply
from handlers.call import Call
from handlers.filters import create_filter
from handlers.mailboxes import create_mailbox
from storage.queue.received import Key, Repeated
from storage.store import Store

MakeUser = Callable[..., ObjectId]
HEAD = (
    b"From: Grace <grace@example.org>\r\nTo: ada@example.com\r\nSubject: Hello\r\n"
    b"Date: Wed, 25 Nov 2026 10:00:00 +0000\r\n"
)
PLAIN = HEAD + b"\r\nDear Ada\r\n"
NAMED = HEAD + b"Message-ID: <one@example.org>\r\n\r\nDear Ada\r\n"


@pytest.fixture(params=["replica set", "lone server"])
def server(request: pytest.FixtureRequest, store: Store, start_lmtp: Any) -> Iterator[Any]:
    """A server with transactions, and one without."""
    if request.param == "lone server":
        store.transactions.available = False
    return start_lmtp()


@pytest.fixture
def ada(call: Call, make_user: MakeUser) -> ObjectId:
    """An account that forwards and answers."""
    user = make_user("ada", targets=["x@y.example"])
    update_autoreply(call=call, user=user, body={"status": True, "text": "Away"})
    create_user_address(call=call, user=user, body={"address": "second@example.com"})
    return user


@pytest.mark.parametrize("raw", [PLAIN, NAMED])
def test_a_message_sent_again(server: Any, inboxes: Any, ada: ObjectId, raw: bytes) -> None:
    (first,) = server.send(raw, "ada@example.com")
    again = [server.send(raw, "ada@example.com")[0] for _ in range(3)]
    (stored,) = inboxes.messages(ada)
    assert first == f"250 2.1.5 Message stored as {stored['_id']}"
    assert again == [f"250 2.1.5 Message dropped as duplicate of {stored['_id']}"] * 3
    assert len(inboxes.queued()) == 2
    assert inboxes.files() == 2
    assert stored["outbound"] == [entry["id"] for entry in inboxes.queued()]
    assert inboxes.store.users.get(ada)["storageUsed"] == stored["size"]


def test_what_an_mta_writes_anew_makes_no_difference(server: Any, inboxes: Any, ada: ObjectId) -> None:
    for number in range(3):
        fields = (
            f"Return-Path: <grace@example.org>\r\nDelivery-date: {number}\r\nEnvelope-to: ada@example.com\r\n"
        )
        server.send(fields.encode() + PLAIN, "ada@example.com")
    assert len(inboxes.messages(ada)) == 1


def test_a_copy_on_another_way(server: Any, inboxes: Any, ada: ObjectId) -> None:
    server.send(
        b"Received: from list by mx; now\r\n" + NAMED, "second@example.com", sender="list@example.org"
    )
    (reply,) = server.send(NAMED, "ada@example.com")
    (stored,) = inboxes.messages(ada)
    assert reply == f"250 2.1.5 Message dropped as duplicate of {stored['_id']}"
    assert len(inboxes.queued()) == 2


def test_two_addresses_of_one_account_in_one_envelope(server: Any, inboxes: Any, ada: ObjectId) -> None:
    replies = server.send(NAMED, "ada@example.com", "second@example.com")
    (stored,) = inboxes.messages(ada)
    told = {f"250 2.1.5 Message {what} {stored['_id']}" for what in ("stored as", "dropped as duplicate of")}
    assert set(replies) == told


@pytest.mark.parametrize(
    "other",
    [
        NAMED.replace(b"Dear Ada", b"Dear Eve"),
        NAMED.replace(b"10:00:00", b"10:00:01"),
        NAMED.replace(b"<one@", b"<two@"),
        PLAIN,
    ],
)
def test_other_messages(server: Any, inboxes: Any, ada: ObjectId, other: bytes) -> None:
    server.send(NAMED, "ada@example.com")
    assert " stored as " in server.send(other, "ada@example.com")[0]
    assert len(inboxes.messages(ada)) == 2


def test_the_same_in_another_mailbox(server: Any, inboxes: Any, call: Call, ada: ObjectId) -> None:
    body: Any = {"path": "Work"}
    box = create_mailbox(call=call, user=ada, body=body)["id"]
    create_filter(call=call, user=ada, body={"query": {"to": "second@"}, "action": {"mailbox": box}})
    server.send(NAMED, "ada@example.com")
    server.send(NAMED, "second@example.com")
    assert len(inboxes.messages(ada, "INBOX")) == len(inboxes.messages(ada, "Work")) == 1


def test_filters_that_changed_meanwhile(server: Any, inboxes: Any, call: Call, ada: ObjectId) -> None:
    server.send(PLAIN, "ada@example.com")
    create_filter(call=call, user=ada, body={"query": {"from": "grace"}, "action": {"spam": True}})
    assert "duplicate" in server.send(PLAIN, "ada@example.com")[0]


def test_what_was_deleted_stays_so_when_it_is_sent_again_but_another_copy_is_new(
    server: Any, inboxes: Any, store: Store, ada: ObjectId
) -> None:
    server.send(NAMED, "ada@example.com")
    store.databases.main["messages"].delete_many({"user": ada})
    assert "duplicate" in server.send(NAMED, "ada@example.com")[0]
    assert " stored as " in server.send(NAMED, "second@example.com")[0]
    assert "duplicate" in server.send(NAMED, "second@example.com")[0]
    assert len(inboxes.messages(ada)) == 1


def test_what_a_filter_drops_is_forwarded_once(server: Any, inboxes: Any, call: Call, ada: ObjectId) -> None:
    action = {"delete": True, "targets": ["filter@y.example"]}
    create_filter(call=call, user=ada, body={"query": {"from": "grace"}, "action": action})
    replies = [server.send(PLAIN, "ada@example.com")[0] for _ in range(3)]
    assert "dropped by policy" in replies[0]
    assert all("duplicate" in reply for reply in replies[1:])
    assert [entry["recipient"] for entry in inboxes.queued()] == ["filter@y.example"]


def test_a_forwarded_address_forwards_once(server: Any, inboxes: Any, call: Call) -> None:
    create_forwarded_address(call=call, body={"address": "team@example.com", "targets": ["x@y.example"]})
    replies = [server.send(PLAIN, "team@example.com")[0] for _ in range(3)]
    assert "forwarded" in replies[0]
    assert all("duplicate" in reply for reply in replies[1:])
    assert len(inboxes.queued()) == 1


def test_what_is_full_with_the_message_itself_has_it(
    server: Any, inboxes: Any, call: Call, make_user: MakeUser
) -> None:
    create_forwarded_address(
        call=call, body={"address": "team@example.com", "targets": ["x@y.example"], "forwards": 1}
    )
    ada = make_user("ada", quota=500)
    named = [(PLAIN, "team@example.com"), (PLAIN, "ada@example.com")]
    assert all(server.send(*one)[0].startswith("250") for one in named)
    assert all("duplicate" in server.send(*one)[0] for one in named)
    assert "450" in server.send(NAMED, "team@example.com")[0]
    assert "452" in server.send(NAMED, "ada@example.com")[0]
    assert len(inboxes.messages(ada)) == len(inboxes.queued()) == 1


@pytest.mark.parametrize("raw", [PLAIN, NAMED])
def test_many_at_once(start_lmtp: Any, inboxes: Any, ada: ObjectId, raw: bytes) -> None:
    """A client that gave up waiting sends it again while the first is still on its way."""
    server = start_lmtp(lmtp_checks=())
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda _: server.send(raw, "ada@example.com")[0], range(24)))
    assert sum(" stored as " in reply for reply in replies) == 1
    assert all(reply.startswith(("250", "451")) for reply in replies)
    assert len(inboxes.messages(ada)) == 1
    assert sorted(entry["data"]["reason"] for entry in inboxes.queued()) == ["autoreply", "forward"]
    assert inboxes.files() == 2


class Died(BaseException):
    """The process ended."""


STEPS = [
    ("users", "reserve_storage"), ("mailboxes", "allocate"), ("journal", "append"), ("outbound_queue", "enqueue"),
    ("received", "record"),
]  # fmt: skip
ENDS = [(transactions, *step) for transactions in (True, False) for step in STEPS]


@pytest.mark.parametrize(("transactions", "where", "method"), [*ENDS, (False, "received", "finish")])
@pytest.mark.parametrize("raw", [PLAIN, NAMED])
def test_a_process_that_ends_at_any_step(
    store: Store,
    inboxes: Any,
    ada: ObjectId,
    monkeypatch: pytest.MonkeyPatch,
    transactions: bool,
    raw: bytes,
    where: str,
    method: str,
) -> None:
    """What it leaves does not keep the MTA's next attempt from storing the message, once, and sending it on."""
    store.transactions.available = transactions
    inbound, arrival, recipient = (
        Inbound(store, "s"),
        arrived(store, raw),
        Recipients(store).find("ada@example.com"),
    )

    def dies(*_: Any, **__: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(getattr(store, where), method, dies)
        patch.setattr(store.outbound_queue, "remove", lambda _: 0)
        patch.setattr(store.answered, "give_back", dies)
        with pytest.raises(Died):
            inbound.deliver(arrival, recipient)
    outcome = inbound.deliver(arrived(store, raw), recipient)
    (stored,) = inboxes.messages(ada)
    assert outcome.id == stored["_id"]
    assert inbound.deliver(arrived(store, raw), recipient) == Outcome("repeated", stored["_id"])
    reasons = [entry["data"]["reason"] for entry in inboxes.queued()]
    assert set(reasons) == {"forward", "autoreply"} or not transactions
    assert len(reasons) == len(set(reasons))


def arrived(store: Store, raw: bytes) -> Arrival:
    envelope = Envelope(
        id=ObjectId(), sender="grace@example.org", peer="127.0.0.1", helo="mx", time=store.clock()
    )
    return Reading().arrival(envelope, raw)


def test_records_end_after_a_week(store: Store) -> None:
    message = ObjectId()
    store.transactions.run(
        lambda session: store.received.record([Key("a"), Key("b", ObjectId())], message, session)
    )
    rows = list(store.databases.main["received"].find())
    assert {row["_id"] for row in rows} == {"a", "b"}
    assert all(timedelta(days=6.9) < row["expires"] - store.clock() <= timedelta(days=7) for row in rows)
    index = store.databases.main["received"].index_information()["entry_autoexpire"]
    assert (index["key"], index["expireAfterSeconds"]) == ([("expires", 1)], 0)
    with pytest.raises(Repeated):
        store.transactions.run(lambda session: store.received.record([Key("a")], message, session))

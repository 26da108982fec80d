"""Mail that goes on: whom to, as whom, how often, and never in a circle."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from bson import ObjectId

from handlers.addresses import create_forwarded_address
from handlers.call import Call
from handlers.filters import create_filter
from handlers.users import update_user
from server.settings.table import Settings
from storage.store import Store
from tests.rows import Row, change_user

MakeUser = Callable[..., ObjectId]
RAW = b"From: Grace <grace@example.org>\r\nTo: ada@example.com\r\nSubject: Hello\r\n\r\nDear Ada\r\n"


def forwarding(make_user: MakeUser, *targets: str, **fields: Any) -> ObjectId:
    return make_user("ada", targets=list(targets), **fields)


def test_an_address_a_server_and_a_url(lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
    targets = ["boss@elsewhere.example", "smtps://u:p%40ss@10.0.0.1:465", "https://hook.example/in"]
    ada = forwarding(make_user, *targets)
    (reply,) = lmtp.send(RAW, "ada+x@example.com")
    (stored,) = inboxes.messages(ada)
    assert reply == f"250 2.1.5 Message stored as {stored['_id']}"
    mail, relay, http = entries = inboxes.queued()
    assert [entry["recipient"] for entry in entries] == [targets[0], "ada+x@example.com", "ada+x@example.com"]
    assert (relay["mxPort"], relay["mxAuth"], relay["mxSecure"]) == (
        "465",
        {"user": "u", "pass": "p@ss"},
        True,
    )
    assert (http["http"], http["targetUrl"]) == (True, targets[2])
    envelope = mail["data"]
    assert {
        name: envelope[name] for name in ("from", "to", "reason", "interface", "userId", "parentId", "origin")
    } == {
        "from": "grace@example.org",
        "to": ["ada+x@example.com"],
        "reason": "forward",
        "interface": "forwarder",
        "userId": str(ada),
        "parentId": stored["_id"],
        "origin": "127.0.0.1",
    }
    assert len({entry["id"] for entry in entries}) == 1
    assert stored["outbound"] == [mail["id"]]
    assert [target["value"] for target in stored["forwardTargets"]] == targets
    assert mail["raw"].endswith(RAW)
    head = mail["raw"].removesuffix(RAW).decode()
    assert re.match(r"Date: .+\r\nMessage-ID: <[0-9a-f\-]+@example.org>\r\nX-WildDuck-Seen: ", head), (
        "what it lacks, without which many servers refuse it"
    )
    assert "\r\nReceived: from mx.example.net" in head
    assert "Delivered-To" not in head
    assert "Return-Path" not in head


Marks = Callable[..., dict[str, Any]]


@pytest.fixture
def marks(lmtp: Any, inboxes: Any, make_user: MakeUser) -> Marks:
    """`marks("bounces@list.example", {name: text of its TXT record})`: what the relay is told of a forward."""

    def forward(sender: str, records: dict[str, str]) -> Row:
        forwarding(make_user, "x@y.example")
        lmtp.dns.records.update({(name, "TXT"): [text] for name, text in records.items()})
        received = f"Received: from mx.{sender.partition('@')[2]} ([192.0.2.1]) by mx.example.net; now\r\n"
        lmtp.send(received.encode() + RAW, "ada@example.com", sender=sender)
        (entry,) = inboxes.queued()
        assert entry["data"]["from"] == sender
        return dict(entry["data"].get("mallard", {}))

    return forward


@pytest.mark.parametrize(
    ("records", "unreported"),
    [
        ({}, False),
        ({"_dmarc.example.org": "v=DMARC1; p=none"}, False),
        ({"_dmarc.example.org": "v=DMARC1; p=reject"}, True),
        ({"_dmarc.example.org": "v=DMARC1; p=reject", "list.example": "v=spf1 ip4:192.0.2.1 -all"}, False),
    ],
)
def test_nobody_is_told_of_what_he_did_not_send(
    marks: Marks, records: dict[str, str], unreported: bool
) -> None:
    """A server that refuses the forward would have the report go to whoever was named as its sender."""
    assert ("unreported" in marks("bounces@list.example", records)) is unreported


@pytest.mark.parametrize(
    ("records", "unsigned"),
    [
        ({}, False),
        ({"_dmarc.example.org": "v=DMARC1; p=none"}, True),
        ({"_dmarc.example.org": "v=DMARC1; p=reject", "example.org": "v=spf1 ip4:192.0.2.1 -all"}, False),
    ],
)
def test_what_may_be_forged_is_not_to_be_signed(
    marks: Marks, records: dict[str, str], unsigned: bool
) -> None:
    """Where a domain has a policy; where it has none a signature makes no difference."""
    assert ("unsigned" in marks("bounces@example.org", records)) is unsigned


def test_targets_of_filters_and_of_the_account_are_united(
    lmtp: Any, inboxes: Any, call: Call, make_user: MakeUser
) -> None:
    ada = forwarding(make_user, "one@x.example")
    for targets in (["One@x.example", "two@x.example"], ["two@X.example"]):
        create_filter(call=call, user=ada, body={"query": {}, "action": {"targets": targets}})
    lmtp.send(RAW, "ada@example.com")
    assert [entry["recipient"] for entry in inboxes.queued()] == ["One@x.example", "two@x.example"]


def test_what_a_filter_deletes_goes_to_the_targets_of_filters_alone(
    lmtp: Any, inboxes: Any, call: Call, make_user: MakeUser
) -> None:
    ada = forwarding(make_user, "own@x.example")
    action = {"targets": ["filter@x.example"], "delete": True}
    create_filter(call=call, user=ada, body={"query": {"from": "grace"}, "action": action})
    lmtp.send(RAW, "ada@example.com")
    assert [entry["recipient"] for entry in inboxes.queued()] == ["filter@x.example"]
    assert inboxes.messages(ada) == []


def test_spam_stays_and_its_targets_are_noted(lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
    ada = forwarding(make_user, "x@y.example")
    lmtp.send(b"X-Spam-Flag: YES\r\n" + RAW, "ada@example.com")
    (stored,) = inboxes.messages(ada, "Junk")
    assert stored["forwardTargets"] == [{"type": "mail", "value": "x@y.example"}]
    assert "outbound" not in stored
    assert (inboxes.queued(), inboxes.files()) == ([], 0)


def test_the_relay_of_the_account(lmtp: Any, inboxes: Any, call: Call, make_user: MakeUser) -> None:
    ada = forwarding(make_user, "x@y.example")
    update_user(call=call, user=ada, body={"mtaRelay": "smtp://relay.example:2525"})
    lmtp.send(RAW, "ada@example.com")
    (entry,) = inboxes.queued()
    assert (entry["recipient"], entry["mx"][0]["exchange"]) == ("x@y.example", "relay.example")


def test_the_daily_limit(lmtp: Any, inboxes: Any, client: Any, make_user: MakeUser) -> None:
    ada = forwarding(make_user, "one@x.example", "two@x.example", forwards=3)
    for number in range(3):
        lmtp.send(RAW.replace(b"Hello", b"%d" % number), "ada@example.com")
    assert len(inboxes.messages(ada)) == 3
    assert len(inboxes.queued()) == 2
    assert client.get(f"/users/{ada}").json["limits"]["forwards"]["used"] == 2
    assert [len(m["forwardTargets"]) for m in inboxes.messages(ada)] == [2, 2, 2]


class TestLoops:
    """What has been here does not go round."""

    def test_too_many_servers(self, lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
        ada = forwarding(make_user, "x@y.example")
        lmtp.send(b"Received: from a by b; now\r\n" * 29 + RAW, "ada@example.com")
        assert len(inboxes.queued()) == 1
        lmtp.send(b"Received: from a by b; now\r\n" * 30 + RAW, "ada@example.com")
        assert len(inboxes.messages(ada)) == 2
        assert len(inboxes.queued()) == 1

    def test_a_message_that_comes_back(self, lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
        ada = forwarding(make_user, "x@y.example")
        lmtp.send(RAW, "ada@example.com")
        (entry,) = inboxes.queued()
        returned = b"Received: from y.example by mx.example.net; now\r\n" + entry["raw"]
        lmtp.send(returned, "ada@example.com")
        assert len(inboxes.messages(ada)) == 2
        assert len(inboxes.queued()) == 1

    @pytest.mark.parametrize("place", range(3))
    def test_the_mark_of_a_wildduck_with_the_same_secret(
        self, lmtp: Any, inboxes: Any, settings: Settings, make_user: MakeUser, place: int
    ) -> None:
        """It signs the text of its deliveries, so their form and order is what is agreed on."""
        server = {"mxAuth": {"user": "u", "pass": "p"}, "mxSecure": True}
        exchange = {"priority": 0, "mx": True, "exchange": "10.0.0.1", "A": ["10.0.0.1"], "AAAA": []}
        relay = {"mx": [exchange], "mxPort": "465", **server, "skipSRS": True, "skipSTS": True}
        to, ada = {"to": "ada@example.com"}, {"forwardedFor": "ada@example.com"}
        target, text = [
            ("x@y.example", [{"to": "x@y.example", **ada, **relay}]),
            ("smtps://u:p@10.0.0.1:465", [{**to, **relay, **ada}]),
            ("https://h.example/", [
                {**to, "http": True, "targetUrl": "https://h.example/", "skipSRS": True, "skipSTS": True, **ada}
            ]),
        ][place]  # fmt: skip
        relay_of_own = {} if place else {"mtaRelay": "smtps://u:p@10.0.0.1:465"}
        forwarding(make_user, target, **relay_of_own)
        salted = b"0123456789ab" + orjson.dumps(text)
        mark = b"0123456789ab" + hmac.digest(settings.secret.encode(), salted, "sha256").hex().encode()
        lmtp.send(b"X-WildDuck-Seen: " + mark + b"\r\n" + RAW, "ada@example.com")
        assert inboxes.queued() == []

    def test_another_account_may_forward_it_still(self, lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
        forwarding(make_user, "bob@example.com")
        make_user("bob", targets=["x@y.example"])
        lmtp.send(RAW, "ada@example.com")
        (entry,) = inboxes.queued()
        lmtp.send(entry["raw"], "bob@example.com")
        assert [e["recipient"] for e in inboxes.queued()] == ["bob@example.com", "x@y.example"]

    def test_a_forged_mark_is_none(self, lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
        forwarding(make_user, "x@y.example")
        marks = [b"0" * 76, b"", b"x", "ü".encode() * 80]
        lmtp.send(b"".join(b"X-WildDuck-Seen: " + mark + b"\r\n" for mark in marks) + RAW, "ada@example.com")
        assert len(inboxes.queued()) == 1

    @pytest.mark.parametrize("target", ["ada@example.com", "A.da+x@example.com"])
    def test_a_target_that_is_the_account_itself(
        self, lmtp: Any, inboxes: Any, store: Store, make_user: MakeUser, target: str
    ) -> None:
        ada = make_user()
        targets = [{"type": "mail", "value": value} for value in (target, "x@y.example")]
        change_user(store, ada, {}, more={"targets": targets})
        lmtp.send(RAW, "ada@example.com")
        assert [entry["recipient"] for entry in inboxes.queued()] == ["x@y.example"]


class TestEncryption:
    """Secret mail: as it is kept, and as it goes on."""

    def test_what_is_stored(self, lmtp: Any, inboxes: Any, make_user: MakeUser, pgp_key: str) -> None:
        ada = make_user(pubKey=pgp_key, encryptMessages=True, targets=["x@y.example"])
        lmtp.send(RAW, "ada@example.com")
        (stored,) = inboxes.messages(ada)
        source = inboxes.source(stored)
        assert source.startswith(
            b"Delivered-To: ada@example.com\r\nReturn-Path: <grace@example.org>\r\nMIME-Version"
        )
        assert stored["mimeTree"]["parsedHeader"]["content-type"]["value"] == "multipart/encrypted"
        assert (stored["subject"], stored.get("text")) == ("Hello", None)
        assert b"Dear Ada" not in source
        (entry,) = inboxes.queued()
        assert entry["raw"].endswith(RAW)
        assert stored["_id"] == entry["data"]["parentId"]

    def test_filters_see_it_in_clear(
        self, lmtp: Any, inboxes: Any, call: Call, make_user: MakeUser, pgp_key: str
    ) -> None:
        ada = make_user(pubKey=pgp_key, encryptMessages=True)
        body = {"query": {"text": "dear ada"}, "action": {"spam": True}}
        create_filter(call=call, user=ada, body=body)
        lmtp.send(RAW, "ada@example.com")
        (stored,) = inboxes.messages(ada, "Junk")
        assert stored["mimeTree"]["parsedHeader"]["wd-mail-classification"] == "junk"

    def test_what_is_forwarded(self, lmtp: Any, inboxes: Any, make_user: MakeUser, pgp_key: str) -> None:
        ada = make_user(pubKey=pgp_key, encryptForwarded=True, targets=["x@y.example"])
        lmtp.send(RAW, "ada@example.com")
        (stored,) = inboxes.messages(ada)
        (entry,) = inboxes.queued()
        assert inboxes.source(stored).endswith(RAW)
        assert b"multipart/encrypted" in entry["raw"]
        assert b"Dear Ada" not in entry["raw"]

    def test_a_key_that_does_not_work(
        self, lmtp: Any, inboxes: Any, store: Store, make_user: MakeUser
    ) -> None:
        ada = make_user(targets=["x@y.example"])
        broken = {"pubKey": "no key", "encryptForwarded": True}
        change_user(store, ada, {}, more=broken)
        assert lmtp.send(RAW, "ada@example.com")[0].startswith("250")
        assert (len(inboxes.messages(ada)), inboxes.queued()) == (1, [])
        change_user(store, ada, {}, more={"encryptMessages": True})
        second = RAW.replace(b"Hello", b"Second")
        assert lmtp.send(second, "ada@example.com")[0].startswith("451 4.7.5")
        assert (len(inboxes.messages(ada)), inboxes.files()) == (1, 0)


class TestForwardedAddress:
    """An address that belongs to no account."""

    def make(self, call: Call, **fields: Any) -> ObjectId:
        body = {"address": "team@example.com", "targets": ["one@x.example", "two@x.example"], **fields}
        return ObjectId(create_forwarded_address(call=call, body=body)["id"])

    def test_all_targets(self, lmtp: Any, inboxes: Any, call: Call) -> None:
        self.make(call)
        (reply,) = lmtp.send(RAW, "team+x@example.com")
        entries = inboxes.queued()
        assert reply == f"250 2.1.5 Message forwarded as {entries[0]['data']['parentId']}"
        assert [entry["recipient"] for entry in entries] == ["one@x.example", "two@x.example"]
        assert entries[0]["data"]["from"] == "grace@example.org"
        assert inboxes.store.databases.main["messages"].count_documents({}) == 0

    def test_what_cannot_go_on_is_refused(self, lmtp: Any, inboxes: Any, call: Call) -> None:
        self.make(call, forwards=2)
        assert lmtp.send(RAW, "team@example.com")[0].startswith("250")
        second = RAW.replace(b"Hello", b"Second")
        assert lmtp.send(second, "team@example.com") == [
            "450 4.7.1 Daily forwarding limit reached, try again later"
        ]
        assert len(inboxes.queued()) == 2
        assert inboxes.files() == 1

    def test_a_loop_is_refused_for_good(self, lmtp: Any, call: Call) -> None:
        self.make(call)
        looped = b"Received: from a by b; now\r\n" * 30 + RAW
        assert lmtp.send(looped, "team@example.com") == ["554 5.4.6 Mail loop"]

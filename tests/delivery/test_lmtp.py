"""LMTP conversations: what is offered, each reply code, pipelining, clients that go wrong or mean harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from handlers.addresses import create_forwarded_address, create_user_address
from handlers.call import Call
from handlers.domain_aliases import create_domain_alias
from storage.store import Store
from tests.delivery.conftest import LmtpServer, Raw
from tests.rows import change_user

MakeUser = Callable[..., ObjectId]
RAW = b"From: Grace <grace@example.org>\r\nTo: ada@example.com\r\nSubject: Hello\r\n\r\nDear Ada\r\n"


def test_what_is_offered(lmtp: Any) -> None:
    with Raw(lmtp.port) as client:
        assert client.greeting == "220 mallard.example LMTP Mallard"
        assert client.say("LHLO mx.example.net").split("\n") == [
            "250-mallard.example",
            "250-PIPELINING",
            "250-SIZE 67043328",
            "250-8BITMIME",
            "250-ENHANCEDSTATUSCODES",
            "250 SMTPUTF8",
        ]


def test_a_message_is_stored_and_acknowledged(lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
    user = make_user()
    (reply,) = lmtp.send(RAW, "ada@example.com")
    (message,) = inboxes.messages(user, "INBOX")
    assert reply == f"250 2.1.5 Message stored as {message['_id']}"
    transaction = message["meta"].pop("transactionId")
    assert isinstance(message["meta"].pop("time"), datetime)
    assert message["meta"] == {
        "source": "MX",
        "from": "grace@example.org",
        "to": ["ada@example.com"],
        "origin": "127.0.0.1",
        "transhost": "mx.example.net",
        "transtype": "LMTP",
    }
    head, _, rest = inboxes.source(message).partition(b"From: Grace")
    assert b"From: Grace" + rest == RAW
    lines = head.decode().split("\r\n")
    assert lines[:-2] == [
        "Delivered-To: ada@example.com",
        "Return-Path: <grace@example.org>",
        "Received: from mx.example.net ([127.0.0.1])",
        f"\tby mallard.example with LMTP id {transaction}",
        "\tfor <ada@example.com>;",
    ]
    journal = inboxes.store.databases.main["journal"].find_one({"user": user, "command": "EXISTS"})
    assert journal["message"] == message["_id"]


def test_every_recipient_has_a_reply_of_its_own(lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
    ada, bob = make_user("ada"), make_user("bob")
    full = make_user("full", quota=150)
    names = ("ada", "nobody", "full", "bob")
    replies = lmtp.send(RAW, *(f"{name}@example.com" for name in names))
    (first,), (last,) = inboxes.messages(ada), inboxes.messages(bob)
    assert replies == [
        f"250 2.1.5 Message stored as {first['_id']}",
        "550 5.1.1 Unknown recipient",
        "452 4.2.2 Mailbox full",
        f"250 2.1.5 Message stored as {last['_id']}",
    ]
    assert inboxes.messages(full) == []
    assert b"for <bob@example.com>" in inboxes.source(last)
    assert b"ada@example.com" not in inboxes.source(last).partition(b"From: ")[0]


def test_smtplib_is_content(lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
    user = make_user()
    with lmtp.client() as client:
        refused = client.sendmail("grace@example.org", ["ada@example.com", "nobody@example.com"], RAW)
    assert refused == {"nobody@example.com": (550, b"5.1.1 Unknown recipient")}
    assert len(inboxes.messages(user)) == 1


def test_a_conversation_in_one_packet(lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
    user = make_user()
    mail = b"MAIL FROM:<g@example.org> SIZE=%d\r\nRCPT TO:<ada@example.com>\r\nRCPT TO:<no@example.com>\r\nDATA\r\n"
    second = RAW.replace(b"Hello", b"Second")
    with Raw(lmtp.port) as client:
        client.write(
            b"LHLO mx.example.net\r\n" + mail % len(RAW) + RAW + b".\r\n" + mail % len(second) + second
            + b".\r\nNOOP\r\nQUIT\r\n"
        )  # fmt: skip
        codes = [client.reply()[:9] for _ in range(13)]
    one = ["250 2.1.0", "250 2.1.5", "550 5.1.1", "354 End d", "250 2.1.5"]
    assert codes == ["250-malla", *one, *one, "250 2.0.0", "221 2.0.0"]
    assert [message["subject"] for message in inboxes.messages(user)] == ["Hello", "Second"]


START = ("LHLO mx.example.net",)
MAIL = (*START, "MAIL FROM:<grace@example.org>")
RCPT = (*MAIL, "RCPT TO:<ada@example.com>")


@pytest.mark.parametrize(
    ("before", "command", "reply"),
    [
        ((), "MAIL FROM:<grace@example.org>", "503 5.5.1"),
        ((), "RCPT TO:<ada@example.com>", "503 5.5.1"),
        ((), "DATA", "503 5.5.1"),
        ((), "HELO mx.example.net", "500 5.5.2"),
        ((), "EHLO mx.example.net", "500 5.5.2"),
        ((), "LHLO", "501 5.5.4"),
        ((), "LHLO two words", "501 5.5.4"),
        (START, "RCPT TO:<ada@example.com>", "503 5.5.1"),
        (START, "DATA", "503 5.5.1"),
        (START, "MAIL", "501 5.1.7"),
        (START, "MAIL FROM:grace@example.org", "501 5.1.7"),
        (START, "MAIL FROM:<grace>", "501 5.1.7"),
        (START, "MAIL FROM:<>", "250 2.1.0"),
        (START, "MAIL FROM:<g@example.org> BODY=8BITMIME SIZE=1000", "250 2.1.0"),
        (START, "MAIL FROM:<g@example.org> BODY=BINARYMIME", "501 5.5.4"),
        (START, "MAIL FROM:<g@example.org> SIZE=abc", "501 5.5.4"),
        (START, "MAIL FROM:<g@example.org> SIZE=" + "9" * 100, "501 5.5.4"),
        (START, "MAIL FROM:<g@example.org> SIZE=99999999999", "552 5.3.4"),
        (START, "MAIL FROM:<g@example.org> SMTPUTF8=1", "501 5.5.4"),
        (START, "MAIL FROM:<g@example.org> RET=FULL", "555 5.5.4"),
        (START, "MAIL FROM:<дж@example.org>", "550 5.6.7"),
        (START, "MAIL FROM:<дж@example.org> SMTPUTF8", "250 2.1.0"),
        (START, b"MAIL FROM:<\xff\xfe@example.org> SMTPUTF8", "501 5.1.7"),
        (START, "MAIL FROM:<g\x00@example.org>", "501 5.1.7"),
        (MAIL, "MAIL FROM:<grace@example.org>", "503 5.5.1"),
        (MAIL, "DATA", "503 5.5.1"),
        (MAIL, "RCPT", "501 5.1.3"),
        (MAIL, "RCPT TO:<>", "501 5.1.3"),
        (MAIL, "RCPT TO:<ada>", "501 5.1.3"),
        (MAIL, "RCPT TO:<ada@example.com> NOTIFY=NEVER", "555 5.5.4"),
        (MAIL, "RCPT TO:<адa@example.com>", "553 5.6.7"),
        (MAIL, "RCPT TO:<nobody@example.com>", "550 5.1.1"),
        (MAIL, "RCPT TO:<postmaster>", "550 5.1.1"),
        (MAIL, "RCPT TO:<ada@example.com>", "250 2.1.5"),
        ((*MAIL, "RCPT TO:<nobody@example.com>"), "DATA", "503 5.5.1"),
        ((*RCPT, "RSET"), "DATA", "503 5.5.1"),
        ((*RCPT, "LHLO mx.example.net"), "DATA", "503 5.5.1"),
        (RCPT, "DATA now", "501 5.5.4"),
        (RCPT, "DATA", "354 End d"),
        (START, "NOOP", "250 2.0.0"),
        (START, "RSET", "250 2.0.0"),
        (START, "VRFY ada", "252 2.5.0"),
        (START, "AUTH PLAIN AGFkYQBh", "500 5.5.2"),
        (START, "STARTTLS", "500 5.5.2"),
        (START, "EXPN list", "500 5.5.2"),
        (START, "", "500 5.5.2"),
        (START, "NONSENSE", "500 5.5.2"),
        (START, b"\xff\xfe", "500 5.5.2"),
        (START, "NOOP " + "x" * 3000, "500 5.5.2"),
        (START, "NOOP " + "x" * 300_000, "500 5.5.2"),
        (START, "QUIT", "221 2.0.0"),
    ],
)  # fmt: skip
def test_each_reply(
    lmtp: Any, make_user: MakeUser, before: tuple[str, ...], command: str | bytes, reply: str
) -> None:
    make_user()
    with Raw(lmtp.port) as client:
        for line in before:
            client.say(line)
        assert client.say(command)[:9].rstrip() == reply.strip()


def test_many_unknown_commands_end_the_connection(lmtp: Any) -> None:
    with Raw(lmtp.port) as client:
        replies = [client.say("NONSENSE") for _ in range(5)]
        assert replies[-1].startswith("502 5.5.1")
        assert client.reply() == ""


class TestRecipients:
    """Who is taken, and what the others are told."""

    def rcpt(self, lmtp: LmtpServer, address: str, parameters: str = "") -> str:
        with Raw(lmtp.port) as client:
            client.say("LHLO mx.example.net")
            client.say(f"MAIL FROM:<grace@example.org> SMTPUTF8{parameters}")
            return client.say(f"RCPT TO:<{address}>")

    @pytest.mark.parametrize(
        "address",
        [
            "ada@example.com", "ADA@EXAMPLE.com", "a.d.a@example.com", "ada+label@example.com", "a.da+x.y@example.com",
            "ada@alias.example", "ada+x@alias.example", '"ada"@example.com', "anything@wild.example",
            "second@example.com", "ada@пример.рф", "ada@xn--e1afmkfd.xn--p1ai", "any@alias-of-wild.example",
        ],
    )  # fmt: skip
    def test_all_ways_to_an_account(
        self, lmtp: Any, inboxes: Any, call: Call, make_user: MakeUser, address: str
    ) -> None:
        user = make_user()
        for own in ("*@wild.example", "second@example.com", "ada@пример.рф"):
            create_user_address(call=call, user=user, body={"address": own, "allowWildcard": True})
        create_domain_alias(call=call, body={"alias": "alias.example", "domain": "example.com"})
        create_domain_alias(call=call, body={"alias": "alias-of-wild.example", "domain": "wild.example"})
        replies = lmtp.send(RAW, address, options=["SMTPUTF8"])
        assert replies[0].startswith("250 2.1.5 Message stored")
        assert len(inboxes.messages(user)) == 1

    def test_an_account_that_is_closed(self, lmtp: Any, store: Store, make_user: MakeUser) -> None:
        user = make_user()
        for field in ("disabled", "suspended"):
            change_user(store, user, {field: True})
            assert self.rcpt(lmtp, "ada@example.com") == "550 5.2.1 Mailbox disabled, not accepting messages"
            change_user(store, user, {field: False})
        assert self.rcpt(lmtp, "ada@example.com").startswith("250")

    def test_a_full_mailbox(self, lmtp: Any, store: Store, make_user: MakeUser) -> None:
        user = make_user(quota=1000)
        assert self.rcpt(lmtp, "ada@example.com", " SIZE=900").startswith("250")
        assert self.rcpt(lmtp, "ada@example.com", " SIZE=1001")[:9] == "552 5.2.3"
        change_user(store, user, {}, more={"storageUsed": 500})
        assert self.rcpt(lmtp, "ada@example.com", " SIZE=501") == "452 4.2.2 Mailbox full"
        assert self.rcpt(lmtp, "ada@example.com").startswith("250")
        change_user(store, user, {}, more={"storageUsed": 1000})
        assert self.rcpt(lmtp, "ada@example.com") == "452 4.2.2 Mailbox full"

    def test_too_many_messages_in_a_minute(self, lmtp: Any, client: Any, make_user: MakeUser) -> None:
        user = make_user(receivedMax=2)
        replies = [self.rcpt(lmtp, "ada@example.com")[:9] for _ in range(4)]
        assert replies == ["250 2.1.5", "250 2.1.5", "450 4.2.1", "450 4.2.1"]
        received = client.get(f"/users/{user}").json["limits"]["received"]
        assert (received["allowed"], received["used"]) == (2, 2)
        assert 0 < received["ttl"] <= 60

    def test_checks_that_the_mta_makes_itself(
        self, start_lmtp: Any, store: Store, make_user: MakeUser
    ) -> None:
        user = make_user(receivedMax=1, quota=10)
        change_user(store, user, {"disabled": True}, more={"storageUsed": 10})
        server = start_lmtp(lmtp_checks=())
        assert [self.rcpt(server, "ada@example.com")[:3] for _ in range(3)] == ["250"] * 3

    def test_known_domains_only(self, lmtp: Any, call: Call, store: Store, make_user: MakeUser) -> None:
        user = make_user()
        create_user_address(call=call, user=user, body={"address": "ada@*", "allowWildcard": True})
        assert self.rcpt(lmtp, "ada@elsewhere.example").startswith("250")
        store.settings.put("const:domaincache:enabled", True)
        time.sleep(3.1)
        assert self.rcpt(lmtp, "ada@elsewhere.example")[:9] == "550 5.1.2"
        assert self.rcpt(lmtp, "ada@example.com").startswith("250")

    @pytest.mark.parametrize(
        ("fields", "reply"),
        [
            ({"targets": ["x@example.org"]}, "250 2.1.5"),
            ({"targets": []}, "550 5.2.1"),
            ({"targets": [], "autoreply": {"text": "Moved"}}, "250 2.1.5"),
        ],
    )
    def test_forwarded_addresses(self, lmtp: Any, call: Call, fields: dict[str, Any], reply: str) -> None:
        create_forwarded_address(call=call, body={"address": "team@example.com", "forwards": 0, **fields})
        assert self.rcpt(lmtp, "team@example.com")[:9] == reply

    def test_an_account_that_is_gone_meanwhile(self, lmtp: Any, store: Store, make_user: MakeUser) -> None:
        store.users.discard(make_user())
        assert self.rcpt(lmtp, "ada@example.com")[:9] == "550 5.1.1"

    def test_a_thousand_recipients(self, start_lmtp: Any, make_user: MakeUser) -> None:
        make_user()
        server = start_lmtp(lmtp_checks=())
        with Raw(server.port) as client:
            client.say("LHLO mx.example.net")
            client.say("MAIL FROM:<grace@example.org>")
            client.write(b"RCPT TO:<ada@example.com>\r\n" * 1002)
            replies = [client.reply()[:9] for _ in range(1002)]
        assert replies == ["250 2.1.5"] * 1000 + ["452 4.5.3"] * 2


def test_a_database_that_fails_makes_the_mta_try_again(
    mongod: Any, databases: Any, store: Store, start_lmtp: Any, inboxes: Any, make_user: MakeUser
) -> None:
    user = make_user()
    other: MongoClient[dict[str, Any]] = MongoClient(mongod.uri)
    server = start_lmtp(on=Store(other, databases))
    with Raw(server.port) as client:
        client.say("LHLO mx.example.net")
        client.say("MAIL FROM:<grace@example.org>")
        assert client.say("RCPT TO:<ada@example.com>")[:9] == "250 2.1.5"
        other.close()
        assert client.say("RCPT TO:<bob@example.com>")[:9] == "451 4.3.0"
        client.say("DATA")
        client.write(RAW + b".\r\n")
        assert client.reply()[:9] == "451 4.3.0"
    assert inboxes.messages(user) == []


class TestContent:
    """What comes after DATA."""

    def test_a_message_that_is_too_large_is_refused_for_each_recipient(
        self, start_lmtp: Any, inboxes: Any, make_user: MakeUser
    ) -> None:
        users = [make_user("ada"), make_user("bob")]
        server = start_lmtp(lmtp_max_size=10_000)
        with Raw(server.port) as client:
            large = RAW + b"x" * 70 + b"\r\n" + b"".join(b"y" * 70 + b"\r\n" for _ in range(200))
            replies = client.send(large, "ada@example.com", "bob@example.com")
            assert replies == ["552 5.3.4 Message is too large"] * 2
            assert client.send(RAW, "ada@example.com")[0][:3] == "250"
        assert [len(inboxes.messages(user)) for user in users] == [1, 0]

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"\r\n", b".\r\n", b"..\r\n", b".hidden\r\n...\r\n", b"x" * 5000 + b"\r\n", b"\x00 nul \x00\r\n",
            "Grüße aus Köln\r\n".encode(), b"\xff\xfe\x80\r\n", b"tail without line end", b"a\rb\r\n",
        ],
    )  # fmt: skip
    def test_all_bytes_come_back(self, lmtp: Any, inboxes: Any, make_user: MakeUser, body: bytes) -> None:
        user = make_user()
        lmtp.send(RAW + body, "ada@example.com", options=["BODY=8BITMIME"])
        (message,) = inboxes.messages(user)
        # what follows DATA is whole lines (RFC 5321 §4.1.1.4)
        end = b"" if body.endswith(b"\n") or not body else b"\r\n"
        assert inboxes.source(message).endswith(RAW + body + end)

    def test_a_message_of_nothing(self, lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
        user = make_user()
        assert lmtp.send(b"", "ada@example.com")[0][:3] == "250"
        (message,) = inboxes.messages(user)
        assert (message["subject"], message["envelope"][0]) == ("", None)

    @pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r.\r", b"\r\n.\r"])
    def test_no_second_message_is_smuggled_in(
        self, lmtp: Any, inboxes: Any, make_user: MakeUser, end: bytes
    ) -> None:
        ada, bob = make_user("ada"), make_user("bob")
        smuggled = (
            b"MAIL FROM:<ceo@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\nSubject: Forged\r\n\r\nx"
        )
        with Raw(lmtp.port) as client:
            client.say("LHLO mx.example.net")
            client.say("MAIL FROM:<grace@example.org>")
            client.say("RCPT TO:<ada@example.com>")
            client.say("DATA")
            client.write(RAW + b"text" + end + smuggled + b"\r\n.\r\n")
            assert client.reply()[:3] == "250"
            assert client.say("NOOP") == "250 2.0.0 OK"
        assert inboxes.messages(bob) == []
        (message,) = inboxes.messages(ada)
        assert b"MAIL FROM:<ceo@example.com>" in inboxes.source(message)

    def test_bare_line_feeds_are_line_ends_of_the_stored_message(
        self, lmtp: Any, inboxes: Any, make_user: MakeUser
    ) -> None:
        user = make_user()
        lmtp.send(b"From: a@example.org\nSubject: Bare\n\none\ntwo\r\n", "ada@example.com")
        (message,) = inboxes.messages(user)
        assert message["subject"] == "Bare"
        assert inboxes.source(message).endswith(b"Subject: Bare\r\n\r\none\r\ntwo\r\n")

    def test_names_of_clients_and_senders_add_no_header(
        self, lmtp: Any, inboxes: Any, make_user: MakeUser
    ) -> None:
        user = make_user()
        with Raw(lmtp.port) as client:
            client.say("LHLO x\rX-Forged:(1;\x01é")
            client.say("MAIL FROM:<grace@example.org>")
            client.say("RCPT TO:<ada@example.com>")
            client.say("DATA")
            client.write(RAW + b".\r\n")
            assert client.reply()[:3] == "250"
        (message,) = inboxes.messages(user)
        headers = message["mimeTree"]["parsedHeader"]
        assert "x-forged" not in headers
        assert headers["received"].startswith(
            "from x?X-Forged:?1;?? ([127.0.0.1]) by mallard.example with LMTP"
        )


class TestConnections:
    """Clients that go away, and a server that stops."""

    def begin(self, client: Raw) -> None:
        client.say("LHLO mx.example.net")
        client.say("MAIL FROM:<grace@example.org>")
        client.say("RCPT TO:<ada@example.com>")
        assert client.say("DATA").startswith("354")

    def test_half_a_message_is_none(self, lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
        user = make_user()
        with Raw(lmtp.port) as client:
            self.begin(client)
            client.write(RAW)
        assert lmtp.send(RAW, "ada@example.com")[0][:3] == "250"
        assert len(inboxes.messages(user)) == 1
        assert lmtp.service.connections == set() or wait_until(lambda: not lmtp.service.connections)

    def test_a_client_that_does_not_wait_for_the_reply(
        self, lmtp: Any, inboxes: Any, make_user: MakeUser
    ) -> None:
        user = make_user()
        for _ in range(5):
            with Raw(lmtp.port) as client:
                self.begin(client)
                client.write(RAW + b".\r\n")
        assert lmtp.send(RAW, "ada@example.com")[0][:3] == "250"
        assert len(inboxes.messages(user)) == 1

    def test_a_stop_lets_a_message_that_is_coming_in_come(
        self, start_lmtp: Any, inboxes: Any, make_user: MakeUser
    ) -> None:
        user = make_user()
        server = start_lmtp()
        with Raw(server.port) as idle, Raw(server.port) as busy:
            self.begin(busy)
            busy.write(RAW[:40])
            wait_until(lambda: sum(c._is_busy for c in server.service.connections) == 1)
            stopping = threading.Thread(target=lambda: server.run(server.service.stop(10)))
            stopping.start()
            assert idle.reply() == "421 4.3.2 Service is stopping"
            assert idle.reply() == ""
            busy.write(RAW[40:] + b".\r\n")
            assert busy.reply()[:9] == "250 2.1.5"
            assert busy.reply() == "421 4.3.2 Service is stopping"
            assert busy.reply() == ""
            stopping.join(10)
        assert len(inboxes.messages(user)) == 1

    def test_an_idle_client_is_told_that_it_was(self, lmtp: Any) -> None:
        with Raw(lmtp.port) as client:
            client.say("LHLO mx.example.net")
            (connection,) = lmtp.service.connections
            connection._loop_call = lmtp._loop.call_soon_threadsafe(connection._timeout_cb)
            assert client.reply()[:9] == "421 4.4.2"
            assert client.reply() == ""

    def test_many_clients_at_once(self, start_lmtp: Any, inboxes: Any, make_user: MakeUser) -> None:
        users = [make_user(f"u{number}") for number in range(5)]
        server = start_lmtp(lmtp_threads=2)
        replies: list[str] = []

        def deliver(number: int) -> None:
            raw = RAW.replace(b"Hello", b"Number %d" % number)
            replies.extend(server.send(raw, *(f"u{n}@example.com" for n in range(5))))

        threads = [threading.Thread(target=deliver, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [reply[:9] for reply in replies] == ["250 2.1.5"] * 50
        for user in users:
            assert {m["subject"] for m in inboxes.messages(user)} == {f"Number {n}" for n in range(10)}


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    raise AssertionError("it did not come about in time")

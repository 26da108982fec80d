"""Automatic answers: what they say, and each reason to be silent."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from bson import ObjectId

from handlers.addresses import create_forwarded_address, create_user_address
from handlers.autoreplies import update_autoreply
from handlers.call import Call
from handlers.filters import create_filter
from storage.store import Store
from tests.rows import Row, change_user

MakeUser = Callable[..., ObjectId]
SENDER = "grace@example.org"


def message(more: str = "", to: str = "ada@example.com", number: int = 0) -> bytes:
    return (
        f"From: Grace <{SENDER}>\r\nTo: {to}\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= {number}\r\n"
        f"Message-ID: <m{number}@example.org>\r\nReferences: <a@example.org>\r\n <b@example.org>\r\n{more}\r\nText\r\n"
    ).encode()


@pytest.fixture
def ada(call: Call, make_user: MakeUser) -> ObjectId:
    """An account that answers."""
    user = make_user("ada", name="Ada Lovelace")
    update_autoreply(call=call, user=user, body={"status": True, "text": "Away"})
    return user


def answers(inboxes: Any) -> list[Row]:
    return [entry for entry in inboxes.queued() if entry["data"]["reason"] == "autoreply"]


def test_what_it_says(lmtp: Any, inboxes: Any, ada: ObjectId) -> None:
    lmtp.send(message(), "ada+shop@example.com", sender=SENDER)
    (stored,) = inboxes.messages(ada)
    (entry,) = answers(inboxes)
    envelope = entry["data"]
    assert (entry["recipient"], envelope["from"], envelope["to"]) == (SENDER, "", [SENDER])
    assert (envelope["interface"], envelope["parentId"], envelope["userId"]) == (
        "autoreplies",
        stored["_id"],
        str(ada),
    )
    assert stored["outbound"] == [entry["id"]]
    answer = message_from_bytes(entry["raw"], policy=policy.default)
    assert answer["from"] == "Ada Lovelace <ada+shop@example.com>"
    assert answer["to"] == SENDER
    assert answer["subject"] == "Auto: Re: Grüße 0"
    assert answer["auto-submitted"] == "auto-replied"
    assert answer["x-wd-autoreply-for"] == str(stored["_id"])
    assert answer["in-reply-to"] == "<m0@example.org>"
    assert answer["references"].split() == ["<a@example.org>", "<b@example.org>", "<m0@example.org>"]
    assert answer["message-id"].endswith("@example.com>")
    assert answer.get_content() == "Away\r\n"


def test_name_subject_and_html_of_its_own(lmtp: Any, inboxes: Any, call: Call, ada: ObjectId) -> None:
    body = {"name": "Ada, away", "subject": "Gone\r\nBcc: x@y.example", "html": "<p>Away</p>"}
    update_autoreply(call=call, user=ada, body=body)
    lmtp.send(message(), "ada@example.com")
    (entry,) = answers(inboxes)
    answer = message_from_bytes(entry["raw"], policy=policy.default)
    assert answer["from"].addresses[0].display_name == "Ada, away"
    assert answer["subject"].startswith("Auto: Gone")
    assert "bcc" not in answer
    assert answer.get_content_type() == "multipart/alternative"


@pytest.mark.parametrize(
    ("more", "sender", "to"),
    [
        ("", "", None),
        ("Return-Path: <>\r\n", SENDER, None),
        ("", "MAILER-DAEMON@example.org", None),
        ("", "noreply@example.org", None),
        ("", "shop-No-Reply@example.org", None),
        ("", "owner-team@lists.example.org", None),
        ("", "team-request@lists.example.org", None),
        ("", "team-bounces+ada=example.com@lists.example.org", None),
        ("", "bounces-17@shop.example.org", None),
        ("", "ada@example.com", None),
        ("", "a.da+self@example.com", None),
        ("", "second@example.com", None),
        ("Auto-Submitted: auto-generated\r\n", SENDER, None),
        ("Auto-Submitted: auto-replied; owner-email=x@y.example\r\n", SENDER, None),
        ("X-WD-Autoreply-For: 5f5e5d5c5b5a595857565554\r\n", SENDER, None),
        ("Precedence: bulk\r\n", SENDER, None),
        ("precedence: List\r\n", SENDER, None),
        ("Precedence: junk\r\n", SENDER, None),
        ("List-Unsubscribe: <mailto:x@y.example>\r\n", SENDER, None),
        ("List-Id: <team.example.org>\r\n", SENDER, None),
        ("List-Help: <https://example.org>\r\n", SENDER, None),
        ("X-Auto-Response-Suppress: DR, oof\r\n", SENDER, None),
        ("X-Auto-Response-Suppress: AutoReply\r\n", SENDER, None),
        ("X-Auto-Response-Suppress: All\r\n", SENDER, None),
        ("X-Spam-Flag: YES\r\n", SENDER, None),
        ("", SENDER, "undisclosed-recipients:;"),
        ("", SENDER, "somebody@else.example"),
    ],
)  # fmt: skip
def test_silence(
    lmtp: Any, inboxes: Any, call: Call, ada: ObjectId, more: str, sender: str, to: str | None
) -> None:
    create_user_address(call=call, user=ada, body={"address": "second@example.com"})
    lmtp.send(message(more, to or "ada@example.com"), "ada@example.com", sender=sender)
    assert len(inboxes.messages(ada)) == 1
    assert (answers(inboxes), inboxes.files()) == ([], 0)


@pytest.mark.parametrize(
    ("more", "to"),
    [
        ("Auto-Submitted: no\r\n", "ada@example.com"),
        ("Precedence: first-class\r\n", "ada@example.com"),
        ("X-Auto-Response-Suppress: DR\r\n", "ada@example.com"),
        ("Cc: x@y.example, Ada <A.DA+x@example.com>\r\n", "z@y.example"),
        ("", "Friends: z@y.example, ada@example.com;"),
        ("", "second@example.com"),
    ],
)
def test_no_reason_to_be_silent(
    lmtp: Any, inboxes: Any, call: Call, ada: ObjectId, more: str, to: str
) -> None:
    create_user_address(call=call, user=ada, body={"address": "second@example.com"})
    lmtp.send(message(more, to), "ada@example.com")
    assert len(answers(inboxes)) == 1


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("policy", "count"), [("none", 1), ("quarantine", 0), ("reject", 0)])
def test_who_is_forged_gets_none(lmtp: Any, inboxes: Any, ada: ObjectId, policy: str, count: int) -> None:
    """It would go to somebody who never wrote."""
    lmtp.dns.records["_dmarc.example.org", "TXT"] = [f"v=DMARC1; p={policy}"]
    lmtp.send(message(), "ada@example.com", sender=SENDER)
    assert len(inboxes.messages(ada)) == 1
    assert len(answers(inboxes)) == count


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"status": False}, 0),
        ({"start": HOUR}, 0),
        ({"start": -HOUR}, 1),
        ({"end": -HOUR}, 0),
        ({"end": HOUR}, 1),
        ({"start": -HOUR, "end": HOUR}, 1),
        ({"start": False, "end": False}, 1),
    ],
)
def test_dates_and_switch(
    lmtp: Any, inboxes: Any, call: Call, ada: ObjectId, fields: Row, count: int
) -> None:
    now = datetime.now(UTC)
    dated = {name: now + value if isinstance(value, timedelta) else value for name, value in fields.items()}
    update_autoreply(call=call, user=ada, body=dated)
    lmtp.send(message(), "ada@example.com")
    assert len(answers(inboxes)) == count


@pytest.mark.parametrize("field", ["users", "autoreplies"])
def test_account_and_document_must_both_be_on(
    lmtp: Any, inboxes: Any, store: Store, ada: ObjectId, field: str
) -> None:
    if field == "users":
        change_user(store, ada, {"autoreply": False})
    else:
        store.databases.main["autoreplies"].update_one({"user": ada}, {"$set": {"status": False}})
    lmtp.send(message(), "ada@example.com")
    assert answers(inboxes) == []


@pytest.mark.parametrize(
    ("action", "count"), [({"delete": True}, 0), ({"spam": True}, 0), ({"seen": True}, 1)]
)
def test_filters(lmtp: Any, inboxes: Any, call: Call, ada: ObjectId, action: Row, count: int) -> None:
    create_filter(call=call, user=ada, body={"query": {"from": "grace"}, "action": action})
    lmtp.send(message(), "ada@example.com")
    assert len(answers(inboxes)) == count


def test_twenty_deliveries_at_once_one_answer(start_lmtp: Any, inboxes: Any, ada: ObjectId) -> None:
    server = start_lmtp()
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda n: server.send(message(number=n), "ada@example.com")[0], range(20)))
    assert [reply[:9] for reply in replies] == ["250 2.1.5"] * 20
    assert len(inboxes.messages(ada)) == 20
    (entry,) = answers(inboxes)
    assert [m["outbound"] for m in inboxes.messages(ada) if "outbound" in m] == [[entry["id"]]]
    assert inboxes.files() == 1
    server.send(message(number=99), "ada@example.com", sender="someone@else.example")
    assert len(answers(inboxes)) == 2


def test_an_answer_again_after_the_interval(lmtp: Any, inboxes: Any, store: Store, ada: ObjectId) -> None:
    lmtp.send(message(number=1), "ada@example.com")
    lmtp.send(message(number=2), "ada@example.com", sender="GRACE@example.org")
    assert len(answers(inboxes)) == 1
    memory = store.databases.main["answered"]
    expires = memory.find_one()["expires"]
    assert timedelta(hours=3.9) < expires - store.clock() <= timedelta(hours=4)
    memory.update_many({}, {"$set": {"expires": store.clock()}})
    lmtp.send(message(number=3), "ada@example.com")
    assert len(answers(inboxes)) == 2


def test_without_an_interval_each_is_answered(lmtp: Any, inboxes: Any, store: Store, ada: ObjectId) -> None:
    store.settings.put("const:autoreply:interval", 0)
    for number in range(3):
        lmtp.send(message(number=number), "ada@example.com")
    assert len(answers(inboxes)) == 3


def test_two_thousand_a_day(lmtp: Any, inboxes: Any, store: Store, ada: ObjectId) -> None:
    found = store.autoreplies.find(ada)
    assert found
    store.counters.add(f"wda:{found['_id']}", 1999, 2000)
    lmtp.send(message(number=1), "ada@example.com", sender="one@example.org")
    lmtp.send(message(number=2), "ada@example.com", sender="two@example.org")
    assert [entry["recipient"] for entry in answers(inboxes)] == ["one@example.org"]


def test_a_delivery_that_fails_answers_when_it_comes_again(
    lmtp: Any, inboxes: Any, store: Store, ada: ObjectId
) -> None:
    change_user(store, ada, {"quota": 400})
    big = message("X-Filler: " + "x" * 300 + "\r\n")
    assert lmtp.send(big, "ada@example.com") == ["452 4.2.2 Mailbox full"]
    assert (answers(inboxes), inboxes.files()) == ([], 0)
    change_user(store, ada, {"quota": 0})
    assert lmtp.send(big, "ada@example.com")[0].startswith("250")
    assert len(answers(inboxes)) == 1


def test_a_sender_that_ascii_cannot_express_gets_one(lmtp: Any, inboxes: Any, ada: ObjectId) -> None:
    lmtp.send(message(), "ada@example.com", sender="дж@example.org", options=["SMTPUTF8"])
    assert len(inboxes.messages(ada)) == 1
    (entry,) = answers(inboxes)
    assert entry["recipient"] == "дж@example.org"
    assert "\r\nTo: дж@example.org\r\n" in entry["raw"].decode()


class TestForwardedAddress:
    """An address that belongs to no account answers for itself."""

    def make(self, call: Call, **fields: Any) -> ObjectId:
        body = {"address": "team@example.com", "name": "The team", "targets": ["x@y.example"], **fields}
        return ObjectId(create_forwarded_address(call=call, body=body)["id"])

    def test_answer_and_forward(self, lmtp: Any, inboxes: Any, call: Call) -> None:
        self.make(call, autoreply={"status": True, "subject": "Thanks", "text": "We read it"})
        for number in range(3):
            lmtp.send(message(to="team@example.com", number=number), "team@example.com")
        (entry,) = answers(inboxes)
        answer = message_from_bytes(entry["raw"], policy=policy.default)
        assert (answer["from"], answer["subject"]) == ("The team <team@example.com>", "Auto: Thanks")
        assert "userId" not in entry["data"]
        assert len(inboxes.queued()) == 4

    def test_answer_alone(self, lmtp: Any, inboxes: Any, call: Call, store: Store) -> None:
        address = self.make(call, autoreply={"status": True, "text": "Moved"})
        store.addresses.update(address, {"forwardedDisabled": True})
        (reply,) = lmtp.send(message(to="team@example.com"), "team@example.com")
        assert reply.startswith("250 2.1.5 Message dropped by policy as ")
        assert [entry["data"]["reason"] for entry in inboxes.queued()] == ["autoreply"]

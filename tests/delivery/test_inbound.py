"""What an account's rules make of mail that really comes in: each query key, each action, alone and together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from handlers.audit import create_audit
from handlers.call import Call
from handlers.domain_access import create_allowed_domain, create_blocked_domain
from handlers.filters import create_filter
from storage.store import Store
from tests.rows import Row, change_user
from tests.storage.conftest import with_attachment

MakeUser = Callable[..., ObjectId]
HEAD = (
    "From: Grace Hopper <grace@example.org>\r\nTo: ada@example.com\r\nCc: bob@example.com\r\n"
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
)
RAW = f"{HEAD}\r\nThe minutes are due today\r\n".encode()
LISTED = f"{HEAD}List-Id: Team <team.lists.example.org>\r\n\r\nHello\r\n".encode()


def message(more: str = "", subject: str = "Hello", sender: str = "grace@example.org") -> bytes:
    return f"From: {sender}\r\nTo: ada@example.com\r\nSubject: {subject}\r\n{more}\r\nText\r\n".encode()


class Ada:
    """An account, what comes in for it, and where it is then."""

    def __init__(self, call: Call, make_user: MakeUser, lmtp: Any, inboxes: Any) -> None:
        self.call, self.lmtp, self.inboxes = call, lmtp, inboxes
        self.id = make_user("ada", spamLevel=50, tags=["Customers"])
        boxes = call.store.mailboxes.of_user(self.id)
        self.paths = {box["_id"]: box["path"] for box in boxes}
        self.uses = {box.get("specialUse") or "INBOX": box["_id"] for box in boxes}

    def filter(self, query: Row | None = None, **action: Any) -> ObjectId:
        body = {"query": query or {}, "action": action}
        return ObjectId(create_filter(call=self.call, user=self.id, body=body)["id"])

    def gets(self, raw: bytes, address: str = "ada@example.com", **options: Any) -> str:
        (reply,) = self.lmtp.send(raw, address, **options)
        return str(reply)

    @property
    def messages(self) -> list[Row]:
        return list(self.inboxes.messages(self.id))

    @property
    def only(self) -> Row:
        (found,) = self.messages
        return found

    def where(self) -> str:
        return str(self.paths[self.only["mailbox"]])


@pytest.fixture
def ada(call: Call, make_user: MakeUser, lmtp: Any, inboxes: Any) -> Ada:
    return Ada(call, make_user, lmtp, inboxes)


@pytest.mark.parametrize(
    ("query", "raw", "hits"),
    [
        ({}, RAW, True),
        ({"from": "HOPPER"}, RAW, True),
        ({"from": "grace@example.org"}, RAW, True),
        ({"from": "ada"}, RAW, False),
        ({"from": "postbox"}, b"Sender: postbox@example.org\r\n" + RAW, True),
        ({"to": "ada@example.com"}, RAW, True),
        ({"to": "bob@"}, RAW, True),
        ({"to": "ada+list@example.com"}, RAW, True),
        ({"to": "carol"}, RAW, False),
        ({"subject": "grüße"}, RAW, True),
        ({"subject": "gruesse"}, RAW, False),
        ({"listId": "team.lists"}, LISTED, True),
        ({"listId": "The team <team.lists.example.org>"}, LISTED, True),
        ({"listId": "team.lists"}, RAW, False),
        ({"text": "minutes due"}, RAW, True),
        ({"text": '"due minutes" OR "due today"'}, RAW, True),
        ({"text": "minutes tomorrow"}, RAW, False),
        ({"ha": True}, with_attachment(), True),
        ({"ha": True}, RAW, False),
        ({"ha": False}, RAW, True),
        ({"ha": False}, with_attachment(), False),
        ({"size": 100}, RAW, True),
        ({"size": 100_000}, RAW, False),
        ({"size": -100_000}, RAW, True),
        ({"size": -100}, RAW, False),
        ({"from": "hopper", "to": "bob", "subject": "grüße", "text": "today", "ha": False, "size": 50}, RAW, True),
        ({"from": "hopper", "to": "bob", "subject": "grüße", "text": "today", "ha": True, "size": 50}, RAW, False),
        ({"from": "hopper", "to": "bob", "subject": "grüße", "text": "never"}, RAW, False),
        ({"from": "nobody", "to": "bob"}, RAW, False),
    ],
)  # fmt: skip
def test_each_key_of_a_query(ada: Ada, query: Row, raw: bytes, hits: bool) -> None:
    made = ada.filter(query, flag=True)
    ada.gets(raw, "ada+list@example.com")
    assert (ada.only["flags"], ada.only["filters"]) == ((["\\Flagged"], [made]) if hits else ([], []))


OUT = {"targets": ["boss@elsewhere.example"]}


@pytest.mark.parametrize(
    ("actions", "place", "flags", "forwards"),
    [
        ([{}], "INBOX", [], 0),
        ([{"seen": True}], "INBOX", ["\\Seen"], 0),
        ([{"flag": True}], "INBOX", ["\\Flagged"], 0),
        ([{"seen": True, "flag": True}], "INBOX", ["\\Seen", "\\Flagged"], 0),
        ([{"seen": False}, {"seen": True}], "INBOX", [], 0),
        ([{"spam": True}], "Junk", [], 0),
        ([{"spam": False}], "INBOX", [], 0),
        ([{"mailbox": "\\Drafts"}], "Drafts", [], 0),
        ([{"mailbox": "\\Drafts"}, {"mailbox": "\\Trash"}], "Drafts", [], 0),
        ([{"spam": True, "mailbox": "\\Drafts"}], "Drafts", [], 0),
        ([{"mailbox": "\\Drafts"}, {"spam": True}], "Junk", [], 0),
        ([{"spam": True}, {"mailbox": "\\Drafts"}], "Drafts", [], 0),
        ([{"delete": True}], None, [], 0),
        ([{"delete": False}, {"delete": True}], "INBOX", [], 0),
        ([OUT], "INBOX", [], 1),
        ([OUT, OUT], "INBOX", [], 1),
        ([OUT, {"targets": ["second@elsewhere.example"]}], "INBOX", [], 2),
        ([{**OUT, "delete": True}], None, [], 1),
        ([{**OUT, "spam": True}], "Junk", [], 0),
        ([{**OUT, "mailbox": "\\Trash", "seen": True, "flag": True}], "Trash", ["\\Seen", "\\Flagged"], 1),
    ],
)  # fmt: skip
def test_each_action(
    ada: Ada, inboxes: Any, actions: list[Row], place: str | None, flags: list[str], forwards: int
) -> None:
    made = [
        ada.filter({"from": "grace"}, **{k: ada.uses[v] if k == "mailbox" else v for k, v in action.items()})
        for action in actions
    ]
    reply = ada.gets(RAW)
    assert len(inboxes.queued()) == forwards
    if place is None:
        assert ada.messages == []
        assert reply.startswith("250 2.1.5 Message dropped by policy as ")
        return
    assert reply == f"250 2.1.5 Message stored as {ada.only['_id']}"
    assert (ada.where(), ada.only["flags"], ada.only["filters"]) == (place, flags, made)
    assert ada.only.get("junk", False) is (place == "Junk")
    assert ("outbound" in ada.only) is bool(forwards)
    assert ("forwardTargets" in ada.only) is any("targets" in action for action in actions)


def test_a_filter_that_is_disabled_or_of_somebody_else_does_nothing(ada: Ada, make_user: MakeUser) -> None:
    body: Row = {"query": {"from": "grace"}, "action": {"delete": True}}
    create_filter(call=ada.call, user=make_user("bob"), body=body)
    create_filter(call=ada.call, user=ada.id, body={**body, "disabled": True})
    ada.gets(RAW)
    assert (ada.where(), ada.only["filters"]) == ("INBOX", [])


def test_a_mailbox_that_is_gone_means_inbox(ada: Ada, store: Store) -> None:
    made = ada.filter({}, mailbox=ada.uses["\\Trash"])
    store.databases.main["filters"].update_one({"_id": made}, {"$set": {"action.mailbox": ObjectId()}})
    ada.gets(RAW)
    assert ada.where() == "INBOX"


def test_without_junk_spam_is_in_inbox(ada: Ada, store: Store) -> None:
    store.databases.main["mailboxes"].delete_one({"_id": ada.uses["\\Junk"]})
    ada.filter({}, spam=True)
    ada.gets(RAW)
    assert ada.where() == "INBOX"


def classification(message: Row) -> tuple[Any, Any]:
    headers = message["mimeTree"]["parsedHeader"]
    name = "wd-mail-classification"
    return headers.get(name), headers.get(f"{name}-source")


@pytest.mark.parametrize(
    ("level", "more", "place", "classified"),
    [
        (50, "", "INBOX", (None, None)),
        (50, "X-Spam-Flag: NO\r\n", "INBOX", (None, None)),
        (50, "X-Spam-Flag: YES\r\n", "Junk", ("junk", "user-spamlevel")),
        (50, "X-Rspamd-Action: add header\r\n", "INBOX", (None, None)),
        (25, "X-Rspamd-Action: add header\r\n", "Junk", ("junk", "user-spamlevel")),
        (60, "X-Spam-Status: Yes, score=12\r\n", "INBOX", (None, None)),
        (0, "", "Junk", ("junk", "user-spamlevel")),
        (100, "X-Spam-Flag: YES\r\n", "INBOX", ("not-junk", "user-spamlevel")),
    ],
)
def test_the_spam_level(
    ada: Ada, store: Store, level: int, more: str, place: str, classified: tuple[Any, Any]
) -> None:
    change_user(store, ada.id, {"spamLevel": level})
    ada.gets(message(more))
    assert (ada.where(), classification(ada.only)) == (place, classified)


@pytest.mark.parametrize(
    ("lists", "actions", "more", "place", "source"),
    [
        ("block", [], "", "Junk", "user-domainaccess"),
        ("block", [{"spam": False}], "", "Junk", "user-domainaccess"),
        ("block", [{"mailbox": "\\Drafts"}], "", "Drafts", "user-domainaccess"),
        ("allow", [], "X-Spam-Flag: YES\r\n", "INBOX", "user-domainaccess"),
        ("allow", [{"spam": True}], "", "INBOX", "user-domainaccess"),
        ("block allow", [], "", "INBOX", "user-domainaccess"),
        ("", [{"spam": False}], "X-Spam-Flag: YES\r\n", "INBOX", "user-filter"),
        ("", [{"spam": True}], "", "Junk", "user-filter"),
        ("", [{"mailbox": "\\Drafts"}], "X-Spam-Flag: YES\r\n", "Junk", "user-spamlevel"),
    ],
)
def test_who_decides_about_spam(
    ada: Ada, lists: str, actions: list[Row], more: str, place: str, source: str
) -> None:
    entries: list[str] = []
    for tag, name in zip(("customers", "CUSTOMERS"), lists.split(), strict=False):
        make = create_blocked_domain if name == "block" else create_allowed_domain
        entry = make(call=ada.call, tag=tag, body={"domain": "example.org"})["id"]
        entries = [f"{name}:customers:{entry}"]
    made = [
        ada.filter({"from": "grace"}, **{k: ada.uses[v] if k == "mailbox" else v for k, v in action.items()})
        for action in actions
    ]
    ada.gets(message(more))
    assert (ada.where(), classification(ada.only)[1]) == (place, source)
    assert ada.only["filters"] == [*entries, *made]


@pytest.mark.parametrize(
    ("sender", "blocked"),
    [
        ("grace@example.org", True),
        ("Grace <grace@EXAMPLE.ORG>", True),
        ("grace@mail.example.org", False),
        ("a@example.net, b@example.org", False),
        ("Team: b@example.org, a@example.net;", True),
        ('"x@example.org" <a@example.net>', False),
    ],
)
def test_the_domain_of_the_first_author_counts(ada: Ada, sender: str, blocked: bool) -> None:
    create_blocked_domain(call=ada.call, tag="customers", body={"domain": "example.org"})
    ada.gets(message(sender=sender))
    assert ada.where() == ("Junk" if blocked else "INBOX")


@pytest.mark.parametrize("domain", ["пример.рф", "xn--e1afmkfd.xn--p1ai"])
def test_a_domain_that_is_not_ascii(ada: Ada, domain: str) -> None:
    create_blocked_domain(call=ada.call, tag="customers", body={"domain": domain})
    ada.gets(message(sender="a@пример.рф"))
    assert ada.where() == "Junk"
    assert "xn--e1afmkfd.xn--p1ai" in ada.only["mimeTree"]["parsedHeader"]["wd-mail-classification-info"]


def test_an_account_without_the_tag_is_not_concerned(ada: Ada, make_user: MakeUser, inboxes: Any) -> None:
    create_blocked_domain(call=ada.call, tag="others", body={"domain": "example.org"})
    ada.gets(message())
    assert ada.where() == "INBOX"


def test_classification_replaces_what_came_and_says_why(ada: Ada) -> None:
    ada.filter({}, spam=True)
    ada.gets(message("WD-Mail-Classification: not-junk\r\n", "Hello"))
    source = ada.inboxes.source(ada.only)
    header, _, body = source.partition(b"\r\n\r\n")
    lines = header.decode().split("\r\n")[-3:]
    assert lines[:2] == ["WD-Mail-Classification: junk", "WD-Mail-Classification-Source: user-filter"]
    assert lines[2].startswith("WD-Mail-Classification-Info: Your filter of 20")
    assert header.count(b"WD-Mail-Classification:") == 1
    assert body == b"Text\r\n"


def test_counts_quota_and_register(ada: Ada, store: Store) -> None:
    ada.gets(message(subject="one"))
    ada.gets(message(subject="two"))
    inbox = store.mailboxes.get(ada.id, ada.uses["INBOX"])
    assert store.mailbox_counts.of([inbox])[inbox["_id"]] == (2, 2)
    assert store.users.get(ada.id)["storageUsed"] == sum(m["size"] for m in ada.messages)
    register = store.databases.main["addressregister"].find_one({"user": ada.id})
    assert register
    assert register["address"] == "grace@example.org"


def test_a_quota_that_fills_up_after_rcpt(ada: Ada, store: Store, inboxes: Any) -> None:
    change_user(store, ada.id, {"quota": 1000}, more={"targets": [{"type": "mail", "value": "x@y.example"}]})
    assert ada.gets(message("X-Filler: " + "x" * 900 + "\r\n")) == "452 4.2.2 Mailbox full"
    assert (ada.messages, inboxes.queued(), inboxes.files()) == ([], [], 0)
    assert store.users.get(ada.id)["storageUsed"] == 0
    assert store.counters.peek(f"wdf:{ada.id}", 10).value == 0


class TestVerification:
    """`verificationResults`, from the DNS or the MTA."""

    RECEIVED = "Received: from mx.example.org (mx.example.org [203.0.113.7])\r\n\tby in.example.com; now\r\n"

    def test_by_the_dns(self, ada: Ada) -> None:
        ada.lmtp.dns.records = {
            ("example.org", "TXT"): ["v=spf1 ip4:203.0.113.7 -all"],
            ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=reject"],
        }
        ada.gets(self.RECEIVED.encode() + message())
        assert ada.only["verificationResults"] == {
            "spf": "example.org",
            "dkim": False,
            "dmarc": {"domain": "example.org", "policy": "reject"},
        }
        shown = ada.call.store.messages.find(ada.id, ada.only["mailbox"], ada.only["uid"], None)
        assert shown["verificationResults"]["spf"] == "example.org"

    @pytest.mark.parametrize("more", ["", "Received: by x.example.org\r\n", "Received: from x ([999.1])\r\n"])
    def test_nobody_is_vouched_for_where_the_mta_names_no_address(self, ada: Ada, more: str) -> None:
        ada.lmtp.dns.records = {("example.org", "TXT"): ["v=spf1 +all"]}
        ada.gets(more.encode() + message())
        assert ada.only["verificationResults"]["spf"] is False

    def test_by_the_mta(self, start_lmtp: Any, ada: Ada) -> None:
        ada.lmtp = start_lmtp(authserv_id="in.example.com")
        ada.gets(message("Authentication-Results: in.example.com; spf=pass smtp.mailfrom=a@example.org\r\n"))
        assert ada.only["verificationResults"] == {"spf": "example.org", "dkim": False}

    def test_switched_off(self, start_lmtp: Any, ada: Ada) -> None:
        ada.lmtp = start_lmtp(verify_mail=False)
        ada.gets(message())
        assert "verificationResults" not in ada.only


def test_an_audit_gets_what_a_filter_drops(ada: Ada) -> None:
    store = ada.call.store
    body = {"user": ada.id, "expires": store.clock() + timedelta(days=1)}
    audit = create_audit(call=ada.call, body=body)["id"]
    ada.filter({"from": "grace"}, delete=True)
    for _ in range(2):
        assert ada.gets(RAW).startswith("250 2.1.5 Message dropped")
    assert ada.messages == []
    (copy,) = store.audit_files.export(audit)
    assert b"".join(copy.pieces).endswith(RAW)
    (file,) = store.databases.gridfs["audit.files"].find({"metadata.audit": audit})
    info = file["metadata"]["info"]
    assert (info["notStored"], info["from"], info["to"]) == (True, "grace@example.org", ["ada@example.com"])
    assert "mailbox" not in file["metadata"]
    assert store.audits.get(audit)["audited"] == 1


def test_webhooks_hear_of_what_is_stored(ada: Ada, store: Store) -> None:
    told = store.databases.main["webhookqueue"]
    store.webhooks.create(["*"], "https://hooks.example.com/", None)
    ada.gets(RAW)
    assert told.count_documents({}) == 0, "`*` does not match what is told of every message"
    store.webhooks.create(["message.*"], "https://hooks.example.com/", ada.id)
    ada.gets(message(subject="Second"))
    first, second = ada.messages
    ada.filter({"subject": "gone"}, delete=True)
    ada.gets(message(subject="gone"))
    (row,) = told.find({"type": "message.received"})
    body = row["body"]
    assert {name: body[name] for name in ("ev", "user", "mailbox", "message", "thread", "subject", "from")} == {
        "ev": "message.received", "user": str(ada.id), "mailbox": str(second["mailbox"]), "message": second["uid"],
        "thread": str(second["thread"]), "subject": "Second", "from": {"name": "", "address": "grace@example.org"},
    }  # fmt: skip
    assert first["uid"] != second["uid"]

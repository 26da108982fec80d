"""Searching by structured conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from storage.base.paging import Paging
from storage.search.condition import condition
from storage.search.message_search import search_order
from storage.search.plan import Places
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account, message, with_attachment

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ada(store: Store) -> Account:
    """Five messages with subjects that tell them apart."""
    ada = Account(store)
    made: list[tuple[bytes, str, list[str]]] = [
        (message("Alpha plan", "quarterly numbers", "Grace Hopper <grace@example.com>"), "INBOX", []),
        (
            message("Beta (50%)", "cheap watches", more="Cc: Bob <bob@example.org>\r\n"),
            "INBOX",
            ["\\Seen", "\\Flagged"],
        ),
        (message("Gamma", "numbers and watches", "Zoë <zoe@example.com>"), "Trash", ["\\Seen"]),
        (with_attachment(content="AAAA" * 200, subject="Delta"), "INBOX", ["\\Deleted"]),
        (message("Epsilon", "anything"), "Junk", []),
    ]
    for number, (raw, path, flags) in enumerate(made):
        ada.add(raw, path=path, flags=flags, date=START + timedelta(days=number))
    return ada


def search(ada: Account, paging: Paging | None = None, order: str | None = "asc", **fields: Any) -> str:
    """The initials of the subjects found, in their order; `or_` stands for `or` and `from_` for `from`."""
    fields = {name.removesuffix("_"): value for name, value in fields.items()}
    wanted = condition(ada.store.message_search.places(ada.id), ada.id, fields)
    page, total = ada.store.message_search.search(ada.id, wanted, paging or Paging(), search_order(order))
    assert paging or total == len(page.rows)
    return "".join(row["subject"][0] for row in page.rows)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "ABGDE"),
        ({"from_": "GRACE"}, "ABDE"),
        ({"from_": "hopper"}, "A"),
        ({"from_": "ZOË"}, "G"),
        ({"to": "ADA@"}, "ABGE"),
        ({"to": "bob"}, "B"),
        ({"subject": "alpha PLAN"}, "A"),
        ({"subject": "(50%)"}, "B"),
        ({"subject": ".*"}, ""),
        ({"from_": "grace", "subject": "a"}, "ABD"),
        ({"flagged": True}, "B"),
        ({"flagged": False}, "ABGDE"),
        ({"attachments": True}, "D"),
        ({"seen": True}, "BG"),
        ({"unseen": True}, "AE"),
        ({"unseen": True, "seen": True}, "AE"),
        ({"searchable": True}, "AB"),
        ({"datestart": START + timedelta(days=1), "dateend": START + timedelta(days=2)}, "BG"),
        ({"minSize": 500}, "D"),
        ({"maxSize": 500}, "ABGE"),
        ({"minSize": 0, "maxSize": 0}, "ABGDE"),
        ({"query": "numbers"}, "AG"),
        ({"query": "numbers watches"}, "ABG"),
        ({"query": "numbers watches", "useAndSearch": True}, "G"),
        ({"query": 'say "cheap" \\', "useAndSearch": True}, ""),
        ({"query": "watches -cheap"}, "G"),
        ({"or_": {"from": "zoe", "subject": "alpha"}}, "AG"),
        ({"or_": {"to": "bob", "subject": "delta"}}, "BD"),
        ({"or_": {"query": "numbers"}}, "AG"),
        ({"or_": {"query": "quarterly", "from": "zoe"}}, "AG"),
        ({"or_": {"query": "WATCHES", "subject": "alpha"}}, "ABG"),
        ({"or_": {"query": "cheap"}, "query": "numbers"}, "AG"),
        ({"from_": "grace", "or_": {"subject": "beta", "to": "nobody"}}, "B"),
        ({"from_": "\0"}, ""),
        ({"or_": {"query": "x\0", "from": "zoe"}}, "G"),
        ({"id": "1"}, "ABGDE"),
    ],
)
def test_conditions(ada: Account, fields: dict[str, Any], found: str) -> None:
    assert search(ada, **fields) == found


def test_in_a_mailbox(ada: Account) -> None:
    inbox, trash = ada.box()["_id"], ada.box("Trash")["_id"]
    assert search(ada, mailbox=inbox) == "ABD"
    assert search(ada, mailbox=inbox, id="2:*") == "BD"
    assert search(ada, mailbox=trash, searchable=True) == "G"
    assert search(ada, mailbox=inbox, searchable=True) == "AB", "without the one that is marked as deleted"
    assert search(ada, mailbox=ObjectId()) == ""


def test_in_a_thread(ada: Account) -> None:
    assert search(ada, thread=ada.all("messages")[2]["thread"]) == "G"


def test_only_of_the_account(ada: Account, store: Store) -> None:
    other = Account(store)
    assert search(other) == ""
    assert search(other, mailbox=ada.box()["_id"]) == ""
    assert search(other, thread=ada.all("messages")[0]["thread"]) == ""


def test_order_and_pages(ada: Account) -> None:
    assert search(ada, order="desc") == "EDGBA"
    assert search(ada, order=None) == "EDGBA"
    order = search_order("asc")
    wanted = condition(ada.store.message_search.places(ada.id), ada.id, {})
    first, total = ada.store.message_search.search(ada.id, wanted, Paging(3), order)
    assert total == 5
    assert search(ada, Paging(3, next=str(first.next_cursor))) == "DE"


def test_one_row_for_each_thread(ada: Account) -> None:
    for number in range(3):
        ada.add(message("Same", more="References: <t@x>\r\n"), date=START + timedelta(days=10 + number))
    wanted = condition(ada.store.message_search.places(ada.id), ada.id, {"subject": "same"})
    page, total = ada.store.message_search.search(
        ada.id, wanted, Paging(), search_order("desc"), collapse_threads=True
    )
    assert ([row["uid"] for row in page.rows], total) == ([6], 1)


def slow_search(ada: Account) -> list[Row]:
    """A search of INBOX that counts long for each message that has the field `slow`.

    Between messages the database looks at the clock. Scripts that sleep can be interrupted anywhere, and what it
    answers then is not always that time is up.
    """
    steps = {"$range": [0, {"$ifNull": ["$slow", 0]}]}
    count = {"$reduce": {"input": steps, "initialValue": 0, "in": {"$add": ["$$value", 1]}}}
    several = {"$reduce": {"input": [1] * 8, "initialValue": 0, "in": {"$add": ["$$value", count]}}}
    return [{"user": ada.id, "mailbox": ada.box()["_id"], "$expr": {"$gte": [several, 0]}}]


def make_slow(ada: Account, least_uid: int) -> None:
    wanted = {"user": ada.id, "uid": {"$gte": least_uid}}
    ada.store.databases.main["messages"].update_many(wanted, {"$set": {"slow": 500_000}})


def test_a_search_without_end_gives_what_it_has(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = Account(store)
    first = ada.add(date=START)
    clones = [
        {**first, "_id": ObjectId(), "uid": n, "idate": START + timedelta(days=n)} for n in range(2, 131)
    ]
    store.databases.main["messages"].insert_many(clones)
    order, wanted = search_order("asc"), slow_search(ada)
    for _ in range(3):  # until the database has settled on a plan; trying plans out reads all messages
        store.message_search.search(ada.id, wanted, Paging(250), order)
    make_slow(ada, 125)
    with monkeypatch.context() as patch:
        patch.setattr(store.message_search, "_limit_ms", 1500)
        page, total = store.message_search.search(ada.id, wanted, Paging(250), order)
    assert [row["uid"] for row in page.rows] == list(range(1, 121)), "whole batches"
    assert total == 120
    store.databases.main["messages"].update_many({"user": ada.id}, {"$unset": {"slow": ""}})
    rest, _ = store.message_search.search(ada.id, wanted, Paging(250, next=str(page.next_cursor)), order)
    assert [row["uid"] for row in rest.rows] == list(range(121, 131))


@pytest.mark.parametrize("collapse_threads", [False, True])
def test_a_search_that_finds_nothing_in_time_is_no_fault(
    store: Store, monkeypatch: pytest.MonkeyPatch, collapse_threads: bool
) -> None:
    ada = Account(store)
    monkeypatch.setattr(store.message_search, "_limit_ms", 200)
    for _ in range(3):
        ada.add()
    make_slow(ada, 1)
    page, total = store.message_search.search(
        ada.id, slow_search(ada), Paging(), search_order(None), collapse_threads=collapse_threads
    )
    assert (page.rows, page.next_cursor, page.previous_cursor, total) == ([], False, False, 0)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        (" ", ""),
        ('""', ""),
        ("after:7d", ""),
        ("numbers", "AG"),
        ("numbers cheap", "ABG"),
        ("numbers -quarterly", "G"),
        ("-numbers", "BE"),
        ('"cheap  watches"', "B"),
        ('-"cheap watches"', "AGE"),
        ('"alpha plan"', "A"),
        ("from:hopper", "A"),
        ("from:opp", "A"),
        ("-from:hopper", "BGDE"),
        ("to:bob", "B"),
        ("cc:bob or from:zoë", "BG"),
        ("-(from:hopper or cc:bob)", "GDE"),
        ("-(from:hopper subject:alpha)", "BGDE"),
        ("subject:(50%)", "B"),
        ('subject:"(50%)"', "B"),
        ("is:unread", "AE"),
        ("is:read -in:trash", "B"),
        ("is:starred", "B"),
        ("in:inbox numbers", "A"),
        ("in:/Trash", "G"),
        ("in:spam or in:Trash", "GE"),
        ("in:nowhere", ""),
        ("-in:nowhere is:unread", "AE"),
        ("has:attachment", "D"),
        ("-has:attachment", "ABGE"),
        ("after:2026-01-03 before:2026-01-04", "GD"),
        ("minsize:300", "D"),
        ("id:2", "B"),
        ("id:1,2 in:inbox", "AB"),
        ("(numbers or cheap) watches", "BG"),
        ("(numbers or cheap) (watches or plan)", "ABG"),
        ("quarterly or from:zoë", "AG"),
        ("quarterly or (cheap is:starred)", "AB"),
        ("searchable:yes", "AB"),
        ("http://x", ""),
        ("unknown:numbers", "AG"),
    ],
)
def test_q(ada: Account, q: str, found: str) -> None:
    assert search(ada, q=q) == found


def test_q_with_the_parameters_beside_it(ada: Account) -> None:
    assert search(ada, q="numbers watches", useAndSearch=True) == "G"
    assert search(ada, q="numbers", searchable=True) == "A"
    assert search(ada, q="numbers", subject="beta") == "AG", "other parameters are ignored"


WORDS = st.sampled_from(["grace", "example", "hopper", "zo", "com", "a", "watches", "50"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "from": WORDS, "to": WORDS, "subject": WORDS, "query": WORDS, "flagged": st.just(True),
        "attachments": st.just(True), "unseen": st.just(True), "minSize": st.integers(1, 999),
        "maxSize": st.integers(1, 999), "datestart": st.just(START), "dateend": st.just(START),
        "thread": st.just(ObjectId("5" * 24)), "mailbox": st.just(ObjectId("6" * 24)),
        "or": st.fixed_dictionaries({}, optional={"from": WORDS, "to": WORDS, "subject": WORDS, "query": WORDS}),
    },
)  # fmt: skip


KEYWORDS = {
    "mailbox": "mailbox:", "thread": "thread:", "datestart": "datestart:", "dateend": "dateend:",
    "minSize": "minsize:", "maxSize": "maxsize:", "flagged": "flagged:", "attachments": "attachments:",
    "unseen": "unseen:", "from": "from:", "to": "to:", "subject": "subject:", "query": "",
}  # fmt: skip


def as_q(fields: dict[str, Any], joint: str = " ") -> str:
    """The same in one line. Parameters give words of their own a group only where there are none already."""
    words = [
        keyword + (START.isoformat() if fields[name] is START else str(fields[name]).lower())
        for name, keyword in KEYWORDS.items()
        if name in fields
    ]
    group = {n: v for n, v in (fields.get("or") or {}).items() if n != "query" or "query" not in fields}
    return joint.join([*words, *([f"({as_q(group, ' or ')})"] if group else [])])


@settings(deadline=None)
@given(FIELDS, st.booleans(), st.booleans())
def test_q_and_parameters_have_the_same_plan(fields: dict[str, Any], every: bool, within: bool) -> None:
    """Also with the two parameters that stand beside a query: `useAndSearch` and `searchable`."""
    assume(as_q(fields))
    user, places = ObjectId("1" * 24), Places(spam_and_trash=[ObjectId("7" * 24)])
    beside = {"useAndSearch": every, "searchable": within and "mailbox" not in fields}
    by_fields, by_q = (
        condition(places, user, {**given, **beside}) for given in (fields, {"q": as_q(fields)})
    )
    assert together_in_any_order(by_fields) == together_in_any_order(by_q)


def together_in_any_order(plan: Sequence[Mapping[str, Any]]) -> list[tuple[Any, list[str]]]:
    """What the text index is asked for, and the conditions beside it, of each alternative."""
    return [([c for c in own["$and"] if "$text" in c], sorted(map(repr, own["$and"]))) for own in plan]


HEADER_TEXT = st.text(alphabet="abcXé .-_@<>\u0130ß", min_size=1, max_size=14)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(subjects=st.lists(HEADER_TEXT, min_size=1, max_size=5), wanted=HEADER_TEXT, old=st.booleans())
def test_the_index_of_tokens_loses_nothing(store: Store, subjects: list[str], wanted: str, old: bool) -> None:
    """What a look at every message finds, the search finds; also in messages that WildDuck stored."""
    ada = Account(store)
    for subject in subjects:
        ada.add(message(subject))
    if old:
        change = {"$unset": {"mallard": ""}}
        store.databases.main["messages"].update_many({"user": ada.id, "uid": {"$mod": [2, 0]}}, change)
    rows = ada.all("messages")
    there = {
        row["uid"]
        for row in rows
        if any(h["key"] == "subject" and wanted.strip().lower() in h["value"] for h in row["headers"])
    }
    page, _ = store.message_search.search(
        ada.id,
        condition(store.message_search.places(ada.id), ada.id, {"subject": wanted}),
        Paging(),
        search_order(None),
    )
    assert {row["uid"] for row in page.rows} == (there if wanted.strip() else {row["uid"] for row in rows})

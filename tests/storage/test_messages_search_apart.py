"""Searches whose alternatives are read apart: words beside headers and flags."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.base.paging import Paging
from storage.messages.documents import Message
from storage.search.condition import condition
from storage.search.message_search import first_of, search_order
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account, message
from tests.storage.plans import examined, indexes, plans, values

START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("quokka", "wombat", "numbat")
SENDERS = ("grace", "zoe", "bob")
MESSAGES = 40


def kinds(number: int) -> Row:
    """What a message of the collection is: its words, who sent it, whether it is starred, its thread."""
    return {
        "words": [word for place, word in enumerate(WORDS) if number % (place + 2) == 0],
        "from": SENDERS[number % 5 % 3],
        "starred": number % 4 == 1,
        "deleted": number % 11 == 10,
        "thread": number % 7,
    }


@pytest.fixture
def ada(store: Store) -> Account:
    """Forty messages, their dates in another order than they came."""
    ada = Account(store)
    for number in range(MESSAGES):
        kind = kinds(number)
        raw = message(
            f"Report {kind['thread']}",
            " ".join(["text", *kind["words"]]),
            f"{kind['from']}@example.com",
            more=f"References: <{kind['thread']}@x>\r\n",
        )
        flags = ["\\Flagged"] * kind["starred"] + ["\\Deleted"] * kind["deleted"]
        ada.add(raw, flags=flags, date=START + timedelta(days=number * 17 % MESSAGES // 2))
    return ada


def wanted_by(store: Store, user: ObjectId, **fields: Any) -> list[Row]:
    return condition(store.message_search.places(user), user, fields)


Alternative = tuple[str, Callable[[dict[str, Any]], bool]]


def has_word(word: str) -> Alternative:
    return word, lambda kind: word in kind["words"]


def is_from(sender: str) -> Alternative:
    return f"from:{sender}", lambda kind: kind["from"] == sender


def both(word: str, sender: str) -> Alternative:
    return f"({word} from:{sender})", lambda kind: word in kind["words"] and kind["from"] == sender


def starred(word: str) -> Alternative:
    return f"({word} is:starred)", lambda kind: word in kind["words"] and kind["starred"]


WORD, SENDER = st.sampled_from(WORDS), st.sampled_from(SENDERS)
ALTERNATIVE = st.one_of(
    WORD.map(has_word),
    SENDER.map(is_from),
    st.builds(both, WORD, SENDER),
    WORD.map(starred),
    st.just(("is:starred", lambda kind: kind["starred"])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    some=st.lists(ALTERNATIVE, min_size=2, max_size=12),
    narrowed=st.booleans(),
    order=st.sampled_from([None, "asc", "desc"]),
    limit=st.integers(3, 45),
    collapse=st.booleans(),
)
def test_alternatives_find_what_a_look_at_every_message_finds(
    ada: Account, some: list[Alternative], narrowed: bool, order: str | None, limit: int, collapse: bool
) -> None:
    q = " or ".join(text for text, _ in some)
    wanted = wanted_by(ada.store, ada.id, q=f"({q}) is:starred" if narrowed else q)
    hides_deleted = any(word in q for word in WORDS)
    found = [
        (number, kind["thread"])
        for number in range(MESSAGES)
        if any(holds(kind := kinds(number)) for _, holds in some)
        and (kind["starred"] or not narrowed)
        and not (kind["deleted"] and hides_deleted)
    ]
    rows, totals = pages(ada, wanted, order, limit, collapse)
    dates = {row["uid"]: row["idate"] for row in rows}
    newest_first = sorted((row["uid"] for row in rows), reverse=order != "asc")
    if order:
        newest_first.sort(key=lambda uid: dates[uid], reverse=order == "desc")
    assert [row["uid"] for row in rows] == newest_first, "in order, each once"
    if collapse:
        assert {kinds(row["uid"] - 1)["thread"] for row in rows} == {thread for _, thread in found}
        assert len(rows) == len({thread for _, thread in found})
    else:
        assert {row["uid"] - 1 for row in rows} == {number for number, _ in found}
    assert totals == {len(rows)}, wanted


def pages(
    ada: Account, wanted: list[Row], order: str | None, limit: int, collapse: bool
) -> tuple[list[Row], set[int]]:
    """All rows page by page, and the totals that the pages told."""
    rows: list[Row] = []
    totals: set[int] = set()
    cursor: Any = None
    while cursor is not False:
        page, total = ada.store.message_search.search(
            ada.id, wanted, Paging(limit, next=cursor), search_order(order), collapse_threads=collapse
        )
        rows += page.rows
        totals.add(total)
        cursor = page.next_cursor
    return rows, totals


def test_threads_that_alternatives_led_to_are_counted(ada: Account) -> None:
    """MongoDB 6 groups them wrongly as soon as each alternative has an index."""
    wanted = wanted_by(ada.store, ada.id, q="from:grace or from:zoe")
    assert len(wanted) == 1
    _, total = ada.store.message_search.search(
        ada.id, wanted, Paging(2), search_order(None), collapse_threads=True
    )
    assert total == 7


def test_going_back_shows_the_page_before(ada: Account) -> None:
    wanted = wanted_by(ada.store, ada.id, q="quokka or from:zoe")
    order = search_order("desc")

    def search(paging: Paging) -> Any:
        return ada.store.message_search.search(ada.id, wanted, paging, order)[0]

    first = search(Paging(5))
    second = search(Paging(5, next=str(first.next_cursor)))
    assert second.rows
    assert second.rows != first.rows
    assert search(Paging(5, previous=str(second.previous_cursor))).rows == first.rows


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"or": {"query": "rarely", "from": "unusual"}}, [{"fulltext"}, {"mallard_search"}]),
        ({"q": "rarely or subject:seldom"}, [{"fulltext"}, {"mallard_search"}]),
        ({"q": "rarely or from:unusual or (seldom is:unread)"}, [{"fulltext"}, {"fulltext"}, {"mallard_search"}]),
    ],
)  # fmt: skip
def test_each_alternative_reads_what_it_finds(
    ada: Account, fields: dict[str, Any], names: list[set[str]]
) -> None:
    ada.add(message("Seldom", "rarely said", "unusual@example.com"))
    wanted = wanted_by(ada.store, ada.id, **fields)
    for order in (None, "asc"):
        seen = plans(
            ada.store,
            lambda order=order: ada.store.message_search.search(
                ada.id, wanted, Paging(), search_order(order)
            ),
        )
        reads = [plan for plan in seen if plan["command"].get("find") == "messages"]
        assert sorted(sorted(indexes(plan)) for plan in reads) == sorted(map(sorted, names))
        assert all(examined(plan) <= 2 for plan in reads), "the text index is read for its own documents"
        (count,) = [plan for plan in seen if "find" not in plan["command"]]
        assert "COLLSCAN" not in set(values(count, "stage"))


def test_a_job_goes_through_all_of_it_by_id(ada: Account) -> None:
    wanted = wanted_by(ada.store, ada.id, q="quokka or from:zoe")
    whole = ada.store.message_search.matching(wanted, None, ObjectId("f" * 24), 100)
    assert [row["_id"] for row in whole] == sorted({row["_id"] for row in whole})
    steps: list[Row] = []
    while more := ada.store.message_search.matching(
        wanted, steps[-1]["_id"] if steps else None, ObjectId("f" * 24), 3
    ):
        steps += more
    assert steps == whole


def test_what_was_cut_while_rows_came_is_shown_no_further() -> None:
    """Behind its last row there may be more of it; a cursor there leads on to that."""
    rows: list[Message] = [{"_id": ObjectId(f"{number:024x}")} for number in range(6)]
    nothing: tuple[list[Message], bool] = ([], False)
    whole, cut = (rows[::2], True), (rows[1:4], False)
    assert first_of([whole, cut], {"_id": 1}, 9) == rows[:4]
    assert first_of([whole, cut, (rows[:2], False)], {"_id": 1}, 9) == rows[:2]
    assert first_of([whole, nothing], {"_id": 1}, 9) == rows[::2]
    assert first_of([(rows[::-2], True), (rows[4:2:-1], True)], {"_id": -1}, 3) == rows[:2:-1]


def test_an_alternative_that_takes_too_long_leaves_the_others(
    ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada.store.databases.main["messages"].update_many({"user": ada.id}, {"$set": {"slow": 200_000}})
    steps = {"$range": [0, "$slow"]}
    count = {"$reduce": {"input": steps, "initialValue": 0, "in": {"$add": ["$$value", 1]}}}
    slow = {"user": ada.id, "$expr": {"$gte": [count, 0]}}
    monkeypatch.setattr(ada.store.message_search, "_limit_ms", 1000)
    wanted = [slow, *wanted_by(ada.store, ada.id, subject="report 6")]
    page, total = ada.store.message_search.search(ada.id, wanted, Paging(30), search_order("desc"))
    assert {row["subject"] for row in page.rows} == {"Report 6"}
    assert page.next_cursor, "there may be more"
    assert total == len(page.rows)

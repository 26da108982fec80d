"""searchMessages by text, people, subject, dates and flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

Put = Callable[..., int]
Box = Callable[[str], str]


@pytest.fixture
def search(client: Any, ada: str) -> Callable[..., Any]:
    """`search(subject="x")`: searches the account's messages."""
    return lambda **query: client.get(f"/users/{ada}/search", query_string=query)


@pytest.fixture
def mail(put: Put) -> None:
    """Four messages, each by its subject."""
    put("One", "invoice for apples", "Amy Lee <amy@example.org>", date="2026-01-01T00:00:00Z", unseen=True)
    put(
        "Two",
        "invoice for pears",
        "bob@example.org",
        headers="Cc: carl@example.org\r\n",
        date="2026-01-02",
        flagged=True,
    )
    put("Three (.*)", "nothing", "amy@example.net", mailbox="Trash", date="2026-01-03T00:00:00Z")
    attachment = "Content-Type: application/pdf\r\n"
    put("Four", "%PDF" * 100, "dora@example.org", headers=attachment, date="2026-01-04T00:00:00Z")


def subjects(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json
    found = [row["subject"].partition(" ")[0] for row in answer.json["results"]]
    assert answer.json["total"] == len(found)
    return found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["Four", "Three", "Two", "One"]),
        ({"query": "invoice"}, ["Two", "One"]),
        ({"query": "apples pears"}, ["Two", "One"]),
        ({"query": "apples invoice", "useAndSearch": "true"}, ["One"]),
        ({"from": "AMY"}, ["Three", "One"]),
        ({"from": "amy lee"}, ["One"]),
        ({"to": "carl"}, ["Two"]),
        ({"to": "ada@example.com"}, ["Four", "Three", "Two", "One"]),
        ({"subject": "(.*)"}, ["Three"]),
        ({"subject": ".*"}, ["Three"]),
        ({"subject": "^"}, []),
        ({"datestart": "2026-01-02T00:00:00Z", "dateend": "2026-01-03T00:00:00Z"}, ["Three", "Two"]),
        ({"dateend": "1767225600000"}, ["One"]),
        ({"flagged": "1"}, ["Two"]),
        ({"unseen": "true"}, ["One"]),
        ({"seen": "true"}, ["Four", "Three", "Two"]),
        ({"unseen": "false", "flagged": "no"}, ["Four", "Three", "Two", "One"]),
        ({"attachments": "true"}, ["Four"]),
        ({"minSize": "300"}, ["Four"]),
        ({"maxSize": "300", "minSize": "0"}, ["Three", "Two", "One"]),
        ({"searchable": "true", "from": "amy"}, ["One"]),
        ({"or.from": "bob", "or.subject": "Four"}, ["Four", "Two"]),
        ({"or[from]": "bob", "or[to]": "carl"}, ["Two"]),
        ({"or.from": "amy", "flagged": "true"}, []),
        ({"order": "asc"}, ["One", "Two", "Three", "Four"]),
        ({"order": "desc"}, ["Four", "Three", "Two", "One"]),
        ({"thread": str(ObjectId())}, []),
        ({"mailbox": str(ObjectId())}, []),
        ({"mailbox": "", "thread": "", "id": "", "minSize": "", "datestart": "", "limit": "", "query": " "},
         ["Four", "Three", "Two", "One"]),
        ({"foo": "1", "from[$ne]": "x", "subject[$regex]": ".*", "$where": "1"}, ["Four", "Three", "Two", "One"]),
        ({"from": "$ne"}, []),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("mail")
def test_what_is_found(search: Callable[..., Any], query: dict[str, str], found: list[str]) -> None:
    assert subjects(search(**query)) == found


@pytest.mark.usefixtures("mail")
def test_in_one_mailbox(search: Callable[..., Any], box: Box) -> None:
    inbox = box("INBOX")[-24:]
    assert subjects(search(mailbox=inbox, id="2:*")) == ["Four", "Two"]
    assert subjects(search(mailbox=inbox.upper(), id="1,3")) == ["Four", "One"]
    assert subjects(search(mailbox=box("Trash")[-24:], searchable="true")) == ["Three"]


@pytest.mark.usefixtures("mail")
def test_rows_are_those_of_a_listing(client: Any, search: Callable[..., Any], box: Box) -> None:
    listed = client.get(f"{box('Trash')}/messages?metaData=1&threadCounters=1&includeHeaders=to").json[
        "results"
    ]
    answer = search(query="nothing", metaData=1, threadCounters=1, includeHeaders="to").json
    assert answer == {
        "success": True, "query": "nothing", "total": 1, "page": 1, "previousCursor": False, "nextCursor": False,
        "results": listed,
    }  # fmt: skip


@pytest.mark.usefixtures("mail")
@pytest.mark.parametrize("order", [{}, {"order": "asc"}, {"order": "desc"}])
def test_each_is_visited_once(search: Callable[..., Any], order: dict[str, str]) -> None:
    pages = [search(limit=3, **order).json]
    pages.append(search(limit=3, next=pages[0]["nextCursor"], **order).json)
    seen = [row["subject"] for page in pages for row in page["results"]]
    assert len(seen) == len(set(seen)) == 4
    assert (pages[0]["total"], pages[1]["page"], pages[1]["nextCursor"]) == (4, 2, False)
    assert (
        search(limit=3, previous=pages[1]["previousCursor"], **order).json["results"] == pages[0]["results"]
    )


@pytest.mark.parametrize(
    ("query", "at_fault"),
    [
        ({"mailbox": "INBOX", "thread": "x", "id": "1:2:3"}, {"mailbox", "thread", "id"}),
        ({"query": "x" * 256, "from": "x" * 256, "or.to": "x" * 256}, {"query", "from", "or.to"}),
        ({"datestart": "soon", "dateend": "9" * 17}, {"datestart", "dateend"}),
        (
            {"minSize": "-1", "maxSize": "1.5", "unseen": "perhaps", "limit": "251"},
            {"minSize", "maxSize", "unseen", "limit"},
        ),
        ({"from": ["a", "b"]}, {"from"}),
        ({"next": "W10"}, {"next"}),
    ],
)
def test_bad_input_names_the_fields(
    search: Callable[..., Any], query: dict[str, Any], at_fault: set[str]
) -> None:
    answer = search(**query)
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    assert set(answer.json["details"]) == at_fault


@pytest.mark.usefixtures("mail")
def test_others_find_nothing(client: Any, box: Box, make_user: Callable[..., Any]) -> None:
    path = f"/users/{make_user('bob')}/search"
    assert (
        client.get(path).json["total"]
        == client.get(f"{path}?mailbox={box('INBOX')[-24:]}").json["total"]
        == 0
    )
    answer = client.get(f"/users/{ObjectId()}/search")
    assert (answer.status_code, answer.json["code"]) == (404, "UserNotFound")


def test_who_may(as_caller: Callable[..., Any], ada: str, make_user: Callable[..., Any]) -> None:
    path = f"/users/{ada}/search"
    assert as_caller(None).get(path).json["code"] == "InvalidToken"
    for caller in (as_caller("attachments"), as_caller("auth"), as_caller("user", str(make_user("bob")))):
        assert caller.get(path).json["code"] == "MissingPrivileges"
    assert as_caller("downloader").get(path).status_code == 200

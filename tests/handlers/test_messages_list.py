"""getMessages: a page of a mailbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store

Put = Callable[..., int]
Box = Callable[[str], str]


def listing(client: Any, box: Box, name: str = "INBOX", **query: Any) -> Any:
    return client.get(f"{box(name)}/messages", query_string=query)


def uids(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.json
    return [row["id"] for row in answer.json["results"]]


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def test_what_a_row_shows(client: Any, store: Store, box: Box, put: Put) -> None:
    headers = "Message-ID: <1@x>\r\nReferences: <0@x> <00@x>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\nCc: a@b.de\r\n"
    put(
        "Minutes", headers=headers, unseen=True, flagged=True, metaData='{"a":1}', date="2026-11-25T00:00:00Z"
    )
    stored = store.databases.main["messages"].find_one({})
    assert stored
    answer = listing(
        client, box, metaData=1, threadCounters=1, includeHasDrafts=1, includeHeaders="subject,CC"
    ).json
    assert answer == {
        "success": True, "total": 1, "page": 1, "previousCursor": False, "nextCursor": False, "specialUse": None,
        "results": [{
            "id": 1, "mailbox": box("INBOX")[-24:], "thread": str(stored["thread"]), "threadMessageCount": 1,
            "hasDrafts": False, "from": {"name": "Grace", "address": "grace@example.com"},
            "to": [{"name": "", "address": "ada@example.com"}], "cc": [{"name": "", "address": "a@b.de"}], "bcc": [],
            "messageId": "<1@x>", "subject": "Minutes", "date": "2026-11-24T10:00:00.000Z",
            "idate": "2026-11-25T00:00:00.000Z", "intro": "Dear Ada", "attachments": False, "attachmentsList": [],
            "size": stored["size"], "seen": False, "deleted": False, "flagged": True, "draft": False,
            "answered": False, "forwarded": False, "references": ["<0@x>", "<00@x>"],
            "contentType": {"value": "text/plain", "params": {}}, "metaData": {"a": 1},
            "headers": {"subject": "Minutes", "cc": [{"name": "", "address": "a@b.de"}]},
        }],
    }  # fmt: skip


def test_what_is_only_there_when_asked_for(client: Any, box: Box, put: Put) -> None:
    put(metaData='{"a":1}')
    row = listing(client, box).json["results"][0]
    assert not {"threadMessageCount", "hasDrafts", "metaData", "headers", "encrypted", "bimi"} & set(row)
    assert set(listing(client, box, includeHeaders="true").json["results"][0]["headers"]) == {
        "content-type", "from", "subject", "to",
    }  # fmt: skip


@pytest.mark.parametrize(("order", "expected"), [(None, [2, 3, 1]), ("desc", [2, 3, 1]), ("asc", [1, 3, 2])])
def test_by_the_time_of_arrival(
    client: Any, box: Box, put: Put, order: str | None, expected: list[int]
) -> None:
    for day in (1, 3, 2):
        put(date=f"2026-01-0{day}T00:00:00Z")
    query = {"order": order} if order else {}
    assert uids(listing(client, box, **query)) == expected


def test_the_same_moment_is_no_reason_to_lose_one(client: Any, box: Box, put: Put) -> None:
    for _ in range(5):
        put(date="2026-01-01T00:00:00Z")
    pages = [listing(client, box, limit=2).json]
    while pages[-1]["nextCursor"]:
        assert len(pages[-1]["nextCursor"]) < 100
        pages.append(listing(client, box, limit=2, next=pages[-1]["nextCursor"]).json)
    assert [row["id"] for page in pages for row in page["results"]] == [5, 4, 3, 2, 1]
    assert [page["page"] for page in pages] == [1, 2, 3]
    back = listing(client, box, limit=2, previous=pages[2]["previousCursor"]).json
    assert (back["results"], back["page"]) == (pages[1]["results"], 2)


@pytest.mark.parametrize(("unseen", "expected"), [("true", [2]), ("no", [3, 1]), ("", [3, 2, 1])])
def test_read_and_unread(client: Any, box: Box, put: Put, unseen: str, expected: list[int]) -> None:
    for number in range(3):
        put(unseen=number == 1)
    answer = listing(client, box, unseen=unseen)
    assert uids(answer) == expected
    assert answer.json["total"] == len(expected)


def test_one_row_per_thread(client: Any, box: Box, put: Put) -> None:
    put("Plan", headers="Message-ID: <1@x>\r\n")
    put("Other")
    put("Re: Plan", headers="In-Reply-To: <1@x>\r\n", draft=True)
    newest = listing(client, box, collapseThreads=1, includeHasDrafts=1, threadCounters=1)
    assert (uids(newest), newest.json["total"]) == ([3, 2], 2)
    rows = newest.json["results"]
    assert [(row["hasDrafts"], row["threadMessageCount"]) for row in rows] == [(True, 2), (False, 1)]
    assert uids(listing(client, box, collapseThreads=1, order="asc")) == [1, 2]
    plain = listing(client, box, includeHasDrafts=1, order="asc").json["results"]
    assert [row["hasDrafts"] for row in plain] == [True, False, False]


def test_deleted_ones_and_special_uses_are_shown(client: Any, box: Box, put: Put) -> None:
    put(mailbox="Trash")
    client.put(f"{box('Trash')}/messages/1", json={"deleted": True})
    answer = listing(client, box, "Trash").json
    assert (answer["specialUse"], answer["results"][0]["deleted"]) == ("\\Trash", True)


@pytest.mark.parametrize(
    ("query", "at_fault"),
    [
        ({"unseen": "perhaps", "limit": 251, "order": "up"}, {"unseen", "limit", "order"}),
        ({"limit": 0}, {"limit"}),
        ({"limit": "2.5"}, {"limit"}),
        ({"limit": ["1", "2"]}, {"limit"}),
        ({"next": "???"}, {"next"}),
        ({"next": "W10"}, {"next"}),
        ({"previous": "eyIkZ3QiOiAiIn0"}, {"next"}),
        ({"next": "W3siJGd0IjowfSx7IiRvaWQiOiI1ZDQ4YTFmNWZkMWE0ZDFiZTBkNGExYzEifV0"}, {"next"}),
        ({"includeHeaders": "x" * 4097}, {"includeHeaders"}),
        ({"metaData": "\0"}, {"metaData"}),
    ],
)
def test_bad_input_names_the_fields(client: Any, box: Box, query: dict[str, Any], at_fault: set[str]) -> None:
    assert details(listing(client, box, **query)) == at_fault


def test_unknown_fields_and_empty_ones_are_passed_over(client: Any, box: Box, put: Put) -> None:
    put()
    query: dict[str, Any] = {
        "foo": 1,
        "limit": "",
        "next": "",
        "page": "7",
        "unseen[$ne]": "x",
        "order": "",
        "includeHeaders": "",
    }
    answer = listing(client, box, **query)
    assert (uids(answer), answer.json["page"]) == ([1], 1)


def test_mailboxes_that_are_not_there(client: Any, ada: str, box: Box, make_user: Callable[..., Any]) -> None:
    bob = make_user("bob")
    for path in (f"/users/{ada}/mailboxes/{ObjectId()}", f"/users/{bob}/mailboxes/{box('INBOX')[-24:]}"):
        answer = client.get(f"{path}/messages")
        assert (answer.status_code, answer.json["code"]) == (404, "NoSuchMailbox")
    assert details(client.get(f"/users/{ada}/mailboxes/INBOX/messages")) == {"mailbox"}
    assert details(client.get(f"/users/{ada}/mailboxes/%ff%fe/messages")) == {"mailbox"}


def test_who_may(as_caller: Callable[..., Any], client: Any, box: Box, make_user: Callable[..., Any]) -> None:
    path = f"{box('INBOX')}/messages"
    assert as_caller(None).get(path).json["code"] == "InvalidToken"
    assert as_caller("user", str(make_user("bob"))).get(path).json["code"] == "MissingPrivileges"
    for role in ("auth", "attachments", "export"):
        answer = as_caller(role).get(path)
        assert (answer.status_code, answer.json["code"]) == (403, "MissingPrivileges")
    assert as_caller("downloader").get(path).status_code == 200

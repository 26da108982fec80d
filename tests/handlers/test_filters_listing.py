"""getFilters and getAllFilters."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store
from tests.conftest import Client
from tests.handlers.test_filters import TARGETS, details, inbox, made


@pytest.fixture
def some(client: Any, ada: str, make_user: Any) -> list[str]:
    """Four filters of ada, and one of bob."""
    bob = str(make_user("bob"))
    query = {"subject": "S", "from": "F", "ha": True, "text": 'a "b c"', "size": 1000}
    action = {"seen": True, "flag": False, "targets": TARGETS, "mailbox": inbox(client, ada)}
    return [
        made(client, ada, query, action, name="All", metaData={"a": 1}),
        made(client, ada, {"ha": False, "size": -5}, {"delete": True, "spam": False}, disabled=True),
        made(client, ada, {}, {"seen": False, "flag": True, "spam": True, "delete": False}),
        made(client, ada, {"to": "x"}, {"targets": []}),
        made(
            client,
            bob,
            {"listId": "<l>"},
            {"targets": ["Carol@Elsewhere.example"], "mailbox": inbox(client, bob)},
        ),
    ]


def test_those_of_an_account(client: Any, some: list[str], ada: str) -> None:
    answer = client.get(f"/users/{ada}/filters").json
    rows = answer.pop("results")
    assert answer == {"success": True, "limits": {"allowed": 400, "used": 4}}
    assert all(row.pop("created") for row in rows)
    masked = [TARGETS[0], "smtps://u:***@10.0.0.1:465", TARGETS[2]]
    box = rows[0]["originalAction"]["mailbox"]
    assert rows[0] == {
        "id": some[0], "name": "All", "disabled": False,
        "query": [
            ["from", "(F)"], ["subject", "(S)"], ["has attachment"], ["text", '"a "b c""'], ["larger", 1000],
        ],
        "action": [
            ["mark as read"], ["do not flag it"], ["forward to", ", ".join(masked)], ["move to folder", '"INBOX"'],
        ],
        "originalQuery": {"from": "F", "subject": "S", "ha": True, "text": 'a "b c"', "size": 1000},
        "originalAction": {"seen": True, "flag": False, "targets": masked, "mailbox": box},
    }  # fmt: skip
    assert box == inbox(client, ada)
    words = [(row["name"], row["disabled"], row["query"], row["action"]) for row in rows[1:]]
    assert words == [
        ("", True, [["no attachments"], ["smaller", 5]], [["delete it"], ["do not mark it as spam"]]),
        ("", False, [], [["do not mark as read"], ["flag it"], ["do not delete it"], ["mark it as spam"]]),
        ("", False, [["to", "(x)"]], []),
    ]
    (with_data, *others) = client.get(f"/users/{ada}/filters?metaData=yes").json["results"]
    assert with_data["metaData"] == {"a": 1}
    assert not any("metaData" in row for row in others)


def test_those_of_all(client: Any, some: list[str], ada: str) -> None:
    answer = client.get("/filters").json
    rows = answer.pop("results")
    assert answer == {"success": True, "total": 5, "page": 1, "previousCursor": False, "nextCursor": False}
    assert [row["id"] for row in rows] == some
    assert rows[0].pop("user") == ada
    assert rows[0].pop("targets") == [TARGETS[0], "smtps://u:***@10.0.0.1:465", TARGETS[2]]
    assert [rows[0], *rows[1:4]] == [
        rows[0] | client.get(f"/users/{ada}/filters").json["results"][0],
        *[{**row, "user": ada} for row in client.get(f"/users/{ada}/filters").json["results"][1:]],
    ]
    assert rows[4]["targets"] == ["Carol@Elsewhere.example"]
    assert client.get("/filters?metaData=1").json["results"][0]["metaData"] == {"a": 1}


def test_a_mailbox_that_is_gone_or_anothers_shows_its_id(client: Any, store: Store, some: list[str]) -> None:
    theirs = client.get("/filters").json["results"][4]["originalAction"]["mailbox"]
    filters = store.databases.main["filters"]
    for box in (ObjectId(theirs), ObjectId()):
        filters.update_one({"_id": ObjectId(some[0])}, {"$set": {"action": {"mailbox": box}}})
        assert client.get("/filters").json["results"][0]["action"] == [["move to folder", f'"{box}"']]


@pytest.mark.parametrize(
    ("forward", "found"),
    [("ELSEWHERE", [0, 4]), ("carol@", [4]), (".*", []), ("hook.example/in?x", [0]), ("", [0, 1, 2, 3, 4])],
)
def test_by_target(client: Any, some: list[str], forward: str, found: list[int]) -> None:
    answer = client.get("/filters", query_string={"forward": forward, "what": "ever"}).json
    assert [row["id"] for row in answer["results"]] == [some[number] for number in found]
    assert answer["total"] == len(found)


def test_pages(client: Any, as_role: Any, some: list[str], ada: str) -> None:
    for caller, there in ((client, some), (as_role("user", ada), some[:4])):
        first = caller.get("/filters?limit=2").json
        second = caller.get(f"/filters?limit=2&next={first['nextCursor']}").json
        back = caller.get(f"/filters?limit=2&previous={second['previousCursor']}").json
        ids = [[row["id"] for row in page["results"]] for page in (first, second, back)]
        assert ids == [there[:2], there[2:4], there[:2]]
        assert [page["page"] for page in (first, second, back)] == [1, 2, 1]
        assert {page["total"] for page in (first, second, back)} == {len(there)}
        assert bool(second["nextCursor"]) == (len(there) > 4)


def test_a_user_sees_the_own_ones(as_role: Any, some: list[str], ada: str) -> None:
    user = as_role("user", ada)
    assert [row["id"] for row in user.get("/filters").json["results"]] == some[:4]
    assert user.get("/filters?forward=carol").json["total"] == 0


def test_bad_input_and_who_may(client: Any, app: Any, as_role: Any) -> None:
    bad = {"limit": 251, "next": "?", "previous": "x" * 1025, "forward": "x" * 256, "metaData": "perhaps"}
    assert details(client.get("/filters", query_string=bad)) == {*bad}
    assert details(client.get("/users/5/filters?metaData=perhaps&x=1")) == {"user", "metaData", "x"}
    assert client.get(f"/users/{ObjectId()}/filters").json["code"] == "UserNotFound"
    assert Client(app, "0" * 40).get("/filters").json["code"] == "InvalidToken"
    assert as_role("auth").get("/filters").json["code"] == "MissingPrivileges"

"""getAddresses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.addresses import get_addresses
from handlers.call import Call
from problems import Problem
from storage.base.paging import Paging
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row


@pytest.fixture
def some(client: Any, make_user: Callable[..., ObjectId]) -> str:
    """Addresses of two accounts and a forwarded one; the id of the account that is called ada."""
    ada = str(make_user("ada"))
    make_user("bob")
    for address, fields in (
        (
            "first.last@bücher.example",
            {"tags": ["Red", "blue"], "metaData": {"a": 1}, "internalData": {"b": 2}},
        ),
        ("*@example.org", {"tags": ["red"], "allowWildcard": True}),
    ):
        client.post(f"/users/{ada}/addresses", json={"address": address, "name": "A", **fields})
    forwarded = {
        "address": "sales@example.net",
        "targets": ["Boss@Elsewhere.example", "https://x.example/"],
        "tags": ["blue"],
    }
    path = client.post("/addresses/forwarded", json=forwarded).json["id"]
    client.put(f"/addresses/forwarded/{path}", json={"forwardedDisabled": True})
    return ada


def addresses(answer: Any) -> list[str]:
    return [row["address"] for row in answer.json["results"]]


def test_a_listing_in_full(client: Any, some: str) -> None:
    answer = client.get("/addresses").json
    rows = answer.pop("results")
    assert answer == {
        "success": True, "query": "", "total": 5, "page": 1, "previousCursor": False, "nextCursor": False,
    }  # fmt: skip
    assert [row["address"] for row in rows] == [
        "*@example.org", "ada@example.com", "bob@example.com", "first.last@bücher.example", "sales@example.net",
    ]  # fmt: skip
    assert all(ObjectId(row.pop("id")) for row in rows)
    assert rows[3] == {
        "name": "A", "address": "first.last@bücher.example", "user": some, "forwarded": False,
        "forwardedDisabled": False, "tags": ["blue", "Red"],
    }  # fmt: skip
    targets = ["Boss@Elsewhere.example", "https://x.example/"]
    assert rows[4] == {
        "name": "", "address": "sales@example.net", "forwarded": True, "forwardedDisabled": True, "tags": ["blue"],
        "targets": targets, "target": targets,
    }  # fmt: skip


def test_data_of_the_callers_own_on_demand(client: Any, some: str) -> None:
    rows = client.get("/addresses?metaData=1&internalData=yes").json["results"]
    assert [(row.get("metaData"), row.get("internalData")) for row in rows if "metaData" in row] == [
        ({"a": 1}, {"b": 2})
    ]
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"query": "EXAMPLE.com"}, ["ada@example.com", "bob@example.com"]),
        ({"query": " st.la "}, ["first.last@bücher.example"]),
        ({"query": "stla"}, []),
        ({"query": "st.last@BÜ"}, ["first.last@bücher.example"]),
        ({"query": "xn--bcher-kva.example"}, ["first.last@bücher.example"]),
        ({"query": "last@xn--bcher-kva.ex"}, ["first.last@bücher.example"]),
        ({"query": "bu\u0308cher"}, ["first.last@bücher.example"]),
        ({"query": "*@"}, ["*@example.org"]),
        ({"query": ".*"}, []),
        ({"query": "$|a"}, []),
        ({"query": ""}, ["*@example.org", "ada@example.com", "bob@example.com", "first.last@bücher.example",
                         "sales@example.net"]),
        ({"forward": "boss@elsewhere"}, ["sales@example.net"]),
        ({"forward": "HTTPS://X"}, ["sales@example.net"]),
        ({"forward": ".*"}, []),
        ({"tags": "RED, blue,,"}, ["*@example.org", "first.last@bücher.example", "sales@example.net"]),
        ({"requiredTags": "red,BLUE"}, ["first.last@bücher.example"]),
        ({"requiredTags": "blue", "tags": "blue"}, ["first.last@bücher.example", "sales@example.net"]),
        ({"requiredTags": "blue", "tags": "red"}, ["first.last@bücher.example"]),
        ({"tags": "blue", "query": "sales", "forward": "x.ex"}, ["sales@example.net"]),
        ({"tags": "green"}, []),
        ({"unknown": "1", "query": "bob"}, ["bob@example.com"]),
    ],
)  # fmt: skip
def test_filters(client: Any, some: str, query: dict[str, str], expected: list[str]) -> None:
    answer = client.get("/addresses", query_string=query)
    assert (addresses(answer), answer.json["total"]) == (expected, len(expected))
    assert answer.json["query"] == query.get("query", "").strip()


def test_a_user_sees_the_own_ones(client: Any, as_role: Any, some: str) -> None:
    answer = as_role("user", some).get(
        "/addresses?internalData=yes&metaData=yes&user=000000000000000000000000"
    )
    assert addresses(answer) == ["*@example.org", "ada@example.com", "first.last@bücher.example"]
    assert answer.json["total"] == 3
    assert [row.keys() & {"internalData", "metaData"} for row in answer.json["results"]] == [
        set(),
        set(),
        {"metaData"},
    ]
    assert addresses(as_role("user", some).get("/addresses?query=sales")) == []


def test_who_has_no_right(app: Any, as_role: Any) -> None:
    for role in ("webmail", "settings"):
        answer = as_role(role).get("/addresses")
        assert (answer.status_code, answer.json["code"]) == (403, "MissingPrivileges")
    assert as_role("manager").get("/addresses").status_code == 200
    assert Client(app, "0" * 40).get("/addresses").json["code"] == "InvalidToken"


def unwrapped(position: str) -> str:
    """A cursor as older clients keep it."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("query", "at_fault"),
    [
        ({"limit": 251}, {"limit"}),
        ({"limit": 0, "metaData": "maybe"}, {"limit", "metaData"}),
        ({"query": "x" * 256, "forward": "x" * 256}, {"query", "forward"}),
        ({"tags": "x" * 1025}, {"tags"}),
        ({"next": "bnVsbA"}, {"next"}),
        ({"next": unwrapped('[{"$gt":""},{"$oid":"5df1fd2d77925118b607c684"}]')}, {"next"}),
        ({"previous": "!"}, {"previous"}),
    ],
)  # fmt: skip
def test_bad_input_names_the_fields(client: Any, query: dict[str, Any], at_fault: set[str]) -> None:
    answer = client.get("/addresses", query_string=query)
    assert (answer.status_code, set(answer.json["details"])) == (400, at_fault)


def test_cursors_of_older_clients_are_read(client: Any, some: str) -> None:
    first = client.get("/addresses?limit=2").json
    last = first["results"][1]
    inner = json.dumps([last["address"], {"$oid": last["id"]}], separators=(",", ":"))
    page = client.get("/addresses", query_string={"limit": 2, "next": unwrapped(inner), "page": 2}).json
    wrapped = client.get("/addresses", query_string={"limit": 2, "next": first["nextCursor"]}).json
    assert page == wrapped
    back = client.get("/addresses", query_string={"limit": 2, "previous": page["previousCursor"]}).json
    assert back["results"] == first["results"]


# Paging while others write

_NAMES = st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=16, unique=True)


class Crowd:
    """Addresses that stay, and others that come and go between two pages."""

    def __init__(self, store: Store, stay: list[str], come: list[str]) -> None:
        self._collection = store.databases.users["addresses"]
        self._collection.delete_many({})
        self.stay = sorted(f"{name}-s@example.com" for name in stay)
        self._come = [f"{name}-c@example.com" for name in come]
        self._insert(self.stay)

    def _insert(self, names: list[str]) -> None:
        user = ObjectId()
        rows = [{"address": n, "addrview": n, "user": user, "created": user.generation_time} for n in names]
        if rows:
            self._collection.insert_many(rows)

    def change(self, number: int) -> None:
        """The next ones come, those before go."""
        self._collection.delete_many({"addrview": {"$in": self._come}})
        self._insert(self._come[number % 3 :: 2])


def pages(call: Call, crowd: Crowd, limit: int, *, start: str | None, back: bool) -> list[Row]:
    """Pages in one direction until there is no further one."""
    found: list[Row] = []
    cursor: Any = start
    while not found or cursor:
        paging = Paging(limit, **({"previous" if back else "next": cursor} if cursor else {}))
        page = get_addresses(call, paging)
        found.append(page)
        cursor = page["previousCursor" if back else "nextCursor"]
        crowd.change(len(found))
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stay=_NAMES, come=_NAMES, limit=st.integers(1, 5))
def test_paging_visits_all_that_stay_once(store: Store, stay: list[str], come: list[str], limit: int) -> None:
    call, crowd = Call(store=store), Crowd(store, stay, come)
    there = pages(call, crowd, limit, start=None, back=False)
    assert staying(there, crowd) == crowd.stay
    shown = [
        page for page in there if page["results"]
    ]  # what came and went can leave an empty page at the end
    if len(shown) > 1:
        last = shown[-1]
        again = pages(call, crowd, limit, start=last["previousCursor"], back=True)
        behind = staying([last], crowd)
        assert staying(list(reversed(again)), crowd) + behind == crowd.stay


def staying(found: list[Row], crowd: Crowd) -> list[str]:
    """The staying addresses on pages, in their order, each as often as it was shown."""
    return [row["address"] for page in found for row in page["results"] if row["address"] in crowd.stay]


def test_an_empty_page_in_the_middle_is_the_end(store: Store) -> None:
    call, crowd = Call(store=store), Crowd(store, ["a", "b", "c"], [])
    first = get_addresses(call, Paging(2))
    store.databases.users["addresses"].delete_many({"addrview": "c-s@example.com"})
    page = get_addresses(call, Paging(2, next=first["nextCursor"]))
    assert (page["results"], page["nextCursor"], crowd.stay[2]) == ([], False, "c-s@example.com")


def test_a_cursor_of_another_listing_is_refused(store: Store) -> None:
    cursor = unwrapped('{"$oid":"5df1fd2d77925118b607c684"}')
    with pytest.raises(Problem, match="Next page cursor"):
        get_addresses(Call(store=store), Paging(2, next=cursor))

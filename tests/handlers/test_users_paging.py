"""getUsers: pages that others write into meanwhile, and the indexes that they are read from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.call import Call
from handlers.users import get_users
from storage.accounts.user_fields import listing_filter
from storage.base.paging import Paging
from storage.store import Store
from tests.rows import Row

ACTIONS = st.lists(
    st.tuples(st.sampled_from(["insert", "delete first", "delete last", "none"]), st.integers(0, 30)),
    max_size=12,
)


def row(number: int) -> Row:
    """An account with ids that leave room in between, so that others can come before and after it."""
    return {"_id": oid(number), "username": f"u{number}", "unameview": f"u{number}"}


def oid(number: int) -> Any:
    from bson import ObjectId

    return ObjectId(f"{number:024x}")


def act(store: Store, action: str, number: int, fixed: list[int]) -> None:
    """Others come and go between and around the accounts that stay."""
    users = store.databases.users["users"]
    if action == "insert":
        users.update_one({"_id": oid(number * 10 + 5)}, {"$setOnInsert": row(number * 10 + 5)}, upsert=True)
    elif action != "none":
        others = {"_id": {"$nin": [oid(n) for n in fixed]}}
        users.find_one_and_delete(others, sort=[("_id", 1 if action == "delete first" else -1)])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 25), st.integers(1, 7), ACTIONS, ACTIONS)
def test_each_account_once_while_others_come_and_go(
    store: Store,
    count: int,
    limit: int,
    on_the_way: list[tuple[str, int]],
    on_the_way_back: list[tuple[str, int]],
) -> None:
    users = store.databases.users["users"]
    users.delete_many({})
    fixed = [(number + 1) * 10 for number in range(count)]
    if fixed:
        users.insert_many([row(number) for number in fixed])
    call = Call(store=store)

    def walk(start: Any, direction: str, actions: list[tuple[str, int]]) -> tuple[list[Any], Any, Any]:
        """Ids in the order they were seen, the last page with accounts (an empty one leads nowhere), the last page."""
        page, seen, todo = start, [[found["id"] for found in start["results"]]], iter(actions)
        last = start
        while cursor := page[f"{direction}Cursor"]:
            act(store, *next(todo, ("none", 0)), fixed)
            page = get_users(call, Paging(limit=limit, **{direction: cursor}))
            assert len(page["results"]) <= limit
            assert page["page"] >= 1
            seen.append([found["id"] for found in page["results"]])
            last = page if page["results"] else last
        pages = seen if direction == "next" else reversed(seen)
        return [user for ids in pages for user in ids], last, page

    stay = [oid(number) for number in fixed]
    forwards, last, _ = walk(get_users(call, Paging(limit=limit)), "next", on_the_way)
    backwards, _, first = walk(last, "previous", on_the_way_back)
    for seen in (forwards, backwards):
        assert seen == sorted(seen)
        assert max(Counter(seen).values(), default=1) == 1
        assert [user for user in seen if user in set(stay)] == stay
    assert first["page"] == 1


@pytest.mark.parametrize(
    "fields", [{"tags": "rare,odd"}, {"requiredTags": "rare"}, {"requiredTags": "rare,common"}]
)
def test_tags_are_found_through_an_index(store: Store, fields: dict[str, str]) -> None:
    rows = [{**row(n), "tagsview": ["common", *(["rare"] if n % 100 == 7 else [])]} for n in range(1, 401)]
    store.databases.users["users"].insert_many(rows)
    wanted = listing_filter(fields, None)
    plan = store.databases.users["users"].find(wanted).sort("_id", 1).limit(21).explain()
    assert "'indexName': 'users_tags" in str(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["totalDocsExamined"] <= 5
    page, total = store.users.page(wanted, Paging(limit=20))
    assert (len(page.rows), total) == (4, 4)


def test_a_relay_is_removed_by_an_empty_one(client: Any, store: Store, ada: str) -> None:
    client.put(f"/users/{ada}", json={"mtaRelay": "smtp://relay.example.com:25"})
    assert client.get(f"/users/{ada}").json["mtaRelay"] == "smtp://relay.example.com:25"
    assert client.put(f"/users/{ada}", json={"mtaRelay": ""}).json == {"success": True}
    assert "mtaRelay" not in client.get(f"/users/{ada}").json
    assert store.databases.users["users"].find_one({}, {"_id": 0, "mtaRelay": 1}) == {"mtaRelay": False}


def test_a_password_with_blanks_around_it_is_compared_as_it_is(client: Any, ada: str) -> None:
    assert client.put(f"/users/{ada}", json={"password": " blank "}).status_code == 200
    wrong = client.put(f"/users/{ada}", json={"existingPassword": "blank", "password": "x"})
    assert (wrong.status_code, wrong.json["code"]) == (403, "AuthFailed")
    assert (
        client.put(f"/users/{ada}", json={"existingPassword": " blank ", "password": "x"}).status_code == 200
    )


def test_no_address_at_an_aliased_domain(client: Any, store: Store) -> None:
    store.databases.users["domainaliases"].insert_one({"alias": "alias.example", "domain": "example.com"})
    body = {"username": "ada", "password": "", "address": "ada@alias.example"}
    answer = client.post("/users", json=body)
    assert (answer.status_code, set(answer.json["details"])) == (400, {"address"})
    assert store.databases.users["users"].count_documents({}) == 0

"""An account that cannot be made leaves nothing behind, with transactions and without."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import MongoClient

from handlers.call import Call
from handlers.users import create_user
from problems import Problem
from storage.store import Store


@pytest.fixture(params=["replica set", "lone server"])
def request_of_root(request: pytest.FixtureRequest, store: Store, mongo: MongoClient[dict[str, Any]]) -> Call:
    """A request to a server of either kind."""
    serving = Store(mongo, store.databases.names)
    serving.transactions.available = request.param == "replica set"
    return Call(store=serving)


def rows(call: Call) -> dict[str, int]:
    main = call.store.databases.main
    return {name: main[name].count_documents({}) for name in ("users", "addresses", "mailboxes")}


def create(call: Call, username: str, address: str) -> str:
    try:
        create_user(call, {"username": username, "password": "", "address": address})
    except Problem as problem:
        return problem.code
    return "made"


def test_one_with_a_taken_name_or_address(request_of_root: Call) -> None:
    whole = {"users": 1, "addresses": 1, "mailboxes": 5}
    assert create(request_of_root, "ada", "ada@example.com") == "made"
    assert create(request_of_root, "bob", "a.da@example.com") == "AddressExistsError"
    assert rows(request_of_root) == whole
    assert create(request_of_root, "a.da", "other@example.com") == "UserExistsError"
    assert rows(request_of_root) == whole
    assert create(request_of_root, "bob", "bob@example.com") == "made"


def test_50_at_once_who_want_one_address(request_of_root: Call) -> None:
    with ThreadPoolExecutor(16) as pool:
        outcomes = pool.map(lambda n: create(request_of_root, f"ada{n}", "ada@example.com"), range(50))
        assert Counter(outcomes) == {"made": 1, "AddressExistsError": 49}
    assert rows(request_of_root) == {"users": 1, "addresses": 1, "mailboxes": 5}

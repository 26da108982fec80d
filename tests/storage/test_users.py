"""Accounts at rest."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from bson import ObjectId
from pymongo import monitoring
from pymongo.mongo_client import MongoClient

from problems import Problem
from server.processes.mongod import Mongod
from storage.accounts.user_changes import UserChange
from storage.accounts.user_fields import listing_filter
from storage.addresses.targets import stored_target
from storage.base.database import DatabaseNames
from storage.base.paging import Paging
from storage.store import Store
from tests.rows import change_user
from tests.storage.conftest import Account, together


def name() -> str:
    """A user name that no other test uses."""
    return f"u{ObjectId()}"


def test_an_account_starts_with_every_field_that_wildduck_expects(ada: Account) -> None:
    document = ada.document
    zeros = ("quota", "recipients", "forwards", "filters", "storageUsed", "retention", "receivedMax")
    assert {field: document[field] for field in zeros} == dict.fromkeys(zeros, 0)
    assert (document["authVersion"], document["spamLevel"], document["unameview"]) == (
        1,
        50,
        document["username"],
    )
    assert document["lastLogin"] == {"time": False, "authEvent": False, "ip": False}
    assert (document["metaData"], document["internalData"], document["password"]) == ("", "", "")
    assert "tags" not in document


def test_one_name_with_dots_or_without_makes_one_account(store: Store) -> None:
    wanted = name()

    def attempt(number: int) -> str:
        try:
            store.users.create(f"{wanted[:3]}.{wanted[3:]}" if number % 2 else wanted, {})
        except Problem as problem:
            return problem.code
        return "made"

    assert Counter(together(50, attempt)) == {"made": 1, "UserExistsError": 49}
    assert store.users.id_of(f"{wanted[:5]}.{wanted[5:]}")


def test_unknown_accounts(store: Store) -> None:
    for attempt in (store.users.get, store.users.require, store.users.summary):
        with pytest.raises(Problem, match="UserNotFound"):
            attempt(ObjectId())
    for fields in ({}, {"name": "x"}):
        with pytest.raises(Problem, match="UserNotFound"):
            store.users.apply(ObjectId(), UserChange(fields=fields))
    with pytest.raises(Problem, match="UserNotFound"):
        store.users.id_of("nobody-at-all")
    assert store.users.by_username("nobody-at-all") is None


class Commands(monitoring.CommandListener):
    """The commands that reach the server."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Not of interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Not of interest."""


def test_a_summary_is_one_query_without_secrets(ada: Account, mongod: Mongod) -> None:
    store = ada.store
    secret = {"password": "hash", "seed": "seed", "oldPasswords": [{"hash": "old"}]}
    change_user(
        store, ada.id, {}, more={**secret, "tempPassword": {"password": "t", "created": store.clock()}}
    )
    store.databases.main["filters"].insert_many([{"user": ada.id}, {"user": ada.id}, {"user": ObjectId()}])
    store.counters.add(f"wdr:{ada.id}", 3, 10)
    store.counters.add(f"wdr:{ObjectId()}", 4, 10)
    commands = Commands()
    with MongoClient(mongod.uri, event_listeners=[commands]) as client:
        watched = Store(client, store.databases.names)
        commands.names.clear()
        summary = watched.users.summary(ada.id)
    assert [command for command in commands.names if command != "endSessions"] == ["aggregate"]
    assert (summary["hasPassword"], summary["filterCount"]) == (True, 2)
    assert [(row["_id"], row["value"]) for row in summary["counters"]] == [(f"wdr:{ada.id}", 3)]
    assert not {"password", "tempPassword", "oldPasswords", "seed", "pendingSeed", "webauthn"} & set(summary)


def test_a_summary_where_accounts_have_a_database_of_their_own(mongo: MongoClient[dict[str, Any]]) -> None:
    names = DatabaseNames(main="test_apart", users="test_apart_users")
    store = Store(mongo, names)
    try:
        user = store.users.create("ada", {})["_id"]
        store.databases.main["filters"].insert_one({"user": user})
        store.counters.add(f"wdf:{user}", 2, 10)
        summary = store.users.summary(user)
        assert summary["filterCount"] == 1
        assert [row["value"] for row in summary["counters"]] == [2]
    finally:
        for database in (names.main, names.users):
            mongo.drop_database(database)


@pytest.mark.parametrize(
    ("password", "temporary", "expected"),
    [("", False, False), ("h", False, True), ("", {"password": "h"}, True), (None, None, False)],
)
def test_either_password_counts(ada: Account, password: Any, temporary: Any, expected: bool) -> None:
    change_user(ada.store, ada.id, {}, more={"password": password, "tempPassword": temporary})
    assert ada.store.users.summary(ada.id)["hasPassword"] is expected
    page, total = ada.store.users.page({"_id": ada.id}, Paging())
    assert ([row["hasPassword"] for row in page.rows], total) == ([expected], 1)
    assert "password" not in page.rows[0]


@pytest.mark.parametrize("hostile", [".*", "$", "(a+)+$", "\\", "[", "^a"])
def test_a_query_is_literal_text(ada: Account, hostile: str) -> None:
    for field in ("query", "forward"):
        page, total = ada.store.users.page(listing_filter({field: hostile}, ada.id), Paging())
        assert (page.rows, total) == ([], 0)


def test_a_listing_of_the_own_account_shows_no_other(ada: Account, store: Store) -> None:
    Account(store)
    page, total = store.users.page(listing_filter({}, ada.id), Paging())
    assert ([row["_id"] for row in page.rows], total) == ([ada.id], 1)


def test_a_listing_moves_no_data_that_is_not_asked_for(ada: Account) -> None:
    """A megabyte of it may be there in each row."""
    change_user(ada.store, ada.id, {"metaData": {"a": 1}, "internalData": {"b": 2}, "pubKey": "key"})
    ada.store.addresses.create(
        ada.id, f"{name()}@example.com", {"metaData": {"a": 1}, "internalData": {"b": 2}}
    )
    for more in ([], ["metaData"], ["metaData", "internalData"]):
        (user,) = ada.store.users.page({"_id": ada.id}, Paging(), more)[0].rows
        (address,) = ada.store.addresses.of_user(ada.id, more)
        for row in (user, address):
            assert {"metaData", "internalData", "pubKey"} & set(row) == set(more)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a@b.example", "mail"),
        ("smtp://u@h:25", "relay"),
        ("smtps://h", "relay"),
        ("https://h/?a@b", "http"),
        ("http://h", "http"),
    ],
)
def test_targets(value: str, kind: str) -> None:
    target = stored_target(value)
    assert (target["type"], target["value"]) == (kind, value)


def test_parallel_reservations_never_pass_the_quota(ada: Account) -> None:
    change_user(ada.store, ada.id, {"quota": 100})
    granted = together(50, lambda _: ada.store.users.reserve_storage(ada.id, 9, 10**9))
    assert Counter(granted) == {True: 11, False: 39}
    ada.store.users.release_storage(ada.id, 1000)
    assert ada.document["storageUsed"] == 0


def test_a_hash_is_replaced_unless_the_password_changed_meanwhile(ada: Account) -> None:
    change_user(ada.store, ada.id, {}, more={"password": "newer"})
    ada.store.users.replace_hash(ada.id, "old", "better old")
    assert ada.document["password"] == "newer"


def test_the_main_address_is_set_or_left(ada: Account) -> None:
    ada.store.users.set_address(ada.id, "a@x.example", only_if_none=True)
    ada.store.users.set_address(ada.id, "b@x.example", only_if_none=True)
    assert ada.document["address"] == "a@x.example"
    ada.store.users.set_address(ada.id, "c@x.example")
    assert ada.document["address"] == "c@x.example"

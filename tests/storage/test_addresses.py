"""Addresses at rest, and who takes mail for one."""

from __future__ import annotations

from collections import Counter

import pytest
from bson import ObjectId

from handlers.addresses import create_user_address, update_user_address
from handlers.call import Call
from problems import Problem
from storage.store import Store
from tests.storage.conftest import Account, together


def domain() -> str:
    """A domain that no other test uses."""
    return f"d{ObjectId()}.example"


def add(account: Account, address: str) -> ObjectId:
    return ObjectId(account.store.addresses.create(account.id, address, {})["_id"])


def test_a_row_as_it_stands_on_disk(ada: Account) -> None:
    here = domain()
    fields = {"name": "Ada", "tags": ["b", "A"], "metaData": {"ä": 1}}
    made = ada.store.addresses.create(ada.id, f"a.king@{here}", fields)
    row = ada.store.addresses.by_id(made["_id"])
    assert row.pop("created")
    assert row == {
        "_id": made["_id"], "user": ada.id, "name": "Ada", "address": f"a.king@{here}", "addrview": f"aking@{here}",
        "tags": ["A", "b"], "tagsview": ["a", "b"], "metaData": '{"ä":1}',
    }  # fmt: skip


def test_one_address_for_one_account_with_dots_or_without(ada: Account) -> None:
    here = domain()

    def attempt(number: int) -> str:
        try:
            add(ada, f"{'a.b' if number % 2 else 'ab'}@{here}")
        except Problem as problem:
            return problem.code
        return "made"

    assert Counter(together(50, attempt)) == {"made": 1, "AddressExistsError": 49}


def test_the_addresses_of_an_account_are_sorted_and_its_own(ada: Account, store: Store) -> None:
    here, other = domain(), Account(store)
    for account, local in ((ada, "c"), (ada, "b.a"), (other, "a")):
        add(account, f"{local}@{here}")
    assert [row["address"] for row in store.addresses.of_user(ada.id)] == [f"b.a@{here}", f"c@{here}"]
    assert store.addresses.views_of_user(ada.id) == {f"ba@{here}", f"c@{here}"}


def test_an_alias_is_followed_once(ada: Account) -> None:
    real, alias, far = domain(), domain(), domain()
    add(ada, f"joe@{real}")
    aliases = ada.store.databases.users["domainaliases"]
    aliases.insert_many([{"alias": alias, "domain": real}, {"alias": far, "domain": alias}])
    found = ada.store.addresses.resolve(f"J.oe+x@{alias.upper()}")
    assert found
    assert found["address"] == f"joe@{real}"
    assert ada.store.addresses.resolve(f"joe@{far}") is None


def test_the_most_specific_wildcard_wins_and_the_own_domain_before_the_alias(ada: Account) -> None:
    real, alias = domain(), domain()
    ada.store.databases.users["domainaliases"].insert_one({"alias": alias, "domain": real})
    for address in (f"*@{real}", f"sal*@{real}", f"*les@{real}", f"*@{alias}"):
        add(ada, address)

    def taken(address: str) -> str | None:
        found = ada.store.addresses.resolve(address, wildcards=True)
        return found["address"] if found else None

    assert taken(f"sales@{real}") == f"sal*@{real}"
    assert taken(f"miles@{real}") == f"*les@{real}"
    assert taken(f"sales@{alias}") == f"*@{alias}"
    assert taken(f"sales@{domain()}") is None
    assert ada.store.addresses.resolve(f"sales@{real}") is None


@pytest.mark.parametrize("local", ["$ne", "a'b", "{x}", "*"])
def test_text_from_outside_is_text(ada: Account, local: str) -> None:
    here = domain()
    add(ada, f"ada@{here}")
    assert ada.store.addresses.resolve(f"{local}@{here}") is None


def test_domains_are_remembered_once_and_wildcard_ones_never(store: Store) -> None:
    here = domain()
    assert together(20, lambda _: store.addresses.remember_domain(f"a@{here}")) == [None] * 20
    store.addresses.remember_domain("root@*")
    cache = store.databases.users["domaincache"]
    assert cache.count_documents({"domain": here}) == 1
    assert cache.count_documents({"domain": "*"}) == 0


def test_unknown_ids(store: Store) -> None:
    with pytest.raises(Problem, match="AddressNotFound"):
        store.addresses.by_id(ObjectId())


def test_an_address_that_could_not_be_renamed_stays_the_main_one(account: Account) -> None:
    """With transactions and without."""
    here = domain()
    main = add(account, f"main@{here}")
    account.store.users.set_address(account.id, f"main@{here}")
    other = add(account, f"other@{here}")
    call = Call(store=account.store)
    for address_id, body in (
        (main, {"address": f"other@{here}"}),
        (other, {"address": f"ma.in@{here}", "main": True}),
    ):
        with pytest.raises(Problem, match="AddressExistsError"):
            update_user_address(call, account.id, address_id, body)
    assert account.document["address"] == f"main@{here}"
    assert account.store.addresses.views_of_user(account.id) == {f"main@{here}", f"other@{here}"}


def test_a_rename_that_stopped_half_way_is_carried_on(lone_store: Store) -> None:
    """Without transactions the account has the new name before the address has it."""
    account, here = Account(lone_store), domain()
    address_id = add(account, f"old@{here}")
    lone_store.users.set_address(account.id, f"new@{here}")
    update_user_address(Call(store=lone_store), account.id, address_id, {"address": f"new@{here}"})
    assert account.document["address"] == f"new@{here}"
    assert lone_store.addresses.by_id(address_id)["address"] == f"new@{here}"


@pytest.mark.parametrize("name", ["second", "*second"])
def test_an_account_that_is_deleted_meanwhile_gets_no_more_addresses(
    account: Account, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store, body = account.store, {"address": f"{name}@{domain()}", "allowWildcard": True}
    add(account, f"main@{domain()}")
    monkeypatch.setattr(
        store.addresses, "remember_domain", lambda _: store.deleted_users.soft_delete(account.id, None)
    )
    with pytest.raises(Problem, match="UserNotFound"):
        create_user_address(Call(store=store), account.id, body)
    assert store.databases.users["addresses"].count_documents({"user": account.id}) == 0


def test_a_held_address_is_not_the_main_one(ada: Account) -> None:
    here = domain()
    ada.store.users.set_address(ada.id, f"$main@{here}")
    assert not ada.store.users.hold_unless_main(ada.id, f"$main@{here}")
    assert ada.store.users.hold_unless_main(ada.id, f"other@{here}")
    assert ada.document["address"] == f"$main@{here}"

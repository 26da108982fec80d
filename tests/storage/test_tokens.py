"""Access tokens at rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from security.tokens import token_hash
from storage.accounts.tokens import TokenRecord, Tokens
from storage.store import Store
from tests.rows import change_user
from tests.storage.conftest import Account

SECRET, LIFETIME, TTL = "a secret of ours", 1000, 500


def find(store: Store, text: str, secret: str = SECRET, lifetime: int = LIFETIME) -> TokenRecord | None:
    return store.tokens.find(text, secret=secret, lifetime=lifetime)


def issue(account: Account) -> str:
    return account.store.tokens.issue(account.document, secret=SECRET, ttl=TTL)


def at(store: Store, seconds: float) -> Tokens:
    """The tokens as they are seen some seconds from now."""
    now = store.clock() + timedelta(seconds=seconds)
    return Tokens(store.databases, lambda: now)


def row(store: Store, text: str) -> Any:
    return store.databases.users["accesstokens"].find_one({"_id": token_hash(text)})


def test_a_session_and_its_record(ada: Account) -> None:
    text = issue(ada)
    assert find(ada.store, text) == TokenRecord(str(ada.id), "user", token_hash(text), token_hash(text))
    stored = row(ada.store, text)
    assert text not in str(stored)
    assert (stored["user"], stored["role"], stored["ttl"], stored["authVersion"]) == (
        str(ada.id),
        "user",
        TTL,
        1,
    )
    assert stored["expires"] - stored["created"] == timedelta(seconds=TTL)


def test_a_token_of_a_program_does_not_end(store: Store) -> None:
    text = store.tokens.provision("webmail", "webmail", secret=SECRET)
    expected = TokenRecord("webmail", "webmail", None, token_hash(text))
    assert find(store, text) == expected
    assert at(store, 10**8).find(text, secret=SECRET, lifetime=LIFETIME) == expected


@pytest.mark.parametrize(
    "forged",
    [{"role": "root"}, {"user": str(ObjectId())}, {"authVersion": 99}, {"s": "0" * 64}, {"role": "god"}],
)
def test_a_record_changed_in_the_database_is_no_token(ada: Account, forged: dict[str, Any]) -> None:
    text = issue(ada)
    ada.store.databases.users["accesstokens"].update_one({"_id": token_hash(text)}, {"$set": forged})
    assert find(ada.store, text) is None
    assert row(ada.store, text)


def test_what_is_no_token(ada: Account) -> None:
    text = issue(ada)
    assert find(ada.store, text, secret="another") is None
    assert find(ada.store, text.upper()) is None
    assert find(ada.store, "0" * 40) is None


@pytest.mark.parametrize("state", ["disabled", "suspended"])
def test_shut_accounts(ada: Account, state: str) -> None:
    text = issue(ada)
    change_user(ada.store, ada.id, {state: True})
    assert find(ada.store, text) is None


def test_a_newer_auth_version_or_a_deleted_account_ends_all_tokens(ada: Account) -> None:
    text = issue(ada)
    change_user(ada.store, ada.id, {}, increase={"authVersion": 1})
    assert find(ada.store, text) is None
    newer = issue(ada)
    assert find(ada.store, newer)
    ada.store.databases.users["users"].delete_one({"_id": ada.id})
    assert find(ada.store, newer) is None


def test_a_program_cannot_act_as_an_account(ada: Account) -> None:
    assert find(ada.store, ada.store.tokens.provision(str(ada.id), "root", secret=SECRET)) is None


def test_the_end_moves_with_use_but_not_at_every_use(ada: Account) -> None:
    text = issue(ada)
    first = row(ada.store, text)["expires"]
    at(ada.store, 30).find(text, secret=SECRET, lifetime=LIFETIME)
    assert row(ada.store, text)["expires"] == first
    at(ada.store, 90).find(text, secret=SECRET, lifetime=LIFETIME)
    assert row(ada.store, text)["expires"] > first + timedelta(seconds=89)


def test_an_unused_token_ends_before_the_sweeper_comes(ada: Account) -> None:
    text = issue(ada)
    assert at(ada.store, TTL + 1).find(text, secret=SECRET, lifetime=10**6) is None


def test_the_longest_life_counts_from_the_start(ada: Account) -> None:
    text = issue(ada)
    for seconds in (400, 800):
        assert at(ada.store, seconds).find(text, secret=SECRET, lifetime=LIFETIME)
    assert at(ada.store, 1001).find(text, secret=SECRET, lifetime=LIFETIME) is None
    assert row(ada.store, text) is None


def test_a_refresh_carries_one_session_over(ada: Account) -> None:
    own, other = issue(ada), issue(ada)
    change_user(ada.store, ada.id, {}, increase={"authVersion": 1})
    ada.store.tokens.refresh(token_hash(own), ada.document, secret=SECRET, ttl=TTL)
    assert find(ada.store, own)
    assert find(ada.store, other) is None


def test_a_refresh_carries_no_session_over_what_others_did_at_that_moment(ada: Account) -> None:
    text = issue(ada)
    for _ in ("the session's own change", "a reset by the operator"):
        change_user(ada.store, ada.id, {}, increase={"authVersion": 1})
    ada.store.tokens.refresh(token_hash(text), ada.document, secret=SECRET, ttl=TTL)
    assert find(ada.store, text) is None


def test_a_refresh_gives_nobody_a_session_of_another(ada: Account, store: Store) -> None:
    text = issue(ada)
    before = row(store, text)
    other = Account(store)
    change_user(store, other.id, {}, increase={"authVersion": 1})
    store.tokens.refresh(token_hash(text), other.document, secret=SECRET, ttl=TTL)
    assert row(store, text) == before


def test_ends(ada: Account) -> None:
    one, two, three = (issue(ada) for _ in range(3))
    assert ada.store.tokens.delete_text(one)
    assert not ada.store.tokens.delete_text(one)
    assert {record["_id"] for record in ada.store.tokens.list(str(ada.id))} == {
        token_hash(two),
        token_hash(three),
    }
    assert all("s" not in record for record in ada.store.tokens.list(str(ada.id)))
    assert ada.store.tokens.clear(ada.id) == 2
    assert find(ada.store, two) is None


def test_which_of_some_records_are_still_good(ada: Account) -> None:
    texts = [issue(ada), issue(ada), ada.store.tokens.provision("x", "webmail", secret=SECRET)]
    records = [token_hash(text) for text in texts]
    good = ada.store.tokens.living(records, secret=SECRET, lifetime=LIFETIME)
    assert good == set(records)
    ada.store.tokens.delete_text(texts[0])
    assert ada.store.tokens.living(records, secret=SECRET, lifetime=LIFETIME) == set(records[1:])
    assert at(ada.store, TTL + 1).living(records, secret=SECRET, lifetime=LIFETIME) == {records[2]}
    assert ada.store.tokens.living([], secret=SECRET, lifetime=LIFETIME) == set()

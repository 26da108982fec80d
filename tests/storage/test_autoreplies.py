"""One document per account, with and without transactions."""

from __future__ import annotations

import pytest
from bson import ObjectId

from problems import NoUpdates, Problem
from tests.rows import Row
from tests.storage.conftest import Account, together
from tests.storage.plans import indexes, plans


def accept(merged: Row) -> None:
    """Nothing is wrong with it."""


def test_many_at_once_make_one(account: Account) -> None:
    replies = account.store.autoreplies
    results = together(30, lambda n: replies.put(account.id, {"status": True, "text": str(n)}, accept))
    (document,) = account.all("autoreplies")
    assert {result[0] for result in results} == {document["_id"]}
    assert [result[1] for result in results if result[1] is not None] == [True]
    assert account.document["autoreply"] is True


def test_what_is_refused_changes_nothing(account: Account) -> None:
    def refuse(merged: Row) -> None:
        raise NoUpdates(str(merged["text"]))

    account.store.autoreplies.put(account.id, {"text": "a"}, accept)
    before = account.all("autoreplies")
    with pytest.raises(Problem, match="a"):
        account.store.autoreplies.put(account.id, {"status": True}, refuse)
    assert (account.all("autoreplies"), account.document["autoreply"]) == (before, False)


def test_no_account_no_document(ada: Account) -> None:
    nobody = ObjectId()
    with pytest.raises(Problem, match="UserNotFound"):
        ada.store.autoreplies.put(nobody, {"status": True}, accept)
    with pytest.raises(Problem, match="UserNotFound"):
        ada.store.autoreplies.delete(nobody)
    assert ada.store.autoreplies.find(nobody) is None


def test_reading_uses_the_index(ada: Account) -> None:
    (plan,) = plans(ada.store, lambda: ada.store.autoreplies.find(ada.id))
    assert indexes(plan) == {"autoreply"}

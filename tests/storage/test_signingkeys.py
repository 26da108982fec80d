"""Keys that the service made for itself."""

from __future__ import annotations

from bson import ObjectId

from storage.store import Store
from tests.storage.conftest import together


def test_of_many_first_ones_all_callers_get_the_same(store: Store) -> None:
    purpose = f"test {ObjectId()}"
    found = together(16, lambda number: store.signing_keys.put(purpose, b"k", b"%d" % number, None))
    assert len({row["certificate"] for row in found}) == 1


def test_a_key_is_replaced_by_the_first_that_saw_it(store: Store) -> None:
    purpose = f"test {ObjectId()}"
    old = store.signing_keys.put(purpose, b"k1", b"c1", None)
    assert store.signing_keys.put(purpose, b"k2", b"c2", old)["key"] == b"k2"
    assert store.signing_keys.put(purpose, b"k3", b"c3", old)["key"] == b"k2"

"""The register of addresses."""

from __future__ import annotations

import pytest
from bson import ObjectId

from storage.store import Store


def entries(store: Store, user: ObjectId) -> list[dict[str, object]]:
    return list(store.databases.main["addressregister"].find({"user": user}).sort("address", 1))


def test_entered_once_and_renewed(store: Store) -> None:
    user = ObjectId()
    store.addressregister.note(user, {"Grace.H@Example.COM": "Grace"})
    first = entries(store, user)[0]
    store.addressregister.note(user, {"graceh@example.com": ""})
    store.addressregister.note(user, {"grace.h@example.com": "Grace Hopper"})
    (entry,) = entries(store, user)
    assert (entry["address"], entry["addrview"], entry["name"]) == (
        "grace.h@example.com", "graceh@example.com", "Grace Hopper",
    )  # fmt: skip
    assert entry["disabled"] is False
    assert entry["updated"] >= first["updated"]  # type: ignore[operator]


def test_one_that_was_hidden_stays_hidden(store: Store) -> None:
    user = ObjectId()
    store.addressregister.note(user, {"a@b.de": "A"})
    store.databases.main["addressregister"].update_one({"user": user}, {"$set": {"disabled": True}})
    store.addressregister.note(user, {"a@b.de": "B", "c@d.de": ""})
    assert [(row["address"], row.get("name"), row["disabled"]) for row in entries(store, user)] == [
        ("a@b.de", "A", True),
        ("c@d.de", None, False),
    ]


@pytest.mark.parametrize(
    "address", ["foo", "@", "a@b@c", '"x y"@z.de', "é@ü.de", "a@xn--zzzzz.com", "a@[1.2.3.4]", "a@.."]
)
def test_odd_addresses_do_no_harm(store: Store, address: str) -> None:
    user = ObjectId()
    store.addressregister.note(user, {address: "", "": "nobody"})
    assert len(entries(store, user)) == 1

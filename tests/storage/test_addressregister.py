"""The register of addresses."""

from __future__ import annotations

import pytest
from bson import ObjectId

from storage.store import Store
from tests.storage.conftest import together


def entries(store: Store, user: ObjectId) -> list[dict[str, object]]:
    return list(store.databases.main["addressregister"].find({"user": user}).sort("address", 1))


def test_entered_once_and_renewed(store: Store) -> None:
    user = ObjectId()
    store.address_register.note(user, {"Grace.H@Example.COM": "Grace"})
    first = entries(store, user)[0]
    store.address_register.note(user, {"graceh@example.com": ""})
    store.address_register.note(user, {"grace.h@example.com": "Grace Hopper"})
    (entry,) = entries(store, user)
    assert (entry["address"], entry["addrview"], entry["name"]) == (
        "grace.h@example.com", "graceh@example.com", "Grace Hopper",
    )  # fmt: skip
    assert entry["disabled"] is False
    assert entry["updated"] >= first["updated"]  # type: ignore[operator]


def test_one_that_was_hidden_stays_hidden(store: Store) -> None:
    user = ObjectId()
    store.address_register.note(user, {"a@b.de": "A"})
    store.databases.main["addressregister"].update_one({"user": user}, {"$set": {"disabled": True}})
    store.address_register.note(user, {"a@b.de": "B", "c@d.de": ""})
    assert [(row["address"], row.get("name"), row["disabled"]) for row in entries(store, user)] == [
        ("a@b.de", "A", True),
        ("c@d.de", None, False),
    ]


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("foo", 1), ("@", 0), ("a@b@c", 1), ('"x y"@z.de', 1), ("é@ü.de", 1), ("a@xn--zzzzz.com", 1),
        ("a@[1.2.3.4]", 1), ("a@..", 0),
    ],
)  # fmt: skip
def test_odd_addresses_do_no_harm(store: Store, address: str, kept: int) -> None:
    """What has no form that mail could be sent to is not offered for completion."""
    user = ObjectId()
    store.address_register.note(user, {address: "", "": "nobody"})
    assert len(entries(store, user)) == kept


def test_addresses_that_take_no_mail_are_left_out(store: Store) -> None:
    user = ObjectId()
    store.address_register.note(user, {"NoReply@b.de": "A", "x-no-reply+1@b.de": "", "a@b.de": ""})
    assert [row["address"] for row in entries(store, user)] == ["a@b.de"]


def test_50_at_once_make_one_entry(store: Store) -> None:
    user = ObjectId()
    assert together(50, lambda n: store.address_register.note(user, {"a.b@c.de": f"N{n}"})) == [None] * 50
    (entry,) = entries(store, user)
    assert entry["addrview"] == "ab@c.de"


def test_entries_that_wildduck_made_are_renewed_and_not_doubled(store: Store) -> None:
    user, register = ObjectId(), store.databases.main["addressregister"]
    common = {"user": user, "updated": store.clock()}
    old = register.insert_one({**common, "address": "a@b.de", "addrview": "a@b.de"}).inserted_id
    for disabled in (True, False):
        register.insert_one({**common, "address": "h@b.de", "addrview": "h@b.de", "disabled": disabled})
    store.address_register.note(user, {"a@b.de": "A", "h@b.de": "H"})
    assert [(row["_id"] == old, row.get("name")) for row in entries(store, user)] == [
        (True, "A"), (False, None), (False, None),
    ]  # fmt: skip

"""`mallard verify` over rows as an older version, or WildDuck, may have left them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from bson import ObjectId

from handlers.call import Call
from handlers.domain_aliases import create_domain_alias
from storage.store import Store

LOOK_ALIKE = "\uff4dall.example"
JOINED = "m\u200dall.example"


def test_nothing_is_found_of_what_we_store(run: Any, call: Call, make_user: Callable[..., ObjectId]) -> None:
    make_user("ada", address="a.da@b\u00fccher.example")
    make_user("bob@xn--bcher-kva.example", address="*b.ob@example.com".removeprefix("*"))
    create_domain_alias(call=call, body={"alias": "XN--zckzah.example", "domain": "b\u00fccher.example"})
    verified = run("verify")
    assert (verified.exit_code, verified.stdout) == (0, "Nothing found\n")


def test_names_that_collide_or_are_none_are_found(
    run: Any, store: Store, make_user: Callable[..., ObjectId]
) -> None:
    user = make_user("boss", address="boss@mall.example")
    users, main = store.databases.users, store.databases.main
    for local, domain in (
        ("boss", LOOK_ALIKE),
        ("boss", JOINED),
        ("bo\u200bss", "mall.example"),
        ("x", LOOK_ALIKE),
    ):
        address = f"{local}@{domain}"
        users["addresses"].insert_one({"user": user, "address": address, "addrview": address})
    main["dkim"].insert_one({"domain": JOINED})
    users["domaincache"].insert_one({"domain": LOOK_ALIKE})
    before = list(users["addresses"].find())
    verified = run("verify", "--json")
    assert verified.exit_code == 1
    found = [orjson.loads(line) for line in verified.stdout.splitlines()]
    taken = users["addresses"].find_one({"addrview": "boss@mall.example"})
    assert taken is not None
    assert sorted((row["check"], row["kind"]) for row in found) == [
        ("names", "DKIM key"),
        *[("names", "address")] * 4,
        ("names", "known domain"),
    ]
    (same,) = (row for row in found if str(taken["_id"]) in row["detail"])
    assert same["advice"].startswith("Only that one is found")
    assert run("verify").stdout.endswith("\n6 found\n")
    assert list(users["addresses"].find()) == before, "it reads only"

"""Users that claim addresses of other people's domains, or such as speak for a whole domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from delivery.relay.routes import registered_here
from server.settings.table import Settings
from storage.store import Store
from tests.conftest import Client

CLAIMS = [
    "boss@bigmail.test",
    "*@partner.test",
    "ceo@*",
    "*@example.com",
    "a*@example.com",
    "postmaster@example.com",
    "Post.Master@example.com",
    "abuse@example.com",
    "ssladmin@example.com",
    "root@example.com",
    "postmaster@bigmail.test",
    "ceo@sub.example.com",
    "ceo@\uff42igmail.test",
]


@pytest.fixture
def ada(make_user: Callable[..., ObjectId]) -> ObjectId:
    return make_user("ada")


@pytest.fixture
def as_user(app_of: Any, settings: Settings, store: Store, ada: ObjectId) -> Callable[..., Client]:
    def client(**own: Any) -> Client:
        app = app_of(replace(settings, access_control=True, **own), store)
        secret = replace(settings, access_control=True, **own).secret
        return Client(app, store.tokens.issue(store.users.get(ada), secret=secret, ttl=60))

    return client


def known(store: Store) -> set[str]:
    return {row["domain"] for row in store.databases.users["domaincache"].find()}


@pytest.mark.parametrize("address", CLAIMS)
def test_a_user_claims_what_is_not_theirs(as_user: Any, store: Store, ada: ObjectId, address: str) -> None:
    client, before = as_user(), known(store)
    made = client.post(f"/users/{ada}/addresses", json={"address": address, "allowWildcard": True})
    assert (made.status_code, made.json["code"]) == (400, "InputValidationError")
    assert list(made.json["details"]) == ["address"]
    own = client.get(f"/users/{ada}/addresses").json["results"][0]["id"]
    renamed = client.put(f"/users/{ada}/addresses/{own}", json={"address": address})
    assert renamed.status_code == 400
    assert renamed.json["code"] in ("InputValidationError", "ChangeNotAllowed")
    assert known(store) == before == {"example.com"}
    assert not registered_here(store)("boss@bigmail.test")


def test_a_user_takes_addresses_of_registered_domains(
    as_user: Any, client: Any, store: Store, ada: ObjectId
) -> None:
    client.post("/dkim", json={"domain": "keyed.example", "selector": "s1", "keyType": "ed25519"})
    client.post("/domainaliases", json={"alias": "alias.example", "domain": "example.com"})
    for address in ("a.l@example.com", "ada@keyed.example", "countess@alias.example"):
        made = as_user().post(f"/users/{ada}/addresses", json={"address": address})
        assert made.status_code == 200, made.json
    renamed = as_user().put(f"/users/{ada}/addresses/{made.json['id']}", json={"address": "c@example.com"})
    assert renamed.status_code == 200


def test_operators_register_domains_with_addresses(client: Any, store: Store, ada: ObjectId) -> None:
    for address in ("boss@bigmail.test", "postmaster@example.com", "*@partner.test"):
        made = client.post(f"/users/{ada}/addresses", json={"address": address, "allowWildcard": True})
        assert made.status_code == 200
    assert known(store) == {"example.com", "bigmail.test", "partner.test"}


def test_the_former_rule_is_a_setting(as_user: Any, ada: ObjectId) -> None:
    path = f"/users/{ada}/addresses"
    made = as_user(user_addresses="any").post(path, json={"address": "boss@bigmail.test"})
    assert made.status_code == 200

"""Look-alikes of a domain at every place that takes one: each is the domain itself, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from delivery.inbound.recipients import Recipients
from delivery.inbound.replies import Refused
from delivery.sending.policy import permitted_sender, under_own_name
from storage.store import Store

DOMAIN = "mall.example"
THE_SAME = {
    "full-width": "\uff4dall.example",
    "soft hyphen": "m\u00adall.example",
    "zero-width space": "m\u200ball.example",
    "word joiner": "m\u2060all.example",
    "script": "\U0001d4c2all.example",
    "circled": "\u24dcall.example",
    "ideographic full stop": "mall\u3002example",
    "full-width full stop": "mall\uff0eexample",
    "variation selector": "m\ufe0fall.example",
    "capitals": "MALL.Example",
}
NO_DOMAIN = {
    "zero-width joiner": "m\u200dall.example",
    "zero-width non-joiner": "m\u200call.example",
    "right-to-left override": "\u202emall.example",
    "Hebrew letter": "m\u05d0all.example",
    "trailing dot": "mall.example.",
    "empty label": "mall..example",
    "A-label of a full-width letter": "xn--" + "\uff4dall".encode("punycode").decode() + ".example",
    "A-label of nothing": "xn--mall-.example",
    "long label": "m" * 64 + ".example",
    "long label in punycode": "\u00fc" * 60 + ".example",
}
ALL = THE_SAME | NO_DOMAIN


def of_all(test: Any) -> Any:
    return pytest.mark.parametrize("domain", ALL.values(), ids=ALL.keys())(test)


@pytest.fixture
def boss(make_user: Callable[..., ObjectId]) -> ObjectId:
    return make_user("boss", address=f"boss@{DOMAIN}")


def is_refused(answer: Any, field: str, *, code: str) -> bool:
    return answer.status_code == 400 and (
        field in answer.json.get("details", ()) or answer.json["code"] == code
    )


@of_all
def test_no_second_account_has_the_address(client: Any, boss: ObjectId, domain: str) -> None:
    body = {"username": "eve", "password": "secretpassword", "address": f"boss@{domain}"}
    assert is_refused(client.post("/users", json=body), "address", code="AddressExistsError")


@of_all
def test_no_second_address_is_the_same(
    client: Any, boss: ObjectId, make_user: Callable[..., ObjectId], domain: str
) -> None:
    eve = make_user("eve")
    for path, more in (
        (f"/users/{eve}/addresses", {}),
        ("/addresses/forwarded", {"targets": ["x@example.org"]}),
    ):
        answer = client.post(path, json={"address": f"boss@{domain}", **more})
        assert is_refused(answer, "address", code="AddressExistsError"), path
    own = client.get(f"/users/{eve}/addresses").json["results"][0]["id"]
    renamed = client.put(f"/users/{eve}/addresses/{own}", json={"address": f"boss@{domain}"})
    assert is_refused(renamed, "address", code="AddressExistsError")


@of_all
def test_aliases_and_keys_are_of_the_domain_itself(client: Any, store: Store, domain: str) -> None:
    alias = client.post("/domainaliases", json={"alias": domain, "domain": "other.example"})
    key = client.post("/dkim", json={"domain": domain, "selector": "s1", "keyType": "ed25519"})
    rule = client.post("/domainaccess/x/block", json={"domain": domain})
    if domain in NO_DOMAIN.values():
        assert is_refused(alias, "alias", code="")
        assert is_refused(key, "domain", code="")
        assert is_refused(rule, "domain", code="")
        assert store.databases.users["domaincache"].count_documents({}) == 0
        return
    assert client.get(f"/domainaliases/{alias.json['id']}").json["alias"] == DOMAIN
    assert key.json["domain"] == DOMAIN
    assert key.json["dnsTxt"]["name"] == f"s1._domainkey.{DOMAIN}"
    assert client.get("/domainaccess/x/block").json["results"][0]["domain"] == DOMAIN


@of_all
def test_nobody_sends_as_it(
    client: Any, store: Store, boss: ObjectId, make_user: Callable[..., ObjectId], domain: str
) -> None:
    eve = make_user("eve")
    account = store.users.get(eve)
    assert permitted_sender(store, account, f"boss@{domain}") == "eve@example.com"
    header, sender = under_own_name(store, account, f"From: <boss@{domain}>\r\n".encode())
    assert (header.strip(), sender) == (b"From: eve@example.com", "eve@example.com")
    body = {"from": {"address": f"boss@{domain}"}, "to": [{"address": "x@example.org"}], "text": "Hello"}
    answer = client.post(f"/users/{eve}/submit", json=body)
    if domain in NO_DOMAIN.values():
        assert is_refused(answer, "from,address", code="")
        return
    (file,) = store.databases.sender["mail.files"].find()
    envelope = file["metadata"]["data"]
    assert (envelope["from"], envelope["parsedEnvelope"]["from"]) == ("eve@example.com",) * 2


@of_all
def test_what_the_owner_sends_leaves_in_the_form_that_was_checked(
    store: Store, boss: ObjectId, domain: str
) -> None:
    account = store.users.get(boss)
    header, sender = under_own_name(store, account, f"From: <boss@{domain}>\r\nSubject: Hello\r\n".encode())
    assert sender == f"boss@{DOMAIN}"
    fields = header.lower().split(b"\r\n")
    assert b"from: boss@mall.example" in fields or b"from: <boss@mall.example>" in fields


@of_all
def test_mail_for_it_comes_to_the_owner_or_nobody(store: Store, boss: ObjectId, domain: str) -> None:
    store.databases.users["addresses"].insert_one(
        {"user": ObjectId(), "address": "boss@*", "addrview": "boss@*"}
    )
    if domain in NO_DOMAIN.values():
        with pytest.raises(Refused):
            Recipients(store).find(f"boss@{domain}")
        return
    found = Recipients(store).find(f"boss@{domain}")
    assert (found.address, found.user["_id"]) == (f"boss@{DOMAIN}", boss)


@pytest.mark.parametrize("local", ["\uff42oss", "b\u00adoss", "bo\u200bss", "bo\u200dss", "\u24d1oss"])
def test_look_alikes_of_local_parts_are_refused(
    client: Any, make_user: Callable[..., ObjectId], local: str
) -> None:
    eve = make_user("eve")
    answer = client.post(f"/users/{eve}/addresses", json={"address": f"{local}@{DOMAIN}"})
    assert is_refused(answer, "address", code="")

"""Which way a recipient goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from delivery.relay.routes import Post, Route, Routes, SmartHost, Tls, registered_here
from delivery.sending.enqueue import server_of
from storage.store import Store
from tests.delivery.relay.conftest import entry, nobody_here

LMTP = ("127.0.0.1", 2424)


def routes(**options: Any) -> Routes:
    return Routes(**{"is_here": nobody_here, "lmtp": LMTP, **options})


def test_by_the_exchangers_of_the_domain() -> None:
    assert routes().of(entry()) == Route(Tls.OPPORTUNISTIC, domain="example.org")
    assert routes().of(entry("a@[192.0.2.1]")) == Route(Tls.OPPORTUNISTIC, domain="[192.0.2.1]")


def test_to_an_account_of_this_store() -> None:
    found = routes(is_here=lambda address: address == "grace@example.org").of(entry())
    assert found == Route(Tls.NONE, 2424, host="127.0.0.1", lmtp=True, trusted=True)


def test_all_through_the_smart_host() -> None:
    through = routes(is_here=lambda address: True, smart_host=SmartHost(host="mx.example.net", port=587))
    found = through.of(entry())
    assert found == Route(Tls.OPPORTUNISTIC, 587, host="mx.example.net", trusted=True)
    assert through.through_one


def test_port_465_is_tls_from_the_start() -> None:
    found = routes(smart_host=SmartHost(host="mx.example.net", port=465, login=("a", "b"))).of(entry())
    assert isinstance(found, Route)
    assert found.implicit_tls
    assert found.tls is Tls.VERIFIED


@pytest.mark.parametrize("smart_host", [None, SmartHost(host="mx.example.net", port=25)])
@pytest.mark.parametrize(
    ("url", "route"),
    [
        ("smtp://mx.example.net", Route(Tls.OPPORTUNISTIC, 25, host="mx.example.net")),
        ("smtps://mx.example.net:465", Route(Tls.OPPORTUNISTIC, 465, host="mx.example.net", implicit_tls=True)),
        ("smtp://a%40b:p%3Aw@mx.example.net", Route(Tls.VERIFIED, 25, host="mx.example.net", login=("a@b", "p:w"))),
        ("smtp://[2001:db8::1]:26", Route(Tls.OPPORTUNISTIC, 26, host="2001:db8::1")),
    ],
)  # fmt: skip
def test_to_a_server_that_a_target_names(url: str, route: Route, smart_host: SmartHost | None) -> None:
    """What an account chose for itself is not sent elsewhere, and not trusted."""
    found = routes(is_here=lambda address: True, smart_host=smart_host).of(entry(**server_of(url)))
    assert found == route
    assert not found.trusted
    assert "p:w" not in repr(found)
    assert "p:w" not in repr(entry(**server_of(url)))


def test_a_required_protection_holds_for_targets() -> None:
    for tls in (Tls.REQUIRED, Tls.VERIFIED):
        found = routes(tls=tls).of(entry(**server_of("smtp://a:b@mx.example.net")))
        assert isinstance(found, Route)
        assert found.tls is tls


def test_by_http() -> None:
    options: dict[str, Any] = {"http": True, "targetUrl": "https://example.net/in"}
    found = routes(smart_host=SmartHost(host="x", port=25)).of(entry(**options))
    assert found == Post("https://example.net/in")


class TestRegisteredHere:
    def test_accounts_and_their_aliases(
        self, store: Store, make_user: Callable[..., Any], client: Any
    ) -> None:
        user = make_user("ada")
        client.post(f"/users/{user}/addresses", json={"address": "*@wild.example", "allowWildcard": True})
        client.post("/domainaliases", json={"alias": "alias.example", "domain": "example.com"})
        client.post(
            "/addresses/forwarded", json={"address": "list@example.com", "targets": ["x@example.net"]}
        )
        is_here = registered_here(store)
        here = [
            "ada@example.com",
            "A.da+x@EXAMPLE.com",
            "any@wild.example",
            "ada@alias.example",
            "list@example.com",
        ]
        assert [is_here(address) for address in here] == [True] * len(here)
        assert not is_here("grace@example.com")
        assert not is_here("ada@example.org")

    def test_a_wildcard_of_all_domains_does_not_take_the_mail_of_others(
        self, store: Store, make_user: Callable[..., Any], client: Any
    ) -> None:
        user = make_user("ada")
        made = client.post(
            f"/users/{user}/addresses", json={"address": "postmaster@*", "allowWildcard": True}
        )
        assert made.status_code == 200, made.json
        is_here = registered_here(store)
        assert is_here("postmaster@example.com")
        assert not is_here("postmaster@example.org")

"""Which mail is signed, and that dkimpy, which is not ours, verifies it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dkim
import pytest

from delivery.relay.message import Signer, Source
from delivery.relay.relay import Worker
from delivery.relay.routes import SmartHost
from storage.queue.outbound_queue import Delivery
from storage.store import Store
from tests.delivery.relay.conftest import RAW, Bench, make_carrier, put, rows
from tests.delivery.relay.sinks import FakeDns, Sink

Send = Callable[..., bytes]
FOREIGN = RAW.replace(b"ada@example.com", b"ada@example.net")


@pytest.fixture
def make_key(client: Any) -> Callable[..., dict[str, bytes]]:
    """`make_key("example.com")`: makes a key; its record in the DNS."""

    def make(domain: str, **fields: Any) -> dict[str, bytes]:
        made = client.post("/dkim", json={"domain": domain, "selector": "s1", **fields})
        assert made.status_code == 200, made.json
        return {f"{made.json['dnsTxt']['name']}.": made.json["dnsTxt"]["value"].encode()}

    return make


@pytest.fixture
def send(store: Store, sink: Callable[..., Sink]) -> Send:
    """Sends a message as the relay does; what arrived."""
    server = sink()

    def deliver(raw: bytes = RAW, to: str | Delivery = "grace@example.org", **options: Any) -> bytes:
        carrier = make_carrier(FakeDns({}), smart_host=SmartHost(host=server.host, port=server.port))
        bench = Bench(store, carrier)
        bench.worker = Worker(Source(store, Signer(store)), carrier, bench.worker._outcomes, bench.lease)
        put(store, to, raw=raw, **options)
        bench.round()
        return server.mails[-1].content if server.mails else b""

    return deliver


def verifies(content: bytes, records: dict[str, bytes]) -> bool:
    return bool(dkim.verify(content, dnsfunc=lambda name, **_: records.get(name.decode(), b"")))


def domain_of_signature(content: bytes) -> str:
    header = content.partition(b"\r\n\r\n")[0].decode()
    return header.partition("d=")[2].partition(";")[0] if header.startswith("DKIM-Signature:") else ""


@pytest.fixture(autouse=True)
def ada(make_user: Callable[..., Any]) -> Any:
    return make_user("ada")


@pytest.mark.parametrize(
    "raw",
    [
        RAW,
        RAW.replace(b"\r\n", b"\n"),
        RAW + b"trailing  \t \r\n\r\n\r\n\r\n",
        RAW.rstrip(),
        RAW.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        RAW.replace(b"Hello", "Grüße".encode()) + "Grüße\r\n".encode(),
        RAW.replace(b"Subject: Hello", b"Subject:   Hello\r\n\t  and   more  "),
        RAW + b"bare \r in a line\r\n",
    ],
)
def test_a_signature_verifies(send: Send, make_key: Any, raw: bytes) -> None:
    records = make_key("example.com")
    content = send(raw)
    assert domain_of_signature(content) == "example.com"
    assert verifies(content, records)


def test_ed25519(send: Send, make_key: Any) -> None:
    records = make_key("example.com", privateKey="BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
    assert verifies(send(), records)


def test_without_a_key_there_is_none(send: Send) -> None:
    assert send() == RAW


def test_the_key_of_all_domains_signs_for_those_that_are_ours(send: Send, make_key: Any) -> None:
    make_key("*")
    assert domain_of_signature(send()) == "example.com"
    assert send(FOREIGN) == FOREIGN


def test_a_key_of_its_own_is_enough(send: Send, make_key: Any) -> None:
    records = make_key("example.net")
    assert verifies(send(FOREIGN), records)


@pytest.mark.parametrize("unsigned", [True, False])
def test_what_may_be_forged_is_not_vouched_for(send: Send, make_key: Any, unsigned: bool) -> None:
    """Anybody can write the name of a domain of ours into From, to an account that forwards its mail."""
    make_key("example.com")
    sent = send(to=Delivery("grace@example.org"), sender="mallory@example.net", unsigned=unsigned)
    assert (sent == RAW) is unsigned


def test_a_report_is_signed_if_the_relays_name_is_ours(send: Send, make_key: Any) -> None:
    """Its envelope has no sender, so the From field decides."""
    records = make_key("example.com")
    assert verifies(send(sender=""), records)


def test_mail_waits_for_a_key_that_cannot_be_used(send: Send, make_key: Any, store: Store) -> None:
    make_key("example.com")
    store.databases.main["dkim"].update_one({}, {"$set": {"privateKey": "rubbish"}})
    assert send() == b""
    (row,) = rows(store)
    assert row["_deferred"]["response"].startswith("450 4.3.5 The DKIM key for example.com")
    assert "rubbish" not in str(row)

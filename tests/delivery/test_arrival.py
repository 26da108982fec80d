"""Whatever comes in can be looked at, decided about, and answered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.inbound.arrival import Arrival, Envelope, Reading, with_trace
from delivery.inbound.autoreply import Answer, Autoreplies
from delivery.inbound.circuit_breaker import CircuitBreaker
from delivery.inbound.deduplication import copy_keys
from delivery.inbound.recipients import Recipients
from delivery.inbound.storing import Inbound
from network.dns import DnsFault
from storage.store import Store
from tests.delivery.conftest import Records

LINES = st.lists(
    st.sampled_from(
        [
            b"From: a@example.org", b"To: x:;", b"Received: from [1.2.3.4", b"Received: from x ([IPv6:::1])", b" fold",
            b"Subject: =?utf-8?b?/w==?=", b"DKIM-Signature: v=1; d=\xff; s=a", b"", b":",
            b"no field", b"\x00", b"\xff\xfe",
            b"Authentication-Results: mx; spf=(", b"References: " + b"<a> " * 50, b"Message-ID: <x@y>", b"--b",
            b"Content-Type: multipart/mixed; boundary=b", b"X-Spam-Status: ,", b"Date: never",
        ]
    )
)  # fmt: skip


def envelope(sender: str = "grace@example.org") -> Envelope:
    return Envelope(id=ObjectId(), sender=sender, peer="::1", helo="mx", time=datetime.now(UTC), utf8=True)


def arrived(raw: bytes, **how: Any) -> Arrival:
    return Reading(host="mallard.example", spam_fields=("X-Spam-Status",), **how).arrival(envelope(), raw)


@settings(deadline=None)
@given(LINES, st.sampled_from([b"\r\n", b"\n", b"\r"]))
def test_any_lines(lines: list[bytes], end: bytes) -> None:
    raw = end.join(lines)
    dns = Records()
    dns.records = {
        ("example.org", "TXT"): ["v=spf1 -all"],
        ("_dmarc.example.org", "TXT"): ["v=DMARC1; p=none"],
    }
    seen = arrived(raw, dns=dns)
    assert with_trace(seen, "дж@пример.рф").endswith(seen.raw)
    assert seen.verification is not None
    assert arrived(raw, authserv_id="mx").digest == seen.digest
    copy_keys(seen, ObjectId())


def test_the_received_field() -> None:
    trace = arrived(b"").forwarded("ada@пример.рф").decode()
    first, by, whom, date = trace.rstrip("\r\n").split("\r\n")
    assert first == "Received: from mx ([IPv6:::1])"
    assert by.startswith("\tby mallard.example with UTF8LMTP id ")
    assert whom == "\tfor <ada@xn--e1afmkfd.xn--p1ai>;"
    assert date.endswith(" +0000")


def test_the_queue_id_of_the_mta_is_noted() -> None:
    raw = b"Received: from a by b with ESMTPS id 4XyZ (x) for <c@d>; now\r\nReceived: from e id OLD; then\r\n\r\n"
    assert arrived(raw).meta("ada@example.com")["queueId"] == "4XyZ"


def test_a_library_that_fails_holds_no_mail_up() -> None:
    class Broken:
        def lookup(self, name: str, kind: str) -> list[str]:
            raise ZeroDivisionError

    raw = b"Received: from mx ([203.0.113.7])\r\nFrom: a@example.org\r\n\r\n"
    assert arrived(raw, dns=Broken()).verification is None


def test_the_corpus_is_delivered_and_answered(
    store: Store, make_user: Callable[..., ObjectId], corpus: list[Path]
) -> None:
    user = make_user("ada", quota=2**40, tags=["t"])
    recipient = Recipients(store, ()).find("ada@example.com")
    inbound, autoreplies = Inbound(store, "secret"), Autoreplies(store)
    fields = {"status": True, "text": "Away"}
    for file in corpus:
        seen = arrived(file.read_bytes(), dns=Records())
        assert inbound.deliver(seen, recipient).what in ("stored", "repeated"), file.name
        answer = Answer(id=ObjectId(), owner=store.users.get(user), fields=fields, name="Ada")
        assert isinstance(autoreplies.silence(answer, seen, recipient), str)
        with ExitStack() as stack:
            assert autoreplies.queue(stack, answer, seen, recipient, ObjectId()), file.name


class Fails:
    """A DNS that does not answer until it is mended."""

    def __init__(self) -> None:
        self.asked = 0
        self.mended = False

    def lookup(self, name: str, kind: str) -> list[str]:
        self.asked += 1
        if self.mended:
            return ["yes"]
        raise DnsFault("no answer")


def test_a_dns_that_does_not_answer_is_left_alone_for_a_minute() -> None:
    now, below = [0.0], Fails()
    dns = CircuitBreaker(below, lambda: now[0])
    for _ in range(10):
        with pytest.raises(DnsFault):
            dns.lookup("example.org", "TXT")
    assert below.asked == 3
    below.mended = True
    now[0] = 59.0
    with pytest.raises(DnsFault):
        dns.lookup("example.org", "TXT")
    now[0] = 61.0
    assert dns.lookup("example.org", "TXT") == ["yes"]
    below.mended = False
    for _ in range(2):
        with pytest.raises(DnsFault):
            dns.lookup("example.org", "TXT")
    below.mended = True
    assert dns.lookup("example.org", "TXT") == ["yes"]

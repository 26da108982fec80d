"""Conversations with other servers: what is said to them, and what is made of what they say."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from delivery.relay.replies import Failure
from delivery.relay.routes import Route, SmartHost, Tls
from delivery.relay.session import Timeouts
from tests.delivery.relay.conftest import RAW, Certificate, entry, make_carrier, message, to_sinks
from tests.delivery.relay.sinks import FakeDns, Sink

Start = Callable[..., Any]
HELLO = ("220 sink ESMTP", "250-sink\r\n250-8BITMIME\r\n250 SIZE 1000000")


def failure_of(carrier: Any, recipient: str = "grace@example.org", **options: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        carrier.carry(entry(recipient), message(**options))
    return caught.value


def test_a_message_arrives_as_it_was_written(sink: Start) -> None:
    server = sink()
    reply = to_sinks(server).carry(entry(), message())
    assert (reply.code, reply.status, reply.text, reply.host) == (
        250,
        "2.0.0",
        "taken as 4711",
        "mx0.example.org",
    )
    (mail,) = server.mails
    assert (mail.sender, mail.recipient, mail.content) == ("ada@example.com", "grace@example.org", RAW)
    assert mail.options == [f"SIZE={len(RAW)}"]


def test_a_null_sender(sink: Start) -> None:
    server = sink()
    to_sinks(server).carry(entry(), message(sender=""))
    assert server.mails[0].sender == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: x\n\nbare\nline\n.\nMAIL FROM:<evil@example.net>\n",
        b"Subject: x\r\n\r\nbare\r.\rcarriage\r\n",
        b"Subject: x\r\n\r\nsmuggled\n.\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<grace@example.org>\r\nDATA\r\n",
        b"Subject: x\r\n\r\nsmuggled\r.\r\nMAIL FROM:<evil@example.net>\r\n",
        b"Subject: x\r\n\r\n.no end",
    ],
)
def test_no_body_can_end_the_message(sink: Start, raw: bytes) -> None:
    server = sink()
    to_sinks(server).carry(entry(), message(raw))
    (mail,) = server.mails
    assert mail.sender == "ada@example.com"
    assert b"\n" not in mail.content.replace(b"\r\n", b"")
    assert b"\r" not in mail.content.replace(b"\r\n", b"")


def test_a_bare_cr_makes_no_field_of_its_own(sink: Start) -> None:
    """Who looked at the header did not take it for the end of a line."""
    server = sink()
    to_sinks(server).carry(
        entry(), message(b"From: ada@example.com\r\nSubject: a\rFrom: boss@x.org\r\n\r\nx")
    )
    assert server.mails[0].content == (b"From: ada@example.com\r\nSubject: a From: boss@x.org\r\n\r\nx\r\n")


def test_domains_are_written_in_ascii(sink: Start) -> None:
    """So they need no SMTPUTF8, which many servers lack."""
    server = sink(utf8=False)
    carrier = make_carrier(FakeDns({}), smart_host=SmartHost(host=server.host, port=server.port))
    carrier.carry(entry("grace@grün.example"), message(sender="ada@müller.example"))
    (mail,) = server.mails
    assert (mail.sender, mail.recipient) == ("ada@xn--mller-kva.example", "grace@xn--grn-ioa.example")


@pytest.mark.parametrize(
    "address", ["a@b> SIZE=1", "a b@example.org", "a\r\nDATA@b", "", "a@b>c", "a@", '"a@b']
)
def test_no_address_can_say_more_than_itself(sink: Start, address: str) -> None:
    server = sink()
    carrier = to_sinks(server)
    route = carrier.routes.of(entry())
    assert isinstance(route, Route)
    with pytest.raises(Failure) as caught:
        carrier.sessions.send(route, address, message())
    assert caught.value.reply.status == "5.1.3"
    assert server.mails == []


def test_8_bit_data_is_announced(sink: Start) -> None:
    server = sink()
    to_sinks(server).carry(entry(), message(RAW + "Grüße\r\n".encode()))
    assert "BODY=8BITMIME" in server.mails[0].options
    assert server.mails[0].content.endswith("Grüße\r\n".encode())


def test_8_bit_data_is_not_sent_to_who_cannot_take_it(sink: Start) -> None:
    server = sink(eight_bit=False)
    failure = failure_of(to_sinks(server), raw=RAW + "Grüße\r\n".encode())
    assert (failure.reply.code, failure.reply.status) == (550, "5.6.3")
    assert server.mails == []


def test_international_addresses_need_a_server_that_takes_them(sink: Start) -> None:
    able, unable = sink(), sink(utf8=False)
    to_sinks(able).carry(entry("grüße@example.org"), message())
    assert able.mails[0].recipient == "grüße@example.org"
    assert "SMTPUTF8" in able.mails[0].options
    assert failure_of(to_sinks(unable), "grüße@example.org").reply.status == "5.6.7"


def test_what_is_too_large_is_not_sent(sink: Start) -> None:
    server = sink(size=100)
    failure = failure_of(to_sinks(server))
    assert (failure.reply.code, failure.reply.status) == (550, "5.3.4")
    assert not any("354" in text for text in server.said)


@pytest.mark.parametrize(
    ("answer", "code", "status", "text"),
    [
        ("450 4.2.2 Mailbox full", 450, "4.2.2", "Mailbox full"),
        ("550 5.1.1 No such user", 550, "5.1.1", "No such user"),
        ("550-5.7.1 Go\r\n550 5.7.1 away", 550, "5.7.1", "Go away"),
        ("451 later", 451, "4.0.0", "later"),
        ("550 4.2.2 what now", 550, "5.0.0", "4.2.2 what now"),
        ("554 5.7.1 \x1b[31mred\x07", 554, "5.7.1", "[31mred"),
    ],
)
def test_codes_are_kept(sink: Start, answer: str, code: int, status: str, text: str) -> None:
    for place in ("rcpt", "data"):
        server = sink(**{place: lambda address: answer})
        reply = failure_of(to_sinks(server)).reply
        assert (reply.code, reply.status, reply.text) == (code, status, text)
        assert reply.is_permanent == (code >= 500)


def test_a_connection_is_used_again_after_a_refusal(sink: Start) -> None:
    server = sink(rcpt=lambda address: "550 5.1.1 no" if address.startswith("no") else None)
    carrier = to_sinks(server)
    for name in ("a", "no", "b"):
        try:
            carrier.carry(entry(f"{name}@example.org"), message())
        except Failure:
            assert name == "no"
    assert server.recipients == ["a@example.org", "b@example.org"]
    assert server.connections == 1


def test_a_server_that_closed_meanwhile_costs_nobody_anything(sink: Start) -> None:
    first = sink()
    carrier = to_sinks(first)
    carrier.carry(entry("a@example.org"), message())
    first.stop()
    second = Sink(port=first.port)
    try:
        carrier.carry(entry("b@example.org"), message())
        assert second.recipients == ["b@example.org"]
    finally:
        second.stop()


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ((*HELLO, "250 OK", "250 OK", "354 go", None), "4.4.2"),  # drops in the middle of DATA
        ((*HELLO, "250 OK", None), "4.4.2"),
        ((*HELLO, "250 OK", "421 4.3.2 closing"), "4.3.2"),
        ((*HELLO, "what?"), "4.4.2"),
        ((*HELLO, "x" * 9000), "4.4.2"),
        ((None,), "4.4.1"),
        (("554 5.7.1 go away",), "4.3.0"),
        (("220 hello", "550 5.7.1 no", "550 no"), "4.3.0"),
        (("220 hello", *["250-more"] * 300), "4.4.1"),
    ],
)
def test_whoever_breaks_off_is_tried_again(scripted: Start, steps: Any, status: str) -> None:
    failure = failure_of(to_sinks(scripted(*steps), timeouts=Timeouts(connect=1, command=1, content=1)))
    assert failure.reply.status == status
    assert not failure.reply.is_permanent


@pytest.mark.parametrize("steps", [(30.0,), ("220 hi", 30.0), (*HELLO, 30.0), (*HELLO, "250 OK", 30.0)])
def test_whoever_hangs_is_left(scripted: Start, steps: Any) -> None:
    carrier = to_sinks(scripted(*steps), timeouts=Timeouts(connect=0.3, command=0.3, content=0.3))
    begun = time.monotonic()
    failure = failure_of(carrier)
    assert time.monotonic() - begun < 3
    assert not failure.reply.is_permanent


def test_the_next_host_is_tried_when_one_cannot_be_reached(sink: Start) -> None:
    there = sink(host="127.0.0.2")
    records = {
        ("example.org", "MX"): ["10 gone.example.org.", "20 there.example.org."],
        ("gone.example.org", "A"): ["127.0.0.3", "127.0.0.4"],
        ("there.example.org", "A"): ["127.0.0.2"],
    }
    carrier = make_carrier(FakeDns(records), port=there.port)
    assert carrier.carry(entry(), message()).host == "there.example.org"


def test_a_host_that_does_not_greet_leaves_it_to_the_next(sink: Start, scripted: Start) -> None:
    good = sink(host="127.0.0.2")
    bad = scripted("554 no", host="127.0.0.1", port=good.port)
    records = {
        ("example.org", "MX"): ["10 bad.example.org.", "20 good.example.org."],
        ("bad.example.org", "A"): ["127.0.0.1"],
        ("good.example.org", "A"): ["127.0.0.2"],
    }
    carrier = make_carrier(FakeDns(records), port=good.port)
    carrier.carry(entry(), message())
    assert good.recipients == ["grace@example.org"]
    assert bad.heard


def test_a_dead_host_costs_one_time_out_and_not_one_each(scripted: Start) -> None:
    carrier = to_sinks(scripted(5.0), timeouts=Timeouts(connect=0.5, command=0.5, content=0.5))
    begun = time.monotonic()
    for _ in range(20):
        failure_of(carrier)
    assert time.monotonic() - begun < 2


def test_a_domain_of_many_dead_hosts_is_not_tried_to_the_last(scripted: Start) -> None:
    server = scripted(5.0)
    records = {("example.org", "MX"): ["0 a.", "1 b."], **{(n, "A"): ["127.0.0.1"] * 50 for n in ("a", "b")}}
    carrier = make_carrier(
        FakeDns(records), port=server.port, timeouts=Timeouts(connect=0.1, command=0.1, content=0.1)
    )
    begun = time.monotonic()
    assert not failure_of(carrier).reply.is_permanent
    assert time.monotonic() - begun < 3


def test_ipv6(sink: Start) -> None:
    server = sink(host="::1")
    to_sinks(server).carry(entry(), message())
    assert server.recipients == ["grace@example.org"]


class TestTls:
    def test_it_is_used_where_it_is_offered(self, sink: Start, certificate: Certificate) -> None:
        server = sink(tls=certificate.server())
        to_sinks(server).carry(entry(), message())
        assert server.mails[0].tls

    def test_mail_goes_in_clear_where_it_fails(self, sink: Start) -> None:
        server = sink(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # has no certificate to show
        to_sinks(server).carry(entry(), message())
        assert [mail.tls for mail in server.mails] == [False]
        assert server.connections == 2

    @pytest.mark.parametrize("tls", [Tls.REQUIRED, Tls.VERIFIED])
    def test_it_can_be_required(self, sink: Start, tls: Tls) -> None:
        server = sink()
        failure = failure_of(to_sinks(server, tls=tls))
        assert (failure.reply.code, failure.reply.status) == (450, "4.7.4")
        assert server.mails == []

    def test_a_certificate_nobody_knows_is_enough_unless_it_must_be_valid(
        self, sink: Start, certificate: Certificate
    ) -> None:
        server = sink(tls=certificate.server())
        to_sinks(server, tls=Tls.REQUIRED).carry(entry(), message())
        assert server.mails[0].tls
        assert failure_of(to_sinks(server, tls=Tls.VERIFIED)).reply.status == "4.7.5"
        assert len(server.mails) == 1

    def test_a_valid_certificate(self, sink: Start, certificate: Certificate) -> None:
        server = sink(tls=certificate.server())
        carrier = make_carrier(
            FakeDns({}),
            smart_host=SmartHost(host="127.0.0.1", port=server.port),
            tls=Tls.VERIFIED,
            context=certificate.trusting,
        )
        carrier.carry(entry(), message())
        assert server.mails[0].tls


class TestLogin:
    @pytest.fixture
    def guarded(self, sink: Start, certificate: Certificate) -> Sink:
        server: Sink = sink(tls=certificate.server(), logins={"ada": "secret"})
        return server

    def through(
        self, server: Sink, certificate: Certificate, password: str = "secret", **options: Any
    ) -> Any:
        host = SmartHost(host="127.0.0.1", port=server.port, login=("ada", password))
        return make_carrier(FakeDns({}), smart_host=host, **{"context": certificate.trusting, **options})

    def test_the_smart_host(self, guarded: Sink, certificate: Certificate) -> None:
        self.through(guarded, certificate).carry(entry(), message())
        assert guarded.mails[0].tls

    def test_a_wrong_password_is_no_reason_to_give_up(self, guarded: Sink, certificate: Certificate) -> None:
        reply = failure_of(self.through(guarded, certificate, "wrong")).reply
        assert (reply.code, reply.status) == (450, "4.7.8")
        assert "wrong" not in str(reply)

    def test_no_password_goes_in_clear(self, sink: Start, certificate: Certificate) -> None:
        server = sink(logins={"ada": "secret"})
        assert failure_of(self.through(server, certificate)).reply.status == "4.7.4"
        assert server.tried == []

    def test_no_password_goes_to_a_stranger(self, guarded: Sink, certificate: Certificate) -> None:
        def nobody_known(verified: bool) -> ssl.SSLContext:
            context = ssl.create_default_context()
            context.check_hostname = verified
            context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
            return context

        assert failure_of(self.through(guarded, certificate, context=nobody_known)).reply.status == "4.7.5"

    def test_a_server_of_a_forward(self, guarded: Sink, certificate: Certificate) -> None:
        carrier = make_carrier(FakeDns({}), context=certificate.trusting)
        exchange = {"priority": 0, "mx": True, "exchange": "127.0.0.1", "A": ["127.0.0.1"], "AAAA": []}
        options: dict[str, Any] = {
            "mx": [exchange],
            "mxPort": str(guarded.port),
            "mxAuth": {"user": "ada", "pass": "secret"},
        }
        carrier.carry(entry(**options), message())
        assert guarded.recipients == ["grace@example.org"]


def test_smtps(certificate: Certificate) -> None:
    """`smtps://` has TLS from the first byte."""
    import socket
    import threading

    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        plain, _ = listener.accept()
        with (
            certificate.server().wrap_socket(plain, server_side=True) as secure,
            secure.makefile("rwb") as talk,
        ):
            for answer in ("220 hi", "250 sink", "250 OK", "250 OK", "354 go"):
                talk.write(answer.encode() + b"\r\n")
                talk.flush()
                heard.append(talk.readline())
            while heard[-1] != b".\r\n":
                heard.append(talk.readline())
            talk.write(b"250 2.0.0 taken\r\n")
            talk.flush()

    thread = threading.Thread(target=serve)
    thread.start()
    carrier = make_carrier(FakeDns({}), context=certificate.trusting)
    exchange = {"priority": 0, "mx": True, "exchange": "127.0.0.1", "A": ["127.0.0.1"], "AAAA": []}
    port = listener.getsockname()[1]
    reply = carrier.carry(entry(mx=[exchange], mxPort=str(port), mxSecure=True), message())
    thread.join(5)
    listener.close()
    assert reply.text == "taken"
    assert heard[0] == b"ehlo relay.example.com\r\n"
    assert b"..\r\n" in heard


def test_lmtp(sink: Start) -> None:
    server = sink(lmtp=True)
    carrier = make_carrier(FakeDns({}), is_here=lambda address: True, lmtp=("127.0.0.1", server.port))
    carrier.carry(entry("ada@example.com"), message())
    assert server.recipients == ["ada@example.com"]

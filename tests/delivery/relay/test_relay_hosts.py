"""Where mail for a domain goes (RFC 5321 §5.1, RFC 7505), and where none goes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from delivery.relay.hosts import Host, Hosts
from delivery.relay.replies import Failure
from network.dns import DnsFault
from tests.delivery.relay.sinks import FakeDns

PUBLIC, OTHER, SIX = "93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07::1"


def find(
    records: dict[tuple[str, str], list[str]], domain: str = "example.org", **options: Any
) -> list[Host]:
    return Hosts(FakeDns(records), **options).of_domain(domain)


def failure_of(records: dict[tuple[str, str], list[str]], domain: str = "example.org", **options: Any) -> Any:
    with pytest.raises(Failure) as caught:
        find(records, domain, **options)
    return caught.value.reply


def test_hosts_come_in_the_order_of_their_preference() -> None:
    records = {
        ("example.org", "MX"): ["20 b.example.org.", "5 A.example.org.", "100 c.example.org."],
        **{(f"{name}.example.org", "A"): [PUBLIC] for name in "abc"},
    }
    assert [host.name for host in find(records)] == ["a.example.org", "b.example.org", "c.example.org"]


def test_those_of_the_same_preference_share_the_load() -> None:
    records = {
        ("example.org", "MX"): ["10 a.", "10 b.", "10 c.", "20 last."],
        **{(name, "A"): [PUBLIC] for name in ("a", "b", "c", "last")},
    }
    draw = random.Random(5)
    orders = [[host.name for host in find(records, shuffle=draw.shuffle)] for _ in range(60)]
    assert {order[0] for order in orders} == {"a", "b", "c"}
    assert {order[3] for order in orders} == {"last"}


def test_without_mx_the_domain_is_the_host() -> None:
    records = {("example.org", "A"): [PUBLIC], ("example.org", "AAAA"): [SIX]}
    assert find(records) == [Host("example.org", (PUBLIC, SIX))]


def test_a_host_with_ipv6_alone() -> None:
    records = {("example.org", "MX"): ["0 six.example.org."], ("six.example.org", "AAAA"): [SIX]}
    assert find(records) == [Host("six.example.org", (SIX,))]


def test_a_null_mx_is_final() -> None:
    reply = failure_of({("example.org", "MX"): ["0 ."], ("example.org", "A"): [PUBLIC]})
    assert (reply.code, reply.status) == (550, "5.1.10")


def test_a_domain_that_is_not_there_is_final() -> None:
    reply = failure_of({})
    assert (reply.code, reply.status) == (550, "5.1.2")


def test_exchangers_without_addresses_may_get_some() -> None:
    reply = failure_of({("example.org", "MX"): ["10 gone.example.org."]})
    assert (reply.code, reply.status) == (450, "4.4.4")


@pytest.mark.parametrize("name", ["example.org", "mx.example.org"])
def test_a_dns_that_does_not_answer_may_do_so_later(name: str) -> None:
    dns = FakeDns({("example.org", "MX"): ["10 mx.example.org."]}, faulty=[name])
    with pytest.raises(Failure) as caught:
        Hosts(dns).of_domain("example.org")
    assert (caught.value.reply.code, caught.value.reply.status) == (450, "4.4.3")


@pytest.mark.parametrize(
    ("literal", "address"),
    [(PUBLIC, PUBLIC), (f"[{PUBLIC}]", PUBLIC), (f"IPv6:{SIX}", SIX), (f"[IPv6:{SIX}]", SIX)],
)
def test_address_literals(literal: str, address: str) -> None:
    (host,) = find({}, literal)
    assert host.addresses == (address,)


def test_an_international_domain_is_asked_for_in_ascii() -> None:
    dns = FakeDns({("xn--grn-ioa.example", "A"): [PUBLIC]})
    assert Hosts(dns).of_domain("grün.example")[0].name == "xn--grn-ioa.example"
    assert ("xn--grn-ioa.example", "MX") in dns.asked


def test_an_exchanger_given_as_an_address() -> None:
    assert find({("example.org", "MX"): [f"10 {PUBLIC}."]})[0].addresses == (PUBLIC,)


def test_no_more_than_ten_hosts_are_asked_for() -> None:
    dns = FakeDns({("example.org", "MX"): [f"{n} h{n}." for n in range(500)], ("h1", "A"): [PUBLIC]})
    Hosts(dns).of_domain("example.org")
    assert len(dns.asked) == 21


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "255.255.255.255", "224.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "::127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_no_mail_goes_to_private_addresses(address: str) -> None:
    kind = "AAAA" if ":" in address else "A"
    for records, domain in (
        ({("example.org", kind): [address]}, "example.org"),
        ({("example.org", "MX"): ["1 m."], ("m", kind): [address]}, "example.org"),
        ({}, f"[IPv6:{address}]" if ":" in address else f"[{address}]"),
    ):
        reply = failure_of(records, domain)
        assert (reply.code, reply.status) == (550, "5.7.1")
        assert find(records, domain, allow_private=True)[0].addresses == (address,)


@pytest.mark.parametrize(
    "address", [PUBLIC, OTHER, SIX, "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"]
)
def test_mail_goes_to_public_addresses(address: str) -> None:
    assert find({("example.org", "AAAA" if ":" in address else "A"): [address]})


def test_private_addresses_among_public_ones_are_left_out() -> None:
    records = {
        ("example.org", "MX"): ["1 a.", "2 b."],
        ("a", "A"): ["10.0.0.1"],
        ("b", "A"): ["192.168.0.1", PUBLIC],
    }
    assert find(records) == [Host("b", (PUBLIC,))]


class TestNamed:
    def test_it_is_resolved_as_this_machine_does(self) -> None:
        hosts = Hosts(FakeDns({}), lambda name: [SIX, PUBLIC])
        assert hosts.named("mail.example.org").addresses == (PUBLIC, SIX)

    def test_it_may_be_private_only_where_the_operator_named_it(self) -> None:
        hosts = Hosts(FakeDns({}), lambda name: ["10.0.0.1"])
        assert hosts.named("mail.example.org", trusted=True).addresses == ("10.0.0.1",)
        with pytest.raises(Failure, match=r"5\.7\.1"):
            hosts.named("mail.example.org")
        with pytest.raises(Failure, match=r"5\.7\.1"):
            hosts.named("127.0.0.1")

    def test_it_may_not_be_found(self) -> None:
        def fails(name: str) -> list[str]:
            raise DnsFault(name)

        with pytest.raises(Failure, match=r"4\.4\.4"):
            Hosts(FakeDns({}), lambda name: []).named("nowhere.example")
        with pytest.raises(Failure, match=r"4\.4\.3"):
            Hosts(FakeDns({}), fails).named("nowhere.example")

    @pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
    def test_names_of_this_machine(self, name: str) -> None:
        with pytest.raises(Failure, match=r"5\.7\.1"):
            Hosts(FakeDns({})).named(name)

    @pytest.mark.parametrize("name", ["0x7f.1", "2130706433", "127.1", "0177.0.0.1"])
    def test_other_spellings_of_this_machine(self, name: str) -> None:
        with pytest.raises(Failure):
            Hosts(FakeDns({})).named(name)

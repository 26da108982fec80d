"""Mail in motion through a whole `mallard serve`: in by LMTP, through a filter, out to other servers, and answered."""

from __future__ import annotations

import itertools
import smtplib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dkim
import pytest
import requests

from tests.delivery.relay.sinks import Sink
from tests.flows.conftest import Serve
from tests.flows.test_relay import wait_for
from tests.rows import Row

PASSWORD = "correct horse battery"
DELIVERIES = 20

pytestmark = pytest.mark.timeout(180)


class Site:
    """A machine with an account on it, the smart host that it sends through, and a server that mail is forwarded to."""

    def __init__(self, serve: Serve) -> None:
        self.smart_host, self.other = Sink(), Sink()
        self.served = serve(
            MALLARD_RELAY=f"127.0.0.1:{self.smart_host.port}", MALLARD_ALLOW_PRIVATE_TARGETS="on"
        )
        self.key = self.ask("POST", "/dkim", {"domain": "example.com", "selector": "s1"})

    def begin(self, name: str) -> None:
        """With another account, and no mail yet."""
        self.address = f"{name}@example.com"
        body = {"username": name, "password": PASSWORD, "address": self.address, "name": name}
        self.user = self.ask("POST", "/users", body)["id"]
        self.smart_host.mails.clear()
        self.other.mails.clear()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Row:
        answer = requests.request(method, self.served.base + path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def deliver(self, sender: str, subject: str) -> None:
        raw = (
            f"From: {sender}\r\nTo: {self.address}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@mx>\r\n"
            f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} +0000\r\n\r\nDear Ada\r\n"
        )
        with smtplib.LMTP("127.0.0.1", self.served.lmtp_port, timeout=30) as client:
            client.sendmail(sender, [self.address], raw.encode())

    def is_signed(self, content: bytes) -> bool:
        record = {f"{self.key['dnsTxt']['name']}.": self.key["dnsTxt"]["value"]}
        return bool(dkim.verify(content, dnsfunc=lambda name, **_: record.get(name.decode(), "").encode()))


@pytest.fixture(scope="module")
def machine(serve_all: Serve) -> Iterator[Site]:
    made = Site(serve_all)
    yield made
    made.smart_host.stop()
    made.other.stop()


_names = (f"ada{number}" for number in itertools.count())


@pytest.fixture
def site(machine: Site) -> Site:
    machine.begin(next(_names))
    return machine


def test_a_filter_forwards_and_what_goes_out_is_signed(site: Site) -> None:
    targets = ["grace@example.org", f"smtp://127.0.0.1:{site.other.port}"]
    action = {"targets": targets, "flag": True}
    site.ask("POST", f"/users/{site.user}/filters", {"query": {"subject": "minutes"}, "action": action})
    site.deliver("bob@example.com", "Minutes")
    site.deliver("bob@example.com", "Lunch")
    wait_for(lambda: site.smart_host.mails and site.other.mails)
    for server, recipient in ((site.smart_host, "grace@example.org"), (site.other, site.address)):
        (mail,) = server.mails
        assert (mail.sender, mail.recipient) == ("bob@example.com", recipient)
        assert b"Subject: Minutes" in mail.content
        assert site.is_signed(mail.content)
        assert not site.is_signed(mail.content.replace(b"Dear Ada", b"Dear Eve"))
    found = site.ask("GET", f"/users/{site.user}/search")["results"]
    assert {row["subject"]: row["flagged"] for row in found} == {"Minutes": True, "Lunch": False}


def test_one_answer_goes_to_somebody_who_writes_often(site: Site) -> None:
    site.ask("PUT", f"/users/{site.user}/autoreply", {"status": True, "text": "I am away"})
    for number in range(DELIVERIES):
        site.deliver("heidi@example.net", f"Question-{number}")
    site.deliver("ivan@example.net", "Question")
    wait_for(lambda: len(site.smart_host.mails) >= 2)
    time.sleep(2)
    assert sorted(site.smart_host.recipients) == ["heidi@example.net", "ivan@example.net"]
    assert all(mail.sender == "" and site.is_signed(mail.content) for mail in site.smart_host.mails)
    assert site.ask("GET", f"/users/{site.user}/search?limit=100")["total"] == DELIVERIES + 1


def test_a_scheduled_message_leaves_at_its_time(site: Site) -> None:
    due = datetime.now(UTC) + timedelta(seconds=3)
    body = {"to": [{"address": "grace@example.org"}], "subject": "Later", "sendTime": due.isoformat()}
    site.ask("POST", f"/users/{site.user}/submit", body)
    time.sleep(1)
    assert site.smart_host.mails == []
    wait_for(lambda: site.smart_host.mails)
    (mail,) = site.smart_host.mails
    assert site.is_signed(mail.content)
    assert not site.is_signed(mail.content.replace(b"Subject: Later", b"Subject: Sooner"))
    assert due <= datetime.now(UTC) < due + timedelta(seconds=5)

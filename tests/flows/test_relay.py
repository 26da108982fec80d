"""Mail that leaves: from the API through a running relay to another server, and what kill -9 can do to it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import dkim
import pytest
import requests

from server.processes.mongod import Mongod
from storage.store import Store
from tests.delivery.relay.conftest import put, rows
from tests.delivery.relay.sinks import Sink, sinks
from tests.flows.conftest import Serve, Served
from tests.rows import Row

PASSWORD = "correct horse battery"
MESSAGES, RECIPIENTS = 120, 2
CONNECTIONS = 5

_names = (f"ada{number}" for number in itertools.count())

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def sink() -> Iterator[Callable[..., Sink]]:
    """`sink(rcpt=…)`: another server, until the test is over."""
    with sinks() as start:
        yield start


def wait_for(what: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.fixture(scope="module")
def smart_host() -> Iterator[Sink]:
    answers = {"nobody": "550 5.1.1 No such user"}
    with sinks() as start:
        yield start(rcpt=lambda address: answers.get(address.partition("@")[0]))


@pytest.fixture(scope="module")
def served(serve_all: Serve, smart_host: Sink) -> Served:
    return serve_all(MALLARD_RELAY=f"127.0.0.1:{smart_host.port}", MALLARD_RELAY_NAME="mail.example.com")


class TestServe:
    @pytest.fixture
    def server(self, smart_host: Sink) -> Sink:
        """The smart host, which has no mail yet."""
        smart_host.mails.clear()
        return smart_host

    @pytest.fixture
    def sender(self) -> str:
        """The address of the account."""
        return f"{next(_names)}@example.com"

    @pytest.fixture
    def api(self, served: Served, server: Sink, sender: str) -> str:
        """The base of the API with an account of the test's own in it."""
        body = {"username": sender.partition("@")[0], "password": PASSWORD, "address": sender}
        made = requests.post(f"{served.base}/users", json=body, timeout=30).json()
        return f"{served.base}/users/{made['id']}"

    def submit(self, api: str, to: str, **fields: Any) -> Row:
        body = {"to": [{"address": to}], "subject": "Hello", "text": "Dear Grace", **fields}
        answer = requests.post(f"{api}/submit", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["message"])

    def test_a_message_arrives_and_its_copy_says_so(self, api: str, server: Sink) -> None:
        sent = self.submit(api, "grace@example.org")
        wait_for(lambda: server.mails)
        assert server.recipients == ["grace@example.org"]
        copy = f"{api}/mailboxes/{sent['mailbox']}/messages/{sent['id']}"
        wait_for(lambda: "outbound" not in requests.get(copy, timeout=10).json())
        source = requests.get(f"{copy}/message.eml", timeout=10).content
        assert server.mails[0].content.rstrip() == source.rstrip()

    def test_it_is_signed_by_the_key_of_its_domain(self, api: str, served: Served, server: Sink) -> None:
        domain = {"domain": "example.com", "selector": "s1"}
        made = requests.post(f"{served.base}/dkim", json=domain, timeout=60).json()
        self.submit(
            api,
            "grace@example.org",
            subject="Grüße",
            text="Dear Grace\n.\n  trailing  \n\n\n",
            html="<b>Hi</b>",
        )
        (mail,) = wait_for(lambda: list(server.mails))
        assert requests.delete(f"{served.base}/dkim/{made['id']}", timeout=30).status_code == 200
        record = {f"{made['dnsTxt']['name']}.": made["dnsTxt"]["value"]}
        assert dkim.verify(mail.content, dnsfunc=lambda name, **_: record.get(name.decode(), "").encode())
        spoiled = mail.content.replace(b"example.org", b"example.net")
        assert not dkim.verify(spoiled, dnsfunc=lambda name, **_: record.get(name.decode(), "").encode())

    def test_a_scheduled_message_goes_at_its_time_or_not_at_all(self, api: str, server: Sink) -> None:
        due = datetime.now(UTC) + timedelta(seconds=3)
        self.submit(api, "grace@example.org", sendTime=due.isoformat())
        other = self.submit(api, "heidi@example.org", sendTime=due.isoformat())
        taken_back = requests.delete(f"{api}/outbound/{other['queueId']}", timeout=10).json()
        assert taken_back["deleted"] == 1
        wait_for(lambda: server.mails)
        assert timedelta(0) <= datetime.now(UTC) - due < timedelta(seconds=3)
        time.sleep(1)
        assert server.recipients == ["grace@example.org"]

    def test_a_refusal_comes_back_to_the_sender(self, api: str, sender: str, server: Sink) -> None:
        """All goes through the smart host, so the report does, too."""
        self.submit(api, "nobody@example.org")
        (report,) = wait_for(lambda: list(server.mails))
        assert (report.sender, report.recipient) == ("", sender)
        parsed = message_from_bytes(report.content, policy=policy.default)
        assert parsed["From"].addresses[0].addr_spec == "MAILER-DAEMON@mail.example.com"
        assert b"550 5.1.1 No such user" in report.content


def relay(mongod: Mongod, store: Store, server: Sink, **settings: str) -> subprocess.Popen[bytes]:
    """A `mallard relay` on the database of the test."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLARD_")}
    own = {
        "MALLARD_MONGO_URI": mongod.uri,
        "MALLARD_DATABASE": store.databases.names.main,
        "MALLARD_RELAY": f"127.0.0.1:{server.port}",
        "MALLARD_RELAY_LEASE": "3",
        "MALLARD_RELAY_CONNECTIONS_PER_DOMAIN": str(CONNECTIONS),
        "MALLARD_LOG_LEVEL": "error",
    }
    return subprocess.Popen([sys.executable, "-m", "commands", "relay"], env={**clean, **own, **settings})


def test_kill_9_in_the_middle_of_the_queue(mongod: Mongod, store: Store, sink: Callable[..., Sink]) -> None:
    """Twice. Each recipient gets each message; twice at most what was under way as the relay died."""
    server = sink(pause=0.01)
    expected = Counter[tuple[str, str]]()
    for number in range(MESSAGES):
        people = [f"u{number}-{n}@d{(number + n) % 9}.example" for n in range(RECIPIENTS)]
        put(store, *people, raw=f"Subject: {number}\r\n\r\nHello\r\n".encode())
        expected.update((person, str(number)) for person in people)
    kills = 0
    for share in (0.25, 0.6):
        process = relay(mongod, store, server)
        wait_for(lambda at=share: len(server.mails) >= at * len(expected))
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        kills += 1
    assert rows(store), "the relay must have died with work left"
    process = relay(mongod, store, server)
    try:
        wait_for(lambda: not rows(store), 60)
    finally:
        process.terminate()
        assert process.wait(30) == 0
    arrived = Counter(
        (mail.recipient, str(message_from_bytes(mail.content)["Subject"])) for mail in server.mails
    )
    assert set(arrived) == set(expected), "each recipient has each message"
    twice = sum(arrived.values()) - len(expected)
    assert twice <= kills * CONNECTIONS
    files = store.databases.sender["mail.files"]
    assert files.count_documents({}) <= kills * CONNECTIONS, "those whose last recipient had just gone"
    files.update_many({}, {"$set": {"uploadDate": store.clock() - timedelta(days=2)}})
    store.outbound_queue.sweep(100)
    assert files.count_documents({}) == 0
    print(f"{len(expected)} recipients, {kills} kills, {twice} of them twice")


def test_a_relay_stops_when_it_is_asked_to(mongod: Mongod, store: Store, sink: Callable[..., Sink]) -> None:
    server = sink(pause=0.2)
    for number in range(30):
        put(store, f"u{number}@example.org")
    process = relay(mongod, store, server)
    wait_for(lambda: server.mails)
    begun = time.monotonic()
    process.terminate()
    assert process.wait(20) == 0
    assert time.monotonic() - begun < 10
    left = rows(store)
    assert len(server.mails) + len(left) == 30
    assert not any(row["locked"] for row in left)


def test_mail_for_an_account_here_goes_to_our_own_lmtp(
    mongod: Mongod, store: Store, sink: Callable[..., Sink], make_user: Callable[..., Any]
) -> None:
    make_user("ada")
    lmtp = sink(lmtp=True)
    put(store, "a.da+label@example.com")
    process = relay(mongod, store, lmtp, MALLARD_RELAY="", MALLARD_LMTP_BIND=f"127.0.0.1:{lmtp.port}")
    try:
        wait_for(lambda: lmtp.mails)
        assert lmtp.recipients == ["a.da+label@example.com"]
        wait_for(lambda: not rows(store))
    finally:
        process.terminate()
        assert process.wait(30) == 0

"""Sinks, certificates, and a relay over them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from bson import ObjectId
from pymongo import MongoClient

from delivery.relay.connections import Opener
from delivery.relay.hosts import Hosts
from delivery.relay.message import Message, Source, made_of, unsigned
from delivery.relay.outcomes import Lease, Outcomes
from delivery.relay.relay import Carrier, Relay, Worker
from delivery.relay.routes import Routes, SmartHost, Tls
from delivery.relay.session import Timeouts
from delivery.sending.enqueue import Submission, enqueueing
from storage.base.database import DatabaseNames
from storage.queue.claims import Entry
from storage.queue.documents import EntryOptions
from storage.queue.outbound_queue import Delivery
from storage.store import Store
from tests.authority import ROOT, issue
from tests.conftest import emptied
from tests.delivery.relay.sinks import FakeDns, Scripted, Sink, sinks
from tests.rows import Row

HEADER = (
    b"From: ada@example.com\r\nTo: grace@example.org\r\nSubject: Hello\r\nMessage-ID: <1@example.com>\r\n"
    b"Date: Wed, 25 Nov 2026 12:00:00 +0000\r\n"
)
RAW = HEADER + b"\r\nDear Grace\r\n.\r\n..\r\nAda\r\n"
SHORT = Timeouts(connect=2.0, command=2.0, content=2.0)
_carriers: list[Carrier] = []


@pytest.fixture(autouse=True)
def _no_connection_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    """Carriers keep connections for a while."""
    yield
    while _carriers:
        _carriers.pop().sessions.close()


@pytest.fixture
def sink() -> Iterator[Callable[..., Sink]]:
    """`sink(rcpt=…)`: starts a server, which ends with the test."""
    with sinks() as start:
        yield start


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """`scripted("220 hello", None)`: a server that follows a script."""
    started: list[Scripted] = []

    def start(*steps: Any, **options: Any) -> Scripted:
        started.append(Scripted(steps, **options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


class Certificate:
    """A certificate for `sink.example`, and contexts for both ends."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "sink.pem"
        issued = issue("sink.example", "127.0.0.1", by=ROOT)
        self.file.write_text(f"{issued.key_pem}\n{issued.pem}")

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context

    def trusting(self, verified: bool = True) -> ssl.SSLContext:
        """A client's context that knows its authority."""
        context = ssl.create_default_context(cadata=ROOT.pem)
        if not verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One for all tests."""
    return Certificate(tmp_path_factory.mktemp("certificate"))


def message(raw: bytes = RAW, sender: str = "ada@example.com") -> Message:
    """A message without a queue."""
    header, _, body = raw.partition(b"\r\n\r\n")
    lines = [{"key": "x", "line": line.decode("latin-1")} for line in header.split(b"\r\n")]
    return made_of({"id": "0123456789abcdef01", "from": sender, "headers": lines}, body, unsigned)


def entry(recipient: str = "grace@example.org", **options: Any) -> Entry:
    """A recipient without a queue."""
    domain = recipient.rpartition("@")[2].strip("[]")
    reached = cast(EntryOptions, options)
    return Entry(
        ObjectId(), "0123456789abcdef01", "001", recipient, domain, datetime.now(UTC), options=reached
    )


def nobody_here(address: str) -> bool:
    return False


def make_carrier(
    dns: FakeDns,
    *,
    port: int = 25,
    smart_host: SmartHost | None = None,
    tls: Tls = Tls.OPPORTUNISTIC,
    is_here: Callable[[str], bool] = nobody_here,
    lmtp: tuple[str, int] | None = None,
    allow_private: bool = True,
    timeouts: Timeouts = SHORT,
    **opener: Any,
) -> Carrier:
    """A carrier that asks a fake DNS."""
    routes = Routes(is_here=is_here, lmtp=lmtp, smart_host=smart_host, tls=tls, port=port)
    hosts = Hosts(dns, allow_private=allow_private)
    _carriers.append(Carrier(routes, hosts, Opener("relay.example.com", timeouts, **opener)))
    return _carriers[-1]


def to_sinks(*sinks: Sink | Scripted, **options: Any) -> Carrier:
    """A carrier for which `example.org` has these sinks as its only mail exchangers, in this order."""
    hosts = [getattr(server, "host", "127.0.0.1") for server in sinks]
    records: dict[tuple[str, str], list[str]] = {
        ("example.org", "MX"): [f"{n} mx{n}.example.org." for n, _ in enumerate(hosts)]
    }
    for number, host in enumerate(hosts):
        records[f"mx{number}.example.org", "AAAA" if ":" in host else "A"] = [host]
    return make_carrier(FakeDns(records), port=sinks[0].port, **options)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue_store(
    mongo: MongoClient[dict[str, Any]], databases: DatabaseNames, clock: Clock
) -> Iterator[Store]:
    """A store whose clock stands."""
    with emptied(mongo, databases):
        yield Store(mongo, databases, clock)


def put(
    store: Store,
    *recipients: str | Delivery,
    sender: str = "ada@example.com",
    raw: bytes = RAW,
    send_at: datetime | None = None,
    user: ObjectId | None = None,
    unsigned: bool = False,
) -> str:
    """Queue a message, one that is forwarded where there are deliveries; its queue id."""
    going = [r for r in recipients if isinstance(r, Delivery)]
    submission = Submission(
        user={"_id": user or ObjectId(), "username": "ada", "address": "ada@example.com"},
        raw=raw,
        sender=sender,
        recipients=[r.recipient if isinstance(r, Delivery) else r for r in recipients],
        send_at=send_at or store.clock(),
        parent=ObjectId(),
        origin="127.0.0.1",
        deliveries=going,
        unsigned=unsigned,
    )
    with enqueueing(store, submission) as queued:
        queued.release()
    return queued.id


class Bench:
    """A relay over a store, one round of which can be run."""

    def __init__(self, store: Store, carrier: Carrier, **options: Any) -> None:
        self.store = store
        self.carrier = carrier
        self.lease = Lease(store.queue_claims, timedelta(seconds=options.pop("lease", 60)))
        notes = Outcomes(store, self.lease, "relay.example.com", sleep=lambda seconds: None)
        self.worker = Worker(Source(store), carrier, notes, self.lease)
        self.relay = Relay(store, carrier, self.worker, self.lease, poll=0.02, **options)

    def round(self) -> None:
        """Deliver all that is due now, one after the other."""
        while claimed := self.store.queue_claims.claim_next(self.lease.owner, self.lease.span):
            self.worker.handle(claimed)
        self.carrier.sessions.close()


def rows(store: Store) -> list[Row]:
    """The recipients in the queue, in the order of their ids."""
    return list(store.databases.sender["zone-queue"].find().sort([("id", 1), ("seq", 1)]))


def files(store: Store) -> tuple[int, int]:
    """How many messages and pieces of messages there are."""
    sender = store.databases.sender
    return sender["mail.files"].count_documents({}), sender["mail.chunks"].count_documents({})

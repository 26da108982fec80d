"""The relay: claims what is due, has it delivered, and notes at once what became of it.

What can happen to a message twice: a process that dies between a server's acceptance and our note of it sends to that
one recipient again. Nothing is ever forgotten: until the note, the recipient stands in the queue, and the claim of a
relay that is dead lapses.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait

import structlog

from delivery.relay.connections import Opener, Sessions
from delivery.relay.hosts import Host, Hosts
from delivery.relay.message import Message, Source
from delivery.relay.outcomes import Lease, Outcomes
from delivery.relay.post import Poster
from delivery.relay.replies import Failure, Reply, permanent, temporary
from delivery.relay.routes import Post, Route, Routes
from mail.compose import ascii_address
from problems import summary
from security.normalize import domain_of
from storage.base.database import DatabaseError
from storage.queue.claims import Entry
from storage.store import Store

log = structlog.get_logger()

_POLL_SECONDS = 1.0
_TURN = 50
"""How many messages a domain gets before others have their turn."""


class Carrier:
    """Takes a message to a recipient, by the route that is theirs."""

    def __init__(self, routes: Routes, hosts: Hosts, opener: Opener, poster: Poster | None = None) -> None:
        self.routes = routes
        self._hosts = hosts
        self._poster = poster or Poster(hosts)
        self.sessions = Sessions(opener, self._find)

    def _find(self, route: Route) -> list[Host]:
        if route.domain:
            return self._hosts.of_domain(route.domain)
        return [self._hosts.named(route.host, trusted=route.trusted)]

    def carry(self, entry: Entry, message: Message) -> Reply:
        """Hand a message over for one recipient, whose domain is written in ASCII. Raises Failure."""
        route = self.routes.of(entry)
        if isinstance(route, Post):
            return self._poster.send(route.url, entry.recipient, message)
        recipient = ascii_address(entry.recipient)
        if not domain_of(
            recipient
        ).isascii():  # whoever takes it would read it as a domain of their own choice
            raise permanent("5.1.2", f"{domain_of(recipient)} is no domain")
        if not domain_of(message.sender).isascii():
            raise permanent("5.1.8", f"{domain_of(message.sender)} is no domain")
        return self.sessions.send(route, recipient, message)


class Worker:
    """Delivers to one claimed recipient, and has the outcome noted."""

    def __init__(self, source: Source, carrier: Carrier, outcomes: Outcomes, lease: Lease) -> None:
        self._source = source
        self._carrier = carrier
        self._outcomes = outcomes
        self._lease = lease

    def handle(self, entry: Entry) -> None:
        """Try to deliver, and note at once what became of it."""
        try:
            reply = self._attempt(entry)
        except DatabaseError as error:  # nothing was sent; the claim lapses
            log.error("a message cannot be read", queue_id=entry.queue_id, reason=summary(error))
        except Failure as failure:
            self._outcomes.failed(entry, failure.reply)
        except Exception as error:  # a fault of ours must not stop the queue, nor lose the recipient
            log.exception("an attempt broke off", queue_id=entry.queue_id, seq=entry.seq)
            self._outcomes.failed(entry, temporary("4.3.0", f"Internal error: {type(error).__name__}").reply)
        else:
            self._outcomes.delivered(entry, reply)

    def _attempt(self, entry: Entry) -> Reply:
        message = self._source.read(entry.queue_id)
        if message is None:
            raise temporary("4.3.0", "The message is not in the store")
        if not self._lease.is_held:
            raise temporary("4.3.0", "The claim of the relay had lapsed")
        return self._carrier.carry(entry, message)


class Relay:
    """Delivers the queue with up to `connections` at once, `per_domain` of them to one domain, until it is stopped.

    Domains have their turns one after the other, so that a long queue for one does not hold up the rest.
    """

    def __init__(
        self,
        store: Store,
        carrier: Carrier,
        worker: Worker,
        lease: Lease,
        *,
        connections: int = 20,
        per_domain: int = 5,
        poll: float = _POLL_SECONDS,
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._worker = worker
        self._lease = lease
        self._connections = connections
        self._per_domain = per_domain
        self._poll = poll
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="relay")
        self._lock = threading.Lock()
        self._at_work: Counter[str] = Counter()
        self._working: set[Future[None]] = set()
        self._last_domain = ""
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._ended = threading.Event()

    def run(self) -> None:
        """Deliver until `stop`; then finish what has begun."""
        keeper = threading.Thread(target=self._keep_lease, name="relay-lease", daemon=True)
        keeper.start()
        while not self._stopping.is_set():
            self._woken.clear()
            self._carrier.sessions.look_after()
            if not self._begin_one():
                self._woken.wait(self._poll)
        wait(list(self._working))
        self._pool.shutdown()
        self._carrier.sessions.close()
        self._ended.set()
        keeper.join()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()
        self._woken.set()

    def abort(self) -> None:
        """Cut all connections; what they were at is tried again later."""
        self._carrier.sessions.abort()

    def _keep_lease(self) -> None:
        """Until the last has finished; a database that is away for a while ends nothing."""
        while True:
            try:
                self._lease.renew()
            except DatabaseError as error:
                log.error("the claims could not be renewed", reason=summary(error))
            if self._ended.wait(self._lease.span.total_seconds() / 4):
                return

    def _begin_one(self) -> bool:
        """Hand a due entry to a free worker. Return whether there were both."""
        try:
            entry = self._claim()
        except DatabaseError as error:
            log.error("the queue cannot be read", reason=summary(error))
            return False
        if entry is None:
            return False
        self._last_domain = entry.domain
        with self._lock:
            self._at_work[entry.domain] += 1
        work = self._pool.submit(self._serve, entry)
        self._working.add(work)
        work.add_done_callback(self._done)
        return True

    def _claim(self) -> Entry | None:
        if len(self._working) >= self._connections or not self._lease.is_held:
            return None
        if not self._store.queue_claims.has_due():
            return None
        with self._lock:
            busy = [domain for domain, count in self._at_work.items() if count >= self._per_domain]
        return self._store.queue_claims.claim_next(
            self._lease.owner, self._lease.span, after=self._last_domain, busy=busy
        )

    def _serve(self, entry: Entry) -> None:
        """Deliver an entry, then others of the same domain, which go over the same connection."""
        following: Entry | None = entry
        left = _TURN
        try:
            while following:
                self._worker.handle(following)
                left -= 1
                following = self._claim_more(entry.domain) if left else None
        finally:
            with self._lock:
                self._at_work[entry.domain] -= 1
                self._at_work += Counter()  # without those that are at zero

    def _claim_more(self, domain: str) -> Entry | None:
        if self._stopping.is_set() or not self._lease.is_held:
            return None
        try:
            return self._store.queue_claims.claim_for_domain(self._lease.owner, self._lease.span, domain)
        except DatabaseError as error:
            log.error("the queue cannot be read", reason=summary(error))
            return None

    def _done(self, work: Future[None]) -> None:
        """Called when a turn is over, successful or not."""
        self._working.discard(work)
        self._woken.set()
        if error := work.exception():
            log.error("a turn broke off", exc_info=error)

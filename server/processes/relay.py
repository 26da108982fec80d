"""`mallard relay`: the process that sends what is queued."""

from __future__ import annotations

import signal
import socket
from datetime import timedelta

import gevent
import structlog

from delivery.relay.connections import Opener
from delivery.relay.hosts import Hosts
from delivery.relay.message import Signer, Source
from delivery.relay.outcomes import Lease, Outcomes
from delivery.relay.relay import Carrier, Relay, Worker
from delivery.relay.routes import Routes, SmartHost, Tls, registered_here
from delivery.relay.session import Timeouts
from network.dns import SystemDns
from server.processes.store import open_part
from server.settings.table import Settings
from storage.store import Store

log = structlog.get_logger()

_EVERYWHERE = ("0.0.0.0", "::")


def run_relay(settings: Settings) -> None:
    """Send until SIGTERM or SIGINT; what has begun is finished, within the time that a stop has."""
    store, _ = open_part(settings)
    relay = make_relay(settings, store)

    def stop() -> None:
        relay.stop()
        gevent.spawn_later(settings.graceful_timeout, relay.abort)

    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop)
    log.info("sending", smart_host=settings.relay or None, name=relay_name(settings))
    relay.run()


def make_relay(settings: Settings, store: Store) -> Relay:
    """The relay that the settings describe."""
    lease = Lease(store.queue_claims, timedelta(seconds=settings.relay_lease))
    hosts = Hosts(SystemDns(), allow_private=settings.allow_private_targets)
    routes = make_routes(settings, store)
    carrier = Carrier(routes, hosts, Opener(relay_name(settings), _timeouts(settings)))
    worker = Worker(
        Source(store, Signer(store)), carrier, Outcomes(store, lease, relay_name(settings)), lease
    )
    per_domain = settings.relay_connections_per_domain
    connections = settings.relay_connections
    return Relay(
        store,
        carrier,
        worker,
        lease,
        connections=min(connections, per_domain) if routes.through_one else connections,
        per_domain=per_domain,
    )


def make_routes(settings: Settings, store: Store) -> Routes:
    """Where mail goes by the settings."""
    host, port = _host_and_port(settings.relay) if settings.relay else ("", 0)
    login = (settings.relay_user, settings.relay_password) if settings.relay_user else None
    return Routes(
        is_here=registered_here(store),
        lmtp=_reachable(*_host_and_port(settings.lmtp_bind)),
        smart_host=SmartHost(host=host, port=port, login=login) if host else None,
        tls=Tls(settings.relay_tls),
    )


def relay_name(settings: Settings) -> str:
    """What the relay calls itself."""
    return settings.relay_name or socket.getfqdn()


def _timeouts(settings: Settings) -> Timeouts:
    step = float(settings.relay_timeout)
    return Timeouts(connect=max(1.0, step / 4), command=step, content=step * 5)


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _reachable(host: str, port: int) -> tuple[str, int]:
    """Where a server that listens everywhere is reached from here."""
    return ("::1" if ":" in host else "127.0.0.1") if host in _EVERYWHERE else host, port

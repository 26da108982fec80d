"""`mallard lmtp`: a process that takes mail in, until it is asked to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from functools import partial

import structlog

from delivery.inbound.arrival import Reading
from delivery.inbound.circuit_breaker import CircuitBreaker
from delivery.inbound.lmtp import Connection
from delivery.inbound.received import ReceivedForm
from delivery.inbound.recipients import Recipients
from delivery.inbound.service import Service
from delivery.inbound.storing import Inbound
from network.dns import Dns, SystemDns
from server.processes.store import open_part
from server.settings.table import Settings, SettingsError
from storage.store import Store

log = structlog.get_logger()

_LOOKUP_THREADS = 4
_BACKLOG = 512


def run_lmtp(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what is being delivered then is delivered and acknowledged."""
    store, _ = open_part(settings)
    with (
        closing(store.databases.client),
        ThreadPoolExecutor(_LOOKUP_THREADS, "lookup") as lookups,
        ThreadPoolExecutor(settings.lmtp_threads, "delivery") as deliveries,
    ):
        service = partial(make_service, settings, store, CircuitBreaker(SystemDns()), lookups, deliveries)
        asyncio.run(_serve(settings, service))
    log.info("LMTP stopped")


def make_service(
    settings: Settings, store: Store, dns: Dns, lookups: Executor, deliveries: Executor
) -> Service:
    """The work behind the connections, as the settings want it."""
    name = settings.lmtp_name or socket.getfqdn()
    return Service(
        name=name,
        largest=settings.lmtp_max_size,
        clock=store.clock,
        recipients=Recipients(store, settings.lmtp_checks),
        reading=Reading(
            host=name,
            dns=dns if settings.verify_mail else None,
            authserv_id=settings.authserv_id,
            spam_fields=settings.spam_headers,
            received=ReceivedForm(settings.received_form),
        ),
        inbound=Inbound(store, settings.loop_secret or settings.secret),
        lookups=lookups,
        deliveries=deliveries,
    )


async def _serve(settings: Settings, make: Callable[[], Service]) -> None:
    loop = asyncio.get_running_loop()
    service = make()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    host, _, port = settings.lmtp_bind.rpartition(":")
    try:
        server = await loop.create_server(
            partial(Connection, service, loop), host.strip("[]"), int(port), backlog=_BACKLOG
        )
    except OSError as error:
        raise SettingsError(
            f"MALLARD_LMTP_BIND is {settings.lmtp_bind}: {error.strerror or error}"
        ) from error
    log.info("taking mail by LMTP", bind=settings.lmtp_bind)
    await asked.wait()
    server.close()
    await service.stop(settings.graceful_timeout)

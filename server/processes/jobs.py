"""`mallard jobs`: the process that runs background work and delivers webhooks, until it is asked to stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import structlog

from jobs.runner import Runner, ignore
from jobs.webhooks.loop import Webhooks
from network.post import Poster
from network.ssrf_guard import addresses_of, public_addresses
from server.processes.store import open_part
from server.settings.table import Settings
from storage.store import Store

log = structlog.get_logger()


def run_jobs(settings: Settings) -> None:
    """Run background work until SIGTERM or SIGINT; steps that have begun are finished."""
    store, metrics = open_part(settings)
    on_end = metrics.job_ended if metrics else ignore
    parts = (Runner(store, sweeps=settings.sweep, on_end=on_end), _webhooks(store, settings))
    asked = threading.Event()

    def stop(signal_number: int, frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for part in parts:
        part.start()
    log.info("running jobs", sweep=settings.sweep)
    while not asked.wait(1):
        pass
    for part in parts:
        part.stop()
    for part in parts:
        part.join()


def _webhooks(store: Store, settings: Settings) -> Webhooks:
    find = addresses_of if settings.allow_private_targets else public_addresses
    return Webhooks(store, Poster(find), settings.webhook_secret)

"""The loop that delivers to webhooks: many targets at once, each of them few at a time.

A slow target keeps at most `_PER_TARGET` of the threads waiting, so that the others are served as if it were not
there; what is bounded is bounded in each process.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import structlog

from jobs.webhooks.delivery import Delivery, Sender
from storage.events.webhook_queue import Lane
from storage.store import Store

log = structlog.get_logger()

_THREADS, _PER_TARGET = 16, 2
_PAUSE_SECONDS = 1.0


class Webhooks:
    """Finds what is new, takes lanes that are due, and has threads deliver them, until it is stopped."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        secret: str = "",
        *,
        threads: int = _THREADS,
        per_target: int = _PER_TARGET,
        pause: float = _PAUSE_SECONDS,
    ) -> None:
        self._queue = store.webhook_queue
        self._delivery = Delivery(store, sender, secret, stopping=lambda: self._stop.is_set())
        self._size, self._per_target, self._pause = threads, per_target, pause
        self._stop = threading.Event()
        self._change = threading.Event()
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="webhook")
        self._thread = threading.Thread(target=self._run, name="webhooks")

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """Ask all to end; attempts that have begun are finished."""
        self._stop.set()
        self._change.set()

    def join(self) -> None:
        """Wait until all have ended."""
        self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._change.clear()
            try:
                found = self._queue.discover()
                started = self._start_due()
            except Exception as error:
                log.error("webhooks could not be looked at", exc_info=error)
                found = started = 0
            if not found and not started:
                self._change.wait(self._pause)

    def _start_due(self) -> int:
        """Hand lanes that are due to threads that are free; how many."""
        started = 0
        while not self._stop.is_set() and (busy := self._busy()) is not None:
            lane = self._queue.claim(busy)
            if not lane:
                break
            with self._lock:
                self._running[lane.target] += 1
            self._pool.submit(self._deliver, lane)
            started += 1
        return started

    def _busy(self) -> list[str] | None:
        """Targets that have all the threads they may have; None while no thread is free."""
        with self._lock:
            if self._running.total() >= self._size:
                return None
            return [target for target, count in self._running.items() if count >= self._per_target]

    def _deliver(self, lane: Lane) -> None:
        try:
            self._delivery.run(lane)
        except Exception as error:
            log.error("a lane of webhooks failed", lane=lane.id, exc_info=error)
        finally:
            with self._lock:
                self._running[lane.target] -= 1
                self._running += Counter()  # without those at zero
            self._change.set()

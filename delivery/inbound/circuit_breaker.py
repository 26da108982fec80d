"""A circuit breaker for the DNS: when it does not answer, mail does not wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from network.dns import Dns, DnsFault

log = structlog.get_logger()

_FAULTS_IN_A_ROW = 3
_PAUSE_SECONDS = 60.0


class CircuitBreaker:
    """Asks another DNS. After three faults in a row it is open: all questions fail at once, for a minute."""

    def __init__(self, dns: Dns, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._dns = dns
        self._monotonic = monotonic
        self._faults = 0
        self._not_before = 0.0

    def lookup(self, name: str, kind: str) -> list[str]:
        """See Dns."""
        if self._monotonic() < self._not_before:
            raise DnsFault("the DNS did not answer lately")
        try:
            records = self._dns.lookup(name, kind)
        except DnsFault:
            self._count_fault()
            raise
        self._faults = 0
        return records

    def _count_fault(self) -> None:
        self._faults += 1
        if self._faults >= _FAULTS_IN_A_ROW:
            self._faults = 0
            self._not_before = self._monotonic() + _PAUSE_SECONDS
            log.warning("the DNS does not answer, mail is not verified for a while", pause=_PAUSE_SECONDS)

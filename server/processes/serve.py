"""`mallard serve`: everything one machine needs, as processes that one parent starts, watches and stops."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from server.metrics.page import FOLDER, share_numbers, wants_metrics
from server.processes.mongod import Mongod, die_with_parent
from server.processes.store import open_store
from server.settings.loading import load_settings
from server.settings.table import Settings

log = structlog.get_logger()

_PARTS = ("api", "lmtp", "relay", "jobs")  # in the order in which they are started, and stopped
_WATCH_SECONDS = 0.2
_RESTART_SECONDS = 1.0


class AlreadyRunning(Exception):
    """Another `mallard serve` holds the state folder."""


@contextmanager
def state_folder(folder: Path) -> Iterator[Path]:
    """Hold the state folder for this process alone. Raises AlreadyRunning, naming the process that has it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(_running_text(folder, lock)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield folder


def _running_text(folder: Path, lock: IO[str]) -> str:
    lock.seek(0)
    return (
        f"A `mallard serve` (process {lock.read().strip() or 'unknown'}) already runs on {folder}. "
        "Stop it, or set MALLARD_STATE_DIR to another folder."
    )


class Supervisor:
    """Starts the parts, starts a part again that ends by itself, stops all of them in the right order."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mongod: Mongod | None = None
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self._enabled = [part for part in _PARTS if part != "relay" or settings.send]

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        with state_folder(self._settings.state_dir):
            try:
                self._start()
                self._watch()
            finally:
                self._shut_down()

    def _stop(self, signal_number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self) -> None:
        environ = dict(os.environ)
        if not self._settings.mongo_uri:
            self._mongod = Mongod(self._settings.state_dir / "mongod", self._settings.mongo_cache)
            self._mongod.start()
            environ["MALLARD_MONGO_URI"] = self._mongod.uri
        if wants_metrics(self._settings):
            share_numbers(self._settings.state_dir / "metrics")
            environ[FOLDER] = os.environ[FOLDER]
        self._environ = environ
        made = open_store(load_settings(self._environ)).ensure_indexes()
        log.info("database is ready", own_mongod=self._mongod is not None, indexes_made=len(made))
        for part in self._enabled:
            self._spawn(part)
        url = self._settings.url
        log.info("serving", api=url, ui=f"{url}/ui/", lmtp=self._settings.lmtp_bind)

    def _spawn(self, part: str) -> None:
        environ = self._environ if part == "api" else {**self._environ, "MALLARD_METRICS_BIND": ""}
        self._parts[part] = subprocess.Popen(
            [sys.executable, "-m", "commands", part], env=environ, preexec_fn=die_with_parent
        )

    def _goes_on(self) -> bool:
        """Return whether to go on, after a short wait: nobody has asked to stop."""
        time.sleep(_WATCH_SECONDS)
        return not self._stopping

    def _watch(self) -> None:
        while self._goes_on():
            if self._mongod and self._mongod.pid is None:
                log.error("mongod ended by itself, starting it again")
                self._mongod.start()
            for part in self._enabled:
                self._restart_if_ended(part)

    def _restart_if_ended(self, part: str) -> None:
        exit_code = self._parts[part].poll()
        if exit_code is not None:
            log.error("a part ended by itself, starting it again", part=part, exit_code=exit_code)
            time.sleep(_RESTART_SECONDS)
            self._spawn(part)

    def _shut_down(self) -> None:
        """The API first, the database last, so that requests in flight still find it."""
        for part, process in self._parts.items():
            process.terminate()
            try:
                process.wait(self._settings.graceful_timeout + 10)
            except subprocess.TimeoutExpired:
                log.error("a part does not stop, ending it", part=part)
                process.kill()
                process.wait()
        if self._mongod:
            self._mongod.stop()
        log.info("stopped")

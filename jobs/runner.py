"""The loop that runs background work: tasks as they come, clean-up and search tokens every now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import structlog

from jobs.accounts import delete_user, recount_all
from jobs.audit import copy_existing
from jobs.mailboxes import clear_mailbox, date_by_retention
from jobs.progress import Progress, Stopped, TaskData
from jobs.restore import restore_deleted
from jobs.search_apply import apply_to_found
from jobs.sweep import Sweep, fill_search_tokens, sweep_queue
from storage.base.tasks import LeaseLost, Task
from storage.store import Store

Result = TypeVar("Result")

log = structlog.get_logger()

_PAUSE_SECONDS = 2.0
_FIRST_PERIOD_SECONDS, _PERIOD_SECONDS = 60.0, 15 * 60.0
_ERROR_LENGTH = 500

Job = Callable[[Store, TaskData, Progress], None]

JOBS: Mapping[str, Job] = {
    "audit": copy_existing,
    "clear-folder": clear_mailbox,
    "mailbox-retention": date_by_retention,
    "quota": recount_all,
    "restore": restore_deleted,
    "search-apply": apply_to_found,
    "user-delete": delete_user,
}
"""Which function does which kind of task. Kinds that are not here are left to WildDuck's runners."""


def ignore(kind: str, result: str, seconds: float) -> None:
    """Nobody counts jobs."""


class Runner:
    """Runs tasks in `threads` threads and periodic work in one of its own, until it is stopped."""

    def __init__(
        self,
        store: Store,
        jobs: Mapping[str, Job] = JOBS,
        *,
        threads: int = 2,
        sweeps: bool = True,
        pause: float = _PAUSE_SECONDS,
        on_end: Callable[[str, str, float], None] = ignore,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._pause = pause
        self._on_end = on_end
        self._stop = threading.Event()
        self._sweeps = sweeps
        loops = [*[self._work] * threads, self._run_periodic_work]
        self._threads = [threading.Thread(target=loop, name=f"job-{n}") for n, loop in enumerate(loops)]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask all to end after their present step; their tasks are given back."""
        self._stop.set()

    def join(self) -> None:
        """Wait until all have ended."""
        for thread in self._threads:
            thread.join()

    def run_one(self) -> bool:
        """Return whether a task was due, having run the one that was due the longest."""
        task = self._store.tasks.claim(self._jobs.keys())
        if task:
            started = time.monotonic()
            self._on_end(task.kind, self._run(task), time.monotonic() - started)
        return task is not None

    def _run(self, task: Task) -> str:
        """How it ended."""
        log.info("job starts", task=str(task.id), kind=task.kind, attempt=task.attempts)
        try:
            self._jobs[task.kind](self._store, task.data, Progress(self._store, task, self._stop.is_set))
            self._store.tasks.finish(task)
        except Stopped:
            self._store.tasks.release(task)
            return "stopped"
        except LeaseLost as error:
            log.warning("job goes on elsewhere", task=str(task.id), reason=str(error))
            return "lost"
        except Exception as error:
            log.error("job failed", task=str(task.id), kind=task.kind, exc_info=error)
            self._store.tasks.fail(task, f"{type(error).__name__}: {error}"[:_ERROR_LENGTH])
            return "failed"
        log.info("job is done", task=str(task.id), kind=task.kind)
        return "done"

    def _guarded(self, work: Callable[[], Result]) -> Result | None:
        """A loop survives any failure of one round, such as a database that is away."""
        try:
            return work()
        except Exception as error:
            log.error("background work failed", exc_info=error)
            return None

    def _work(self) -> None:
        while not self._stop.is_set():
            if not self._guarded(self.run_one):
                self._stop.wait(self._pause)

    def _run_periodic_work(self) -> None:
        wait = _FIRST_PERIOD_SECONDS
        while not self._stop.wait(wait):
            if self._sweeps:
                self._sweep()
            if left := self._guarded(lambda: sweep_queue(self._store, self._stop.is_set)):
                log.info("unfinished messages were removed from the queue", messages=left)
            if filled := self._guarded(lambda: fill_search_tokens(self._store, self._stop.is_set)):
                log.info("messages got search tokens", messages=filled)
            wait = _PERIOD_SECONDS

    def _sweep(self) -> None:
        gone = self._guarded(Sweep(self._store, self._stop.is_set).run)
        if gone and any(gone.values()):
            log.info("swept", **gone)

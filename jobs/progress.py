"""How far a job is: stored after each step, so that another process can go on from there."""

from __future__ import annotations

from collections.abc import Callable

from storage.base.database import Document
from storage.base.tasks import Task
from storage.store import Store


class Stopped(Exception):
    """The process is asked to stop; the job goes on elsewhere, from its last step."""


class Progress:
    """The handle that a job gets beside its data."""

    def __init__(self, store: Store, task: Task, stopping: Callable[[], bool] = lambda: False) -> None:
        self._tasks = store.tasks
        self._task = task
        self._stopping = stopping
        self.task = task.id
        self.resume: Document = dict(task.resume)

    def step(self, resume: Document, done: int | None = None, total: int | None = None) -> None:
        """Say that a step is done and where to take the work up again; the step just done is not repeated then.

        Raises LeaseLost or Stopped, which a job lets pass.
        """
        self.resume = resume
        self._tasks.advance(self._task, resume, done, total)
        if self._stopping():
            raise Stopped

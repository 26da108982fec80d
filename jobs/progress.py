"""How far a job is: stored after each step, so that another process can go on from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from storage.base.tasks import Task
from storage.store import Store

TaskData: TypeAlias = Mapping[str, Any]
"""What a task is to be done for, as whoever added it has put it: `user`, `mailbox`, `action`, … by its kind."""
Resume: TypeAlias = Mapping[str, Any]
"""Where a job goes on, as its last step left it: in a form of each job's own, empty at the start."""


class Stopped(Exception):
    """The process is asked to stop; the job goes on elsewhere, from its last step."""


class Progress:
    """The handle that a job gets together with its data."""

    def __init__(self, store: Store, task: Task, stopping: Callable[[], bool] = lambda: False) -> None:
        self._tasks = store.tasks
        self._task = task
        self._stopping = stopping
        self.task = task.id
        self.resume: Resume = dict(task.resume)

    def step(self, resume: Resume, done: int | None = None, total: int | None = None) -> None:
        """Say that a step is done and where to take the work up again; the step just done is not repeated then.

        Raises LeaseLost or Stopped, which a job lets pass.
        """
        self.resume = resume
        self._tasks.advance(self._task, dict(resume), done, total)
        if self._stopping():
            raise Stopped

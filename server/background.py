"""`mallard jobs`: the runner of background work, and a look at what it has to do."""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from datetime import datetime
from types import FrameType
from typing import Any

import structlog
from bson import ObjectId

from jobs.runner import Runner, ignore
from jobs.webhooks.loop import Webhooks
from network.addresses import addresses_of, public_addresses
from network.post import Poster
from server.http.json import dumps
from server.processes.part import open_part
from server.processes.store import open_store
from server.settings.table import Settings
from storage.base.database import Document
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


def listing(settings: Settings, which: str) -> list[Document]:
    """Tasks, the longest due first: all that are to do, run, or have failed, or the `failed` or `finished` ones."""
    store = open_store(settings)
    with closing(store.databases.client):
        return store.tasks.finished() if which == "finished" else store.tasks.all(failed=which == "failed")


def as_lines(tasks: list[Document]) -> str:
    """A line for each task."""
    return "\n".join(_line(task) for task in tasks)


def show(settings: Settings, task: str) -> Document | None:
    """One task, also one that was done within the last day."""
    if not ObjectId.is_valid(task):
        return None
    store = open_store(settings)
    with closing(store.databases.client):
        return store.tasks.find(ObjectId(task))


def as_text(task: Document) -> str:
    """All that is known of a task, a line for each thing."""
    return "\n".join(f"{name}: {_value(value)}" for name, value in task.items() if value is not None)


def _value(value: Any) -> str:
    """On one line."""
    return " ".join(dumps(value).decode().split()).strip('"')


def _line(task: Document) -> str:
    progress = task.get("progress") or {}
    done = f"{progress['done']}/{progress.get('total', '?')}" if "done" in progress else "-"
    when: datetime = task["finished"] if "finished" in task else task["due"]
    facts = [str(task["id"]), task["task"], str(task["status"]), f"{when:%Y-%m-%dT%H:%M:%SZ}", done]
    return "  ".join([*facts, *([task["error"]] if "error" in task else [])])


def retry(settings: Settings, task: str) -> bool:
    """Start a failed task again, where it stood; whether there was one."""
    if not ObjectId.is_valid(task):
        return False
    store = open_store(settings)
    with closing(store.databases.client):
        return store.tasks.retry(ObjectId(task))

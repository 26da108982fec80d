"""A bare WSGI application that sends the same query and the same JSON, and does nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from pymongo import MongoClient, monitoring
from pymongo.database import Database

from bench.mailbox import DATABASE, open_store
from server.http.app import create_app
from server.http.json import dumps
from server.processes import logging as logs
from server.settings.table import Settings
from storage.store import Store

URI = os.environ["BENCH_URI"]
SENT_BY_DRIVER = {"lsid", "$clusterTime", "$db", "$readPreference", "txnNumber"}


class Recorder(monitoring.CommandListener):
    """Keeps the commands of one request."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.database_name == DATABASE:
            self.commands.append({k: v for k, v in event.command.items() if k not in SENT_BY_DRIVER})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Of no interest."""


def record(path: str) -> tuple[list[dict[str, Any]], Any]:
    """What Mallard asks the database for one request, and what it answers; the second request, caches being warm."""
    recorder = Recorder()
    store = open_store(URI)
    store = Store(MongoClient(URI, event_listeners=[recorder]), store.databases.names)
    client = create_app(Settings(), store).test_client()
    client.get(path)
    recorder.commands.clear()
    answer = client.get(path).get_data()
    return list(recorder.commands), orjson.loads(answer)


logs.configure("json", "error")
RECORDED = {path: record(path) for path in orjson.loads(os.environ["BENCH_PATHS"]).values()}
database: Database[dict[str, Any]] = MongoClient(URI)[DATABASE]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Replay the query, encode the answer."""
    query = environ["QUERY_STRING"]
    commands, answer = RECORDED[environ["PATH_INFO"] + (f"?{query}" if query else "")]
    for command in commands:
        database.command(command)
    body = dumps(answer)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]

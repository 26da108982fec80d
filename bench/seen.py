"""Mallard's application with metrics, request ids in the database and the slow-operation log, for the measurement."""

from __future__ import annotations

import os
import tempfile

os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()

from pymongo import MongoClient

from bench.mailbox import DATABASE
from server import logging as logs
from server.app import create_app
from server.metrics import Metrics
from server.settings import Settings
from server.watching import RequestWatch
from storage.database import DatabaseNames
from storage.store import Store

logs.configure("json", os.environ["MALLARD_LOG_LEVEL"])
metrics = Metrics()
watch = RequestWatch(comments=True, slow_ms=500, metrics=metrics)
store = Store(MongoClient(os.environ["BENCH_URI"]), DatabaseNames(main=DATABASE), watch=watch)
app = create_app(Settings(), store, metrics=metrics)

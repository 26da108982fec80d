"""Mallard's application, for the measurement."""

from __future__ import annotations

import os

from bench.mailbox import open_store
from server.http.app import create_app
from server.processes import logging as logs
from server.settings.table import Settings

logs.configure("json", os.environ["MALLARD_LOG_LEVEL"])
app = create_app(Settings(), open_store(os.environ["BENCH_URI"]))

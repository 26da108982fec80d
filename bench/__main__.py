"""`make bench`: Mallard's reads beside a bare WSGI application that sends the same query and the same JSON.

Both are served by gunicorn with one gevent worker, from one mongod. The bare application replays the very
commands that Mallard sent to the database for one request, and encodes the same answer; what lies between the two
is the price of routing, access, validation and shaping. Both are warmed up; rounds alternate, and the medians make
the ratio.

`python -m bench.logins` measures how much log-ins slow down the other requests of a worker.
`python -m bench.observability` measures what metrics, request ids and the slow-operation log cost.
`python -m bench.import_export` measures an export and an import of 5,000 messages.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import requests_per_second
from bench.mailbox import fill
from bench.serving import mongod, served

ROUNDS = 5
SECONDS = 3.0
WARMING_SECONDS = 1.0
CONNECTIONS = 16


def main() -> None:
    """Start everything, measure, print the ratios."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, mongod(Path(folder)) as uri:
        console.print("filling a mailbox with 1,000 messages …")
        paths = fill(uri)
        with served("bench.ours", uri, paths) as ours, served("bench.bare", uri, paths) as bare:
            table = Table("operation", "bare req/s", "Mallard req/s", "ratio", title="one gevent worker each")
            for name, path in paths.by_name().items():
                rates = measure(path, ours, bare)
                table.add_row(name, f"{rates[1]:,.0f}", f"{rates[0]:,.0f}", f"{rates[0] / rates[1]:.2f}")
            console.print(table)


def measure(path: str, ours: int, bare: int) -> tuple[float, float]:
    """Median requests a second of (ours, bare)."""
    for port in (ours, bare):
        requests_per_second(port, path, CONNECTIONS, WARMING_SECONDS)
    rounds = [
        tuple(requests_per_second(port, path, CONNECTIONS, SECONDS) for port in (ours, bare))
        for _ in range(ROUNDS)
    ]
    return statistics.median(r[0] for r in rounds), statistics.median(r[1] for r in rounds)


main()

"""What seeing costs: `python -m bench.seeing`.

The same application twice, without anything watching and with metrics, request ids in the database and the
slow-operation log. Rounds alternate; the processor time that each server took for a request says more than
requests a second where the machine has other work.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import requests_per_second
from bench.mailbox import fill
from bench.serving import mongod, processor_seconds, served

ROUNDS, SECONDS, CONNECTIONS = 7, 3.0, 8


def main() -> None:
    """Start both, measure, print the ratios."""
    with tempfile.TemporaryDirectory() as folder, mongod(Path(folder)) as uri:
        paths = fill(uri)
        with served("bench.ours", uri, paths) as blind, served("bench.seen", uri, paths) as seeing:
            table = Table("operation", "blind µs", "seeing µs", "ratio", "blind req/s", "seeing req/s")
            for name, path in paths.by_name().items():
                table.add_row(name, *_row(path, blind, seeing))
            Console().print(table)


def _row(path: str, blind: int, seeing: int) -> list[str]:
    measured: list[list[tuple[float, float]]] = [[], []]
    for _ in range(ROUNDS + 1):
        for which, port in enumerate((blind, seeing)):
            measured[which].append(_measure(port, path))
    times, rates = (
        [statistics.median(each[what] for each in one[1:]) for one in measured] for what in (0, 1)
    )
    return [
        *(f"{t * 1e6:,.0f}" for t in times),
        f"{times[1] / times[0]:.3f}",
        *(f"{r:,.0f}" for r in rates),
    ]


def _measure(port: int, path: str) -> tuple[float, float]:
    """Processor seconds a request (the warm-up is counted on both sides), and requests a second."""
    before = processor_seconds(port)
    rate = requests_per_second(port, path, CONNECTIONS, SECONDS)
    return (processor_seconds(port) - before) / (rate * (SECONDS + 0.5)), rate


main()

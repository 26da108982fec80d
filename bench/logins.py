"""`python -m bench.logins`: how long getUser takes alone, and while 50 people log in at once.

One gevent worker serves both. A log-in costs some tens of milliseconds of hashing, which must go on in threads
beside the event loop: hashed in the loop itself, 50 of them would hold all other requests up until the last.
`make bench` does not run this.
"""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bson import ObjectId
from rich.console import Console
from rich.table import Table

from bench.mailbox import Paths, open_store
from bench.serving import mongod, served
from handlers.call import Call
from handlers.users import create_user

LOGINS = 50
PASSWORD = "correct horse battery"
_ALONE_SECONDS = 3.0
_ROUNDS = 5


def main() -> None:
    """Start everything, measure, print medians, 95th percentiles and their ratios."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, mongod(Path(folder)) as uri:
        user = make_accounts(uri)
        path = f"/users/{user}"
        with served("bench.ours", uri, Paths(path, path, path)) as port:
            alone, together, seconds = measure(port, path)
    table = Table("getUser", "alone", f"during {LOGINS} log-ins", "ratio", title="one gevent worker, in ms")
    for name, of in (("median", statistics.median), ("95th percentile", percentile_95)):
        table.add_row(name, f"{of(alone):.1f}", f"{of(together):.1f}", f"{of(together) / of(alone):.1f}")
    console.print(table)
    console.print(
        f"{LOGINS} log-ins took {statistics.median(seconds):.2f} s; {len(alone)} and {len(together)} reads"
    )


def make_accounts(uri: str) -> ObjectId:
    """An account that is read, which is its id, and those that log in."""
    store = open_store(uri)
    store.ensure_indexes()
    call = Call(store=store)
    names = ["ada", *(f"user{number}" for number in range(LOGINS))]
    bodies = [{"username": name, "password": PASSWORD, "address": f"{name}@example.com"} for name in names]
    users = [ObjectId(create_user(call=call, body=body)["id"]) for body in bodies]
    return users[0]


def percentile_95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def measure(port: int, path: str) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of reads alone and during log-ins, and the seconds that each burst of log-ins took."""
    burst(port)
    end = time.perf_counter() + _ALONE_SECONDS
    alone = reads(port, path, until=lambda: time.perf_counter() > end)
    together: list[float] = []
    seconds: list[float] = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(burst, port)
            together += reads(port, path, until=running.done)
            running.result()
        seconds.append(time.perf_counter() - begun)
    return alone, together, seconds


def reads(port: int, path: str, until: Callable[[], bool]) -> list[float]:
    """Milliseconds of one read after the other, on one connection."""
    times = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while not until():
        begun = time.perf_counter()
        send(connection, "GET", path)
        times.append((time.perf_counter() - begun) * 1000)
    connection.close()
    return times


def burst(port: int) -> None:
    """All log in at once."""
    with ThreadPoolExecutor(LOGINS) as pool:
        for outcome in [pool.submit(log_in, port, number) for number in range(LOGINS)]:
            outcome.result()


def log_in(port: int, number: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    send(connection, "POST", "/authenticate", {"username": f"user{number}", "password": PASSWORD})
    connection.close()


def send(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> None:
    """Send a request and read the answer, which must be a good one."""
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"not measured, the answer was {text[:500]!r}")


if __name__ == "__main__":
    main()

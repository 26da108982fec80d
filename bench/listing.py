"""`python -m bench.listing`: pages and searches of a mailbox of 100,000 messages beside those of one of 1,000.

Each is the handler's own call, the median of some rounds. What the database did for it comes from its profiler:
documents and keys examined, and whether a collection was scanned. What a page shows is the same in both, so a cost
that grows with the mailbox is a fault. A smaller number of messages may be given: `python -m bench.listing 20000`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import ObjectId
from rich.console import Console
from rich.table import Table

from bench.filling import fill, make_user
from bench.mailbox import open_store
from bench.serving import mongod
from handlers.call import Call
from handlers.messages import get_messages, search_messages
from storage.base.paging import Paging
from storage.store import Store

LARGE, SMALL = 100_000, 1000
ROUNDS = 9
_DEEP = {LARGE: 100, SMALL: 40}
_TEXT = {"from": "unusual", "subject": "seldom", "query": "quokka"}

Work = Callable[[Call, ObjectId, ObjectId], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call took."""

    milliseconds: float
    documents: int
    keys: int
    scans: bool
    found: bool


def main() -> None:
    """Fill both, measure, print."""
    large = int(sys.argv[1]) if len(sys.argv) > 1 else LARGE
    console = Console()
    with tempfile.TemporaryDirectory() as folder, mongod(Path(folder)) as uri:
        store = open_store(uri)
        store.ensure_indexes()
        places = []
        for name, count in (("small", SMALL), ("large", large)):
            begin = time.monotonic()
            user = make_user(store, name)
            places.append((user, fill(store, user, count)["_id"]))
            console.print(f"{count:,} messages made in {time.monotonic() - begin:.0f} s")
        console.print(_table(store, large, places))


def _table(store: Store, large: int, places: list[tuple[ObjectId, ObjectId]]) -> Table:
    columns = [f"{count:,}: {what}" for count in (SMALL, large) for what in ("ms", "documents / keys")]
    table = Table("operation", *columns, "scan", title=f"median of {ROUNDS}")
    for name, work in works(store, places).items():
        costs = [measure(store, work, *place) for place in places]
        cells = [text for c in costs for text in (_time(c), f"{c.documents} / {c.keys}")]
        table.add_row(name, *cells, "YES" if any(c.scans for c in costs) else "none")
    return table


def _time(cost: Cost) -> str:
    """A search that found nothing in its time was cut short."""
    return f"{cost.milliseconds:.1f}" if cost.found else f"{cost.milliseconds:.1f} (cut)"


def works(store: Store, places: list[tuple[ObjectId, ObjectId]]) -> dict[str, Work]:
    """What is measured, by its name."""
    cursors = {mailbox: _cursor(store, user, mailbox) for user, mailbox in places}
    return {
        "first page": lambda call, user, box: get_messages(call, user, box, Paging()),
        "hundredth page (40th of 1,000)": lambda call, user, box: get_messages(
            call, user, box, Paging(next=cursors[box])
        ),
        "unseen page": lambda call, user, box: get_messages(call, user, box, Paging(), unseen=True),
        "page with thread counters": lambda call, user, box: get_messages(
            call, user, box, Paging(), thread_counters=True
        ),
        "search from": _search(**{"from": _TEXT["from"]}),
        "search subject": _search(subject=_TEXT["subject"]),
        "search text": _search(query=_TEXT["query"]),
        "search or: from, subject": _search(**{"or": {k: _TEXT[k] for k in ("from", "subject")}}),
        "search or: from, subject, text": _search(**{"or": _TEXT}),
        "search from, one in a hundred": _search(**{"from": "grace7@"}),
    }


def _search(**terms: Any) -> Work:
    return lambda call, user, box: search_messages(call, user, Paging(), **terms)


def _cursor(store: Store, user: ObjectId, mailbox: ObjectId) -> str:
    """The cursor that leads to the hundredth page, or the last but a few where there are not so many."""
    call, cursor = Call(store=store), None
    for _ in range(_DEEP[SMALL] if _is_small(store, mailbox) else _DEEP[LARGE] - 1):
        cursor = get_messages(call, user, mailbox, Paging(next=cursor))["nextCursor"]
    return str(cursor)


def _is_small(store: Store, mailbox: ObjectId) -> bool:
    rows = store.databases.main["messages"].find({"mailbox": mailbox}, {"uid": 1})
    return int(next(rows.sort("uid", -1).limit(1))["uid"]) <= SMALL


def measure(store: Store, work: Work, user: ObjectId, mailbox: ObjectId) -> Cost:
    """Once to warm up and once under the profiler, then rounds by the clock."""
    call = Call(store=store)
    main = store.databases.main
    work(call, user, mailbox)
    main.command("profile", 2)
    answer = work(call, user, mailbox)
    main.command("profile", 0)
    seen = [row for row in main["system.profile"].find({}) if "planSummary" in row]
    main.drop_collection("system.profile")
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work(call, user, mailbox)
        times.append((time.perf_counter() - begin) * 1000)
    return Cost(
        statistics.median(times),
        sum(row.get("docsExamined", 0) for row in seen),
        sum(row.get("keysExamined", 0) for row in seen),
        any("COLLSCAN" in row["planSummary"] for row in seen),
        bool(answer["results"]),
    )


if __name__ == "__main__":
    main()

"""`mallard webhooks`: who is told of events, what does not get through, and the page about events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime

from bson import ObjectId

from security.targets import without_password
from security.webhooks import hook_secret
from server.http.json import dumps
from server.processes.store import open_store
from server.settings.table import Settings
from storage.base.database import Document
from storage.store import Store

_MOST = 1000


class UnknownHook(Exception):
    """There is no such hook, or hooks have no secrets; the text says which."""


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    store = open_store(settings)
    with closing(store.databases.client):
        yield store


def listing(settings: Settings, *, as_json: bool) -> str:
    """All hooks, with how many events wait for each and why."""
    with _store(settings) as store:
        states = store.webhook_queue.states()
        rows = [_hook(hook, states.get(hook["_id"], {})) for hook in store.webhooks.all(_MOST)]
    return _written(rows, _hook_line, as_json=as_json)


def _hook(hook: Document, state: Document) -> Document:
    shown = {
        "id": hook["_id"],
        "user": hook.get("user"),
        "type": hook["type"],
        "url": without_password(hook["url"]),
        "waiting": state.get("waiting", 0),
        "failures": state.get("failures", 0),
    }
    return {**shown, **{name: state[name] for name in ("oldest", "next", "error") if state.get(name)}}


def _hook_line(hook: Document) -> str:
    words = [str(hook["id"]), hook["url"], ",".join(hook["type"]), str(hook["user"] or "all accounts")]
    words.append(f"{hook['waiting']} waiting")
    if hook["failures"]:
        words += [f"{hook['failures']} failures", f"next {_time(hook['next'])}", hook.get("error", "")]
    return "  ".join(words)


def dead(settings: Settings, hook: ObjectId | None, *, as_json: bool) -> str:
    """Events that were given up, the oldest first."""
    with _store(settings) as store:
        rows = store.webhook_queue.dead(hook, _MOST)
    return _written(rows, _dead_line, as_json=as_json)


def _dead_line(row: Document) -> str:
    about = [str(row["id"]), str(row["hook"]), row["type"], str(row["user"] or "-"), _time(row["died"])]
    return "  ".join([*about, f"{row['attempts']} attempts", row["error"]])


def _written(rows: Iterable[Document], line: object, *, as_json: bool) -> str:
    assert callable(line)
    return dumps(list(rows)).decode() if as_json else "\n".join(line(row) for row in rows)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def retry(settings: Settings, events: Iterable[ObjectId]) -> int:
    """Queue events that were given up once more, all of them if none is named; how many there were."""
    wanted = list(events)
    with _store(settings) as store:
        if wanted:
            return store.webhook_queue.revive(wanted)
        revived = 0
        while rows := store.webhook_queue.dead(None, _MOST):
            revived += store.webhook_queue.revive([row["id"] for row in rows])
        return revived


def secret(settings: Settings, hook: ObjectId) -> str:
    """What the receiver of a hook verifies signatures with. Raises UnknownHook."""
    if not settings.webhook_secret:
        raise UnknownHook("MALLARD_WEBHOOK_SECRET is not set, so nothing is signed")
    with _store(settings) as store:
        if not store.webhooks.find(hook):
            raise UnknownHook(f"There is no webhook {hook}")
    return hook_secret(settings.webhook_secret, str(hook))

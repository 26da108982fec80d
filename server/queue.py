"""What `mallard queue` does: mail that waits, as its operator sees it. Passwords are masked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from security.targets import without_password
from server.http.json import date_text, dumps
from server.running import running_store
from server.settings.table import Settings
from storage.base.database import Document


def listing(settings: Settings, *, domain: str, limit: int, as_json: bool) -> str:
    """Recipients that wait, the earliest due first: a line each, or all as JSON."""
    with running_store(settings) as store:
        rows = store.queue.waiting(domain=domain, limit=limit)
        shown = [_row(row, store.clock()) for row in rows]
    return dumps(shown).decode() if as_json else "\n".join(map(_line, shown))


def show(settings: Settings, queue_id: str, *, as_json: bool) -> str:
    """A message with its recipients, empty if there is none."""
    with running_store(settings) as store:
        envelope, rows = store.outbound.envelope(queue_id), store.queue.recipients(queue_id)
        recipients = [_row(row, store.clock()) for row in rows]
    if not envelope and not rows:
        return ""
    message = _message(queue_id, envelope or {}, recipients)
    return dumps(message).decode() if as_json else "\n".join(_lines(message))


def retry(settings: Settings, queue_id: str, numbers: Sequence[str]) -> int:
    """Have recipients tried again at once; how many."""
    with running_store(settings) as store:
        return store.queue.retry(queue_id, numbers)


def remove(settings: Settings, queue_id: str, numbers: Sequence[str]) -> int:
    """Remove recipients that are not being tried; how many."""
    with running_store(settings) as store:
        return store.queue.remove(queue_id, numbers)


def _row(row: Document, now: datetime) -> Document:
    deferred = row.get("_deferred") or {}
    shown = {
        "queueId": row["id"],
        "seq": row["seq"],
        "state": _state(row, now),
        "recipient": row["recipient"],
        "domain": row["domain"],
        "queued": row["queued"],
        "created": row["created"],
        "attempts": int(deferred.get("count") or 0),
        "response": str(deferred.get("response") or ""),
    }
    return {**shown, **_way(row), **({"log": deferred["log"]} if deferred.get("log") else {})}


def _way(row: Document) -> Document:
    """How a recipient is reached, if not by its domain."""
    way: Document = {}
    if row.get("targetUrl"):
        way["target"] = without_password(str(row["targetUrl"]))
    if row.get("mx"):
        scheme = "smtps" if row.get("mxSecure") else "smtp"
        login = f"{row['mxAuth'].get('user')}:***@" if row.get("mxAuth") else ""
        way["target"] = f"{scheme}://{login}{row['mx'][0]['exchange']}:{row.get('mxPort') or 25}"
    return way


def _state(row: Document, now: datetime) -> str:
    if row["locked"]:
        return "sending"
    if row["queued"] <= now:
        return "due"
    return "deferred" if row.get("_deferred") else "scheduled"


def _line(row: Document) -> str:
    facts = (
        row["queueId"],
        row["seq"],
        f"{row['state']:<9}",
        date_text(row["queued"]),
        f"{row['attempts']:>2}",
    )
    return "  ".join(filter(None, (*facts, row["recipient"], row["response"])))


def _message(queue_id: str, envelope: Document, recipients: list[Document]) -> Document:
    names = ("from", "reason", "userId", "origin", "messageId", "date", "bodySize")
    known = {name: envelope[name] for name in names if name in envelope}
    headers = [str(header["line"]) for header in envelope.get("headers") or ()]
    return {"queueId": queue_id, **known, "headers": headers, "recipients": recipients}


def _lines(message: Document) -> Iterable[str]:
    for name, value in message.items():
        if name not in ("headers", "recipients"):
            yield f"{name}: {value}"
    yield from ("", *(f"  {line}" for header in message["headers"] for line in header.splitlines()), "")
    for row in message["recipients"]:
        yield _line(row) + (f"  {row['target']}" if "target" in row else "")
        for attempt in row.get("log") or ():
            yield f"    {attempt.get('time', '')}  {attempt.get('host', '')}  {attempt.get('response', '')}"

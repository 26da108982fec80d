"""`mallard queue`: mail that waits to be sent, as its operator sees it. Passwords are masked."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NotRequired, TypedDict

import click

from commands.shared import json_option, print_json, settings_in_force
from commands.stores import running_store
from security.targets import without_password
from server.http.json import date_text
from storage.queue.documents import Attempt, Deferred, QueueEntry

_ENVELOPE = ("from", "reason", "userId", "origin", "messageId", "date", "bodySize")


class Recipient(TypedDict):
    """A recipient that waits, as JSON."""

    queueId: str
    seq: str
    state: str
    recipient: str
    domain: str
    queued: datetime
    """When the next attempt is due."""
    created: datetime
    attempts: int
    response: str
    """What the other server answered last."""
    target: NotRequired[str]
    """How the recipient is reached, if not by its domain."""
    log: NotRequired[Sequence[Attempt]]
    """Each attempt: `time`, `host`, `response`."""


@click.group()
def queue() -> None:
    """Look at mail that waits to be sent; have it tried again, or removed."""


@queue.command("list")
@click.option("--domain", default="", help="Only recipients of this domain.")
@click.option("--limit", default=100, show_default=True, help="At most so many, 0 for all.")
@json_option
def queue_list(domain: str, limit: int, as_json: bool) -> None:
    """List recipients, the earliest due first: id, number, state, next attempt, attempts so far, recipient, reply."""
    with running_store(settings_in_force()) as store:
        rows = store.outbound_queue.waiting(domain=domain, limit=limit)
        recipients = [_recipient(row, store.clock()) for row in rows]
    if as_json:
        print_json(recipients)
    else:
        click.echo("\n".join(map(_line, recipients)))


@queue.command("show")
@click.argument("queue_id")
@json_option
def queue_show(queue_id: str, as_json: bool) -> None:
    """Show a queued message: sender, header, and each recipient with what was tried. Exit status 1 if there is none."""
    with running_store(settings_in_force()) as store:
        envelope, rows = store.outbound_queue.envelope(queue_id), store.outbound_queue.recipients(queue_id)
        recipients = [_recipient(row, store.clock()) for row in rows]
    if not envelope and not rows:
        click.echo("No message in the queue has this id", err=True)
        sys.exit(1)
    known: Mapping[str, object] = envelope or {}
    facts = {"queueId": queue_id, **{name: known[name] for name in _ENVELOPE if name in known}}
    header = [str(field["line"]) for field in (envelope or {}).get("headers") or ()]
    if as_json:
        print_json({**facts, "headers": header, "recipients": recipients})
    else:
        click.echo("\n".join(_lines(facts, header, recipients)))


@queue.command("retry")
@click.argument("queue_id")
@click.argument("numbers", nargs=-1)
def queue_retry(queue_id: str, numbers: tuple[str, ...]) -> None:
    """Try a message again now, for all recipients or those with the NUMBERS. Exit status 1 if there is none."""
    with running_store(settings_in_force()) as store:
        count = store.outbound_queue.retry(queue_id, numbers)
    click.echo(f"{count} recipients are due now", err=True)
    sys.exit(0 if count else 1)


@queue.command("remove")
@click.argument("queue_id")
@click.argument("numbers", nargs=-1)
def queue_remove(queue_id: str, numbers: tuple[str, ...]) -> None:
    """Remove a message, for all recipients or those with the NUMBERS, unless it is being sent. No one is told.

    Exit status 1 if there was none to remove.
    """
    with running_store(settings_in_force()) as store:
        count = store.outbound_queue.remove(queue_id, numbers)
    click.echo(f"{count} recipients removed", err=True)
    sys.exit(0 if count else 1)


def _recipient(row: QueueEntry, now: datetime) -> Recipient:
    deferred: Deferred = row.get("_deferred") or {}
    recipient: Recipient = {
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
    if target := _target(row):
        recipient["target"] = target
    if deferred.get("log"):
        recipient["log"] = deferred["log"]
    return recipient


def _target(row: QueueEntry) -> str:
    """Return how a recipient is reached, empty if by its domain."""
    if row.get("mx"):
        scheme = "smtps" if row.get("mxSecure") else "smtp"
        login = f"{row['mxAuth'].get('user')}:***@" if row.get("mxAuth") else ""
        return f"{scheme}://{login}{row['mx'][0]['exchange']}:{row.get('mxPort') or 25}"
    return without_password(str(row["targetUrl"])) if row.get("targetUrl") else ""


def _state(row: QueueEntry, now: datetime) -> str:
    if row["locked"]:
        return "sending"
    if row["queued"] <= now:
        return "due"
    return "deferred" if row.get("_deferred") else "scheduled"


def _line(recipient: Recipient) -> str:
    facts = (
        recipient["queueId"],
        recipient["seq"],
        f"{recipient['state']:<9}",
        date_text(recipient["queued"]),
        f"{recipient['attempts']:>2}",
    )
    return "  ".join(filter(None, (*facts, recipient["recipient"], recipient["response"])))


def _lines(
    facts: Mapping[str, object], header: Sequence[str], recipients: Sequence[Recipient]
) -> Iterator[str]:
    yield from (f"{name}: {value}" for name, value in facts.items())
    yield from ("", *(f"  {line}" for field in header for line in field.splitlines()), "")
    for recipient in recipients:
        yield _line(recipient) + (f"  {recipient['target']}" if "target" in recipient else "")
        for attempt in recipient.get("log", ()):
            yield f"    {attempt.get('time', '')}  {attempt.get('host', '')}  {attempt.get('response', '')}"

"""`mallard webhooks`: which webhooks there are, what did not get through to them, and the page about events."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypedDict

import click
from bson import ObjectId

from commands.shared import json_option, print_json, settings_in_force
from commands.stores import configured_store
from security.targets import without_password
from security.webhooks import hook_secret
from server.pages.reference import events_page
from storage.events.documents import DeadEntry, WebhookRow, WebhookState
from storage.store import Store

_LIMIT = 1000


class Hook(TypedDict):
    """A webhook as JSON."""

    id: ObjectId
    user: ObjectId | None
    """None for a hook that is sent the events of all accounts."""
    type: Sequence[str]
    url: str
    waiting: int
    failures: int
    """Failed attempts in a row."""
    oldest: NotRequired[datetime]
    """Since when the first event has waited."""
    next: NotRequired[datetime]
    """When the next attempt is due."""
    error: NotRequired[str]


class _Id(click.ParamType[ObjectId]):
    """An id of 24 hexadecimal digits."""

    name = "id"

    def convert(self, value: Any, parameter: Any, context: Any) -> ObjectId:
        """The id; a usage error for anything else."""
        if not ObjectId.is_valid(value):
            self.fail(f"{value} is no id of 24 hexadecimal digits", parameter, context)
        return ObjectId(value)


@click.group()
def webhooks() -> None:
    """Look at webhooks and at the events that did not get through to them; `mallard jobs` delivers."""


@webhooks.command("list")
@json_option
def webhooks_list(as_json: bool) -> None:
    """List webhooks: id, URL, types, account, events that wait, failures in a row and the last error."""
    with configured_store() as store:
        states = store.webhook_queue.states()
        hooks = [_hook(row, states.get(row["_id"], {})) for row in store.webhooks.all(_LIMIT)]
    if as_json:
        print_json(hooks)
    else:
        click.echo("\n".join(map(_hook_line, hooks)))


def _hook(row: WebhookRow, state: WebhookState) -> Hook:
    hook: Hook = {
        "id": row["_id"],
        "user": row.get("user"),
        "type": row["type"],
        "url": without_password(row["url"]),
        "waiting": state.get("waiting", 0),
        "failures": state.get("failures", 0),
    }
    if state.get("oldest"):
        hook["oldest"] = state["oldest"]
    if state.get("next"):
        hook["next"] = state["next"]
    if state.get("error"):
        hook["error"] = state["error"]
    return hook


def _hook_line(hook: Hook) -> str:
    words = [str(hook["id"]), hook["url"], ",".join(hook["type"]), str(hook["user"] or "all accounts")]
    words.append(f"{hook['waiting']} waiting")
    if hook["failures"]:
        words += [f"{hook['failures']} failures", f"next {_time(hook['next'])}", hook.get("error", "")]
    return "  ".join(words)


@webhooks.command("dead")
@click.argument("webhook", required=False, type=_Id())
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the bodies.")
def webhooks_dead(webhook: ObjectId | None, as_json: bool) -> None:
    """List events that were given up, of WEBHOOK or of all: id, webhook, type, account, time, attempts, error."""
    with configured_store() as store:
        rows = store.webhook_queue.dead(webhook, _LIMIT)
    if as_json:
        print_json(rows)
    else:
        click.echo("\n".join(map(_dead_line, rows)))


def _dead_line(row: DeadEntry) -> str:
    about = [str(row["id"]), str(row["hook"]), row["type"], str(row["user"] or "-"), _time(row["died"])]
    return "  ".join([*about, f"{row['attempts']} attempts", row["error"]])


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@webhooks.command("retry")
@click.argument("event", nargs=-1, type=_Id())
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
def webhooks_retry(event: tuple[ObjectId, ...], everything: bool) -> None:
    """Send each EVENT again that was given up, in its old place before later ones."""
    if bool(event) == everything:
        raise click.UsageError("Name events, or give --all")
    with configured_store() as store:
        count = store.webhook_queue.requeue_dead(event) if event else sum(_revive_all(store))
    click.echo(f"{count} events queued again", err=True)
    sys.exit(0 if count else 1)


def _revive_all(store: Store) -> Iterable[int]:
    while rows := store.webhook_queue.dead(None, _LIMIT):
        yield store.webhook_queue.requeue_dead([row["id"] for row in rows])


@webhooks.command("secret")
@click.argument("webhook", type=_Id())
def webhooks_secret(webhook: ObjectId) -> None:
    """Print what the receiver of WEBHOOK verifies signatures with."""
    settings = settings_in_force(needs_database=True)
    if not settings.webhook_secret:
        raise click.ClickException("MALLARD_WEBHOOK_SECRET is not set, so nothing is signed")
    with configured_store() as store:
        if not store.webhooks.find(webhook):
            raise click.ClickException(f"There is no webhook {webhook}")
    click.echo(hook_secret(settings.webhook_secret, str(webhook)))


@webhooks.command("events")
def webhooks_events() -> None:
    """Print the page about events, docs/events.md."""
    click.echo(events_page(), nl=False)

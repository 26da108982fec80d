"""`mallard jobs`: the runner of background work, and a look at what it has to do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from bson import ObjectId

from commands.shared import json_option, print_json, settings_in_force
from commands.stores import configured_store
from server.http.json import dumps
from server.processes.jobs import run_jobs


@click.group(invoke_without_command=True)
@click.pass_context
def jobs(context: click.Context) -> None:
    """Run background work alone, on the MongoDB of MALLARD_MONGO_URI."""
    if context.invoked_subcommand is None:
        run_jobs(settings_in_force(needs_database=True))


@jobs.command("list")
@click.option(
    "--failed", "status", flag_value="failed", help="Only those given up; exit status 1 if there are any."
)
@click.option("--finished", "status", flag_value="finished", help="Those done within the last day.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with data and progress.")
def jobs_list(status: str | None, as_json: bool) -> None:
    """List the tasks that wait, run or have failed: id, kind, status, due time, progress, error."""
    with configured_store() as store:
        finished = status == "finished"
        tasks = store.tasks.finished() if finished else store.tasks.all(failed=status == "failed")
    if as_json:
        print_json(tasks)
    else:
        click.echo("\n".join(map(_line, tasks)))
    sys.exit(1 if status == "failed" and tasks else 0)


def _line(task: Mapping[str, Any]) -> str:
    progress = task.get("progress") or {}
    done = f"{progress['done']}/{progress.get('total', '?')}" if "done" in progress else "-"
    when: datetime = task["finished"] if "finished" in task else task["due"]
    facts = [str(task["id"]), task["task"], str(task["status"]), f"{when:%Y-%m-%dT%H:%M:%SZ}", done]
    return "  ".join([*facts, *([task["error"]] if "error" in task else [])])


@jobs.command("show")
@click.argument("task")
@json_option
def jobs_show(task: str, as_json: bool) -> None:
    """Show the task with the id TASK, how far it has come and what went wrong. Exit status 1 if there is none."""
    with configured_store() as store:
        row = store.tasks.find(ObjectId(task)) if ObjectId.is_valid(task) else None
    if row is None:
        click.echo("No task has this id", err=True)
        sys.exit(1)
    if as_json:
        print_json(row)
    else:
        click.echo("\n".join(f"{name}: {_value(value)}" for name, value in row.items() if value is not None))


def _value(value: Any) -> str:
    """Return a value on one line."""
    return " ".join(dumps(value).decode().split()).strip('"')


@jobs.command("retry")
@click.argument("task")
def jobs_retry(task: str) -> None:
    """Start the failed task with the id TASK again, where it stood. Exit status 1 if there is none."""
    with configured_store() as store:
        was_there = ObjectId.is_valid(task) and store.tasks.retry(ObjectId(task))
    click.echo("Task started again" if was_there else "No failed task has this id", err=True)
    sys.exit(0 if was_there else 1)

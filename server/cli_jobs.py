"""The commands `mallard jobs …`."""

from __future__ import annotations

import sys

import click

from server.cli_settings import settings_in_force


@click.group(invoke_without_command=True)
@click.pass_context
def jobs(context: click.Context) -> None:
    """Run background work alone, on the MongoDB of MALLARD_MONGO_URI."""
    if context.invoked_subcommand is None:
        from server.background import run_jobs

        run_jobs(settings_in_force(needs_database=True))


@jobs.command("list")
@click.option(
    "--failed", "which", flag_value="failed", help="Only those given up; exit status 1 if there are any."
)
@click.option("--finished", "which", flag_value="finished", help="Those done within the last day.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with data and progress.")
def jobs_list(which: str | None, as_json: bool) -> None:
    """List the tasks that wait, run or have failed: id, kind, status, due time, progress, error."""
    from server.background import as_lines, listing
    from server.http.json import dumps

    tasks = listing(settings_in_force(needs_database=True), which or "")
    click.echo(dumps(tasks).decode() if as_json else as_lines(tasks))
    sys.exit(1 if which == "failed" and tasks else 0)


@jobs.command("show")
@click.argument("task")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def jobs_show(task: str, as_json: bool) -> None:
    """Show the task with the id TASK, how far it has come and what went wrong. Exit status 1 if there is none."""
    from server.background import as_text, show
    from server.http.json import dumps

    found = show(settings_in_force(needs_database=True), task)
    if not found:
        click.echo("No task has this id", err=True)
        sys.exit(1)
    click.echo(dumps(found).decode() if as_json else as_text(found))


@jobs.command("retry")
@click.argument("task")
def jobs_retry(task: str) -> None:
    """Start the failed task with the id TASK again, where it stood. Exit status 1 if there is none."""
    from server.background import retry

    found = retry(settings_in_force(needs_database=True), task)
    click.echo("Task started again" if found else "No failed task has this id", err=True)
    sys.exit(0 if found else 1)

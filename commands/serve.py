"""`mallard serve`, and its parts alone: `api`, `lmtp`, `relay`.

What uses gevent is patched before anything else is imported, so these commands import what they run.
"""

from __future__ import annotations

import click

from commands.shared import settings_in_force


@click.command()
def serve() -> None:
    """Run everything that one machine needs: database, API, LMTP, relay, jobs."""
    from server.processes.mongod import MongodError
    from server.processes.serve import AlreadyRunning, Supervisor

    settings = settings_in_force()
    try:
        Supervisor(settings).run()
    except (AlreadyRunning, MongodError) as error:
        raise click.ClickException(str(error)) from error


@click.command()
def api() -> None:
    """Run the HTTP API alone, on the MongoDB of MALLARD_MONGO_URI."""
    from gevent import monkey

    monkey.patch_all()
    settings = settings_in_force(needs_database=True)
    from server.metrics.page import share_numbers, wants_metrics

    if wants_metrics(settings):
        share_numbers(settings.state_dir / f"metrics-{settings.bind.replace('/', '_')}")
    from server.processes.workers import Workers

    Workers(settings).run()


@click.command()
def lmtp() -> None:
    """Take mail in by LMTP, on the MongoDB of MALLARD_MONGO_URI."""
    settings = settings_in_force(needs_database=True)
    from server.processes.lmtp import run_lmtp

    run_lmtp(settings)


@click.command()
def relay() -> None:
    """Send what is queued, on the MongoDB of MALLARD_MONGO_URI."""
    from gevent import monkey

    monkey.patch_all()
    settings = settings_in_force(needs_database=True)
    from server.processes.relay import run_relay

    run_relay(settings)

"""`mallard demo`: an account with messages in a running server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from click.testing import Result

Run = Callable[..., Result]


def test_the_demo_needs_a_server(run: Run) -> None:
    failed = run("demo", MALLARD_BIND="127.0.0.1:1")
    assert failed.exit_code == 1
    assert "http://127.0.0.1:1 does not answer" in failed.stderr
    assert "Start `mallard serve` first" in failed.stderr


def test_the_demo_makes_an_account_with_three_messages(run: Run, address: str, make_app: Any) -> None:
    made = run("demo", "--address", "ada@example.com", MALLARD_BIND=address, MALLARD_TOKEN="static")
    assert made.exit_code == 0, made.output
    assert "An account with three messages: ada@example.com, password " in made.stdout
    assert 'curl -s -H "X-Access-Token: $MALLARD_TOKEN"' in made.stdout
    assert "static" not in made.stdout
    client = make_app().test_client()
    inbox = next(line.split()[-1] for line in made.stdout.splitlines() if line.startswith("The inbox"))
    listing = client.get(inbox.removeprefix(f"http://{address}")).json
    assert [row["subject"] for row in listing["results"]] == [
        "Re: Minutes of Tuesday", "Minutes of Tuesday", "Welcome aboard ⚓",
    ]  # fmt: skip
    attachment = next(
        line.split()[-1] for line in made.stdout.splitlines() if line.startswith("Its attachment")
    )
    assert client.get(attachment.removeprefix(f"http://{address}")).data.startswith(b"name,ship")

    twice = run("demo", "--address", "ada@example.com", MALLARD_BIND=address, MALLARD_TOKEN="static")
    assert twice.exit_code == 1
    assert twice.stderr.endswith("Error: POST /users: This username already exists\n")

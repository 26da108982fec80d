"""`mallard demo`: an account with a few real messages in a running server, through its API like anyone else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import click
import orjson

from commands.shared import settings_in_force
from server.settings.table import Settings

_SECONDS = 30


class DemoError(Exception):
    """The demo cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class _Api:
    base: str
    token: str

    def call(self, method: str, path: str, data: bytes, content_type: str = "application/json") -> Any:
        headers = {"Content-Type": content_type}
        if self.token:
            headers["X-Access-Token"] = self.token
        request = Request(self.base + path, data or None, headers, method=method)
        try:
            with urlopen(request, timeout=_SECONDS) as response:
                return orjson.loads(response.read())
        except HTTPError as error:
            raise DemoError(f"{method} {path}: {orjson.loads(error.read())['error']}") from error
        except URLError as error:
            raise DemoError(
                f"{self.base} does not answer ({error.reason}). Start `mallard serve` first."
            ) from error


@click.command()
@click.option("--address", default="grace@example.com", show_default=True, help="Address of the account.")
def demo(address: str) -> None:
    """Make an account with a few real messages in the running server, and print the lines to look at it."""
    try:
        click.echo(_make_demo(settings_in_force(), address))
    except DemoError as error:
        raise click.ClickException(str(error)) from error


def _make_demo(settings: Settings, address: str) -> str:
    """Make the account and its messages; returns the lines to look at them. Raises DemoError."""
    api = _Api(settings.url, settings.token)
    name, password = address.partition("@")[0].lower(), secrets.token_urlsafe(9)
    account = {"username": name, "password": password, "address": address, "name": name.title()}
    user = api.call("POST", "/users", orjson.dumps(account))["id"]
    inbox = api.call("GET", f"/users/{user}/mailboxes/resolve?path=INBOX", b"")["id"]
    for message in _messages(address):
        path = f"/users/{user}/mailboxes/{inbox}/messages?unseen=true"
        api.call("POST", path, message.as_bytes(), "message/rfc822")
    return _lines(api, address, password, user, inbox)


def _messages(address: str) -> Iterator[EmailMessage]:
    welcome = _message(address, "Grace Hopper <grace@example.com>", "Welcome aboard ⚓")
    welcome.set_content("Your new mailbox works. This message has text, HTML and an attachment.\n")
    welcome.add_alternative("<p>Your new mailbox <b>works</b>.</p>", subtype="html")
    welcome.add_attachment("name,ship\nGrace,Nanosecond\n", subtype="csv", filename="crew.csv")
    yield welcome
    minutes = _message(address, "Alan <alan@example.org>", "Minutes of Tuesday")
    minutes.set_content("We decided that the problem is undecidable.\n")
    yield minutes
    answer = _message(address, "Kurt <kurt@example.org>", "Re: Minutes of Tuesday")
    answer["In-Reply-To"] = answer["References"] = minutes["Message-ID"]
    answer.set_content("> undecidable\n\nI told you so in 1931.\n")
    yield answer


def _message(address: str, sender: str, subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, address, subject
    message["Message-ID"] = f"<{secrets.token_hex(8)}@example.com>"
    return message


def _lines(api: _Api, address: str, password: str, user: str, inbox: str) -> str:
    curl = "curl -s" + (' -H "X-Access-Token: $MALLARD_TOKEN"' if api.token else "")
    base = f"{api.base}/users/{user}"
    return f"""An account with three messages: {address}, password {password}

The account             {curl} {base}
Its mailboxes           {curl} '{base}/mailboxes?counters=true'
The inbox               {curl} {base}/mailboxes/{inbox}/messages
One message             {curl} {base}/mailboxes/{inbox}/messages/1
Its source              {curl} {base}/mailboxes/{inbox}/messages/1/message.eml
Its attachment          {curl} {base}/mailboxes/{inbox}/messages/1/attachments/ATT00001
A search                {curl} '{base}/search?query=undecidable'
Swagger UI              {api.base}/ui/"""

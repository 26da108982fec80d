"""What a new account finds in its mailboxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from delivery import welcome
from server.contract.operations import Contract
from server.http.app import create_app
from server.settings.table import Settings
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row

ACCOUNT = {"username": "ada", "password": "", "address": "ada@example.com", "name": "Ada <b> King"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    welcome.load.cache_clear()
    return tmp_path


@pytest.fixture
def client(store: Store, contract: Contract, folder: Path) -> Client:
    settings = Settings(validate_responses=True, log_level="error", welcome_dir=str(folder))
    app: Flask = create_app(settings, store, contract)
    return Client(app)


def put(folder: Path, name: str, **template: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(template), "utf-8")


def found(client: Client, store: Store, **account: Any) -> list[tuple[dict[str, Any], Row, str]]:
    """(message, mailbox, source) of all messages of a new account, in the order they came."""
    answer = client.post("/users", json={**ACCOUNT, **account})
    assert answer.status_code == 200, answer.json
    rows = list(store.databases.main["messages"].find({}).sort("_id", 1))
    boxes = {box["_id"]: box for box in store.databases.main["mailboxes"].find({})}
    return [(row, boxes[row["mailbox"]], b"".join(store.messages.source(row)).decode()) for row in rows]


def test_none_without_templates(client: Client, store: Store, folder: Path) -> None:
    put(folder, "a", subject="Hello", disabled=True)
    (folder / "b.html").write_text("<p>without a JSON</p>")
    assert found(client, store) == []


def test_one_that_is_filled_in(client: Client, store: Store, folder: Path) -> None:
    sender = {"name": "The [DOMAIN] team", "address": "hi@[DOMAIN]"}
    put(
        folder, "a", subject="Welcome [FNAME] [LNAME] [NO] [no]", text="[USERNAME] [EMAIL] at [DOMAIN]",
        to="[NAME] <[EMAIL]>", seen=True, flag=True, **{"from": sender},
    )  # fmt: skip
    (folder / "a.html").write_text('<p>[NAME]</p><img src="logo.png">')
    (folder / "a.logo.png").write_bytes(b"[NAME] stays")
    ((row, box, source),) = found(client, store)
    assert row["subject"] == "Welcome Ada King [NO] [no]"
    assert row["text"].strip() == "ada ada@example.com at example.com"
    assert "Ada &lt;b&gt; King" in row["html"][0]
    assert 'From: "The example.com team" <hi@example.com>' in source
    assert 'To: "Ada <b> King" <ada@example.com>' in source
    assert (box["path"], row["flags"], row["meta"]["source"]) == ("INBOX", ["\\Seen", "\\Flagged"], "AUTO")
    (logo,) = row["attachments"]
    assert logo["filename"] == "logo.png"
    assert logo["related"] is True
    user = store.databases.users["users"].find_one({})
    assert user
    assert user["storageUsed"] == row["size"]


def test_in_the_order_of_names_into_the_mailbox_that_is_named(
    client: Client, store: Store, folder: Path
) -> None:
    put(folder, "b", subject="second", mailbox="SENT")
    put(folder, "a", subject="first", attachments=[{"filename": "a.txt", "content": "[NAME]"}])
    messages = found(client, store, language="de", name="Ada")
    assert [(row["subject"], box["specialUse"]) for row, box, _ in messages] == [
        ("first", None),
        ("second", "\\Sent"),
    ]
    assert messages[0][0]["attachments"][0]["filename"] == "a.txt"
    assert 'To: "Ada" <ada@example.com>' in messages[1][2]


def test_bad_ones_are_passed_over(client: Client, store: Store, folder: Path) -> None:
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text("[1]")
    put(folder, "b2", subject="odd", to=5, attachments=[7])
    put(folder, "c", subject="no such mailbox", mailbox="archive")
    put(folder, "d", subject="no such file", attachments=[{"path": "/etc/passwd"}])
    put(folder, "e", subject="good\r\nBcc: x@example.com")
    ((_, _, source),) = found(client, store)
    assert "\nBcc" not in source


def test_none_for_an_account_without_an_address(client: Client, store: Store, folder: Path) -> None:
    put(folder, "a", subject="Hello")
    assert found(client, store, emptyAddress=True) == []


def test_a_name_of_blanks_is_none(client: Client, store: Store, folder: Path) -> None:
    put(folder, "a", subject="Hello [NAME] [FNAME]")
    ((message, _, _),) = found(client, store, name="  ")
    assert message["subject"] == f"Hello {ACCOUNT['username']} {ACCOUNT['username']}"


def test_a_folder_that_is_not_there_stops_nobody(client: Client, store: Store, folder: Path) -> None:
    folder.rmdir()
    assert found(client, store) == []

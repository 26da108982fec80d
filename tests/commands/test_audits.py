"""`mallard audits list` and `show`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from storage.audits.audits import Actor, Span
from storage.store import Store

LATER = datetime(2099, 1, 1, tzinfo=UTC)


def test_what_was_done_by_whom(run: Any, store: Store, make_user: Callable[..., ObjectId]) -> None:
    user = make_user()
    audit = store.audits.create(user, Span(), LATER, "Case 12", {"a": 1}, Actor("root", "root"))
    store.audits.note(audit, "export", Actor("lawyer", "auditclient", "s1", "192.0.2.1"))
    line = f"{audit}  {user}  queued  0 copied  0 failed  2099-01-01T00:00:00.000Z"
    assert run("audits", "list").stdout == f"{line}\n"
    shown = run("audits", "show", str(audit))
    assert shown.exit_code == 0
    first, created, exported = shown.stdout.splitlines()
    assert first == line
    assert created.endswith("Z  create  by root (root)")
    assert exported.endswith("Z  export  by lawyer (auditclient)  ip 192.0.2.1  sess s1")
    row = json.loads(run("audits", "show", str(audit), "--json").stdout)
    assert (row["id"], row["notes"], row["meta"]) == (str(audit), "Case 12", {"a": 1})
    assert [entry["action"] for entry in row["history"]] == ["create", "export"]
    (listed,) = json.loads(run("audits", "list", "--json").stdout)
    assert listed == {name: value for name, value in row.items() if name != "meta"}


@pytest.mark.parametrize("audit", ["nonsense", "5d48a1f5fd1a4d1be0d4a1ff"])
def test_an_audit_that_is_not_there(run: Any, audit: str) -> None:
    shown = run("audits", "show", audit)
    assert (shown.exit_code, shown.stdout) == (1, "")


def test_no_audits(run: Any) -> None:
    assert run("audits", "list").stdout.strip() == ""
    assert json.loads(run("audits", "list", "--json").stdout) == []

"""Logs: one line a request, no secret in any of them, no line of a caller's making, in both formats."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from server.processes.logging import masked

HUSH = "hush-hush-hush"
TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_of_a_request_is_logged(client: Any, logged: Any, log_format: str) -> None:
    log = logged(log_format)
    headers = {"X-Access-Token": TOKEN, "Authorization": f"Bearer {TOKEN}", "Cookie": HUSH}
    client.get(f"/users?accessToken={TOKEN}", headers=headers)
    client.post(
        "/users", json={"username": "ada", "password": HUSH, "mtaRelay": f"smtp://ada:{HUSH}@mx.test:25"}
    )
    client.post(f"/users?username=bob&password={HUSH}")
    client.post("/authenticate", json={"username": "ada", "password": HUSH, "token": "yes"})
    client.post(
        "/users", json={"username": "ada", "password": HUSH, "metaData": {"deep": {"password": HUSH}}}
    )
    client.post("/users", data=HUSH.encode(), content_type="application/json")
    client.get(f"/{HUSH}?accessToken={TOKEN}")
    assert log.text.count("request") >= 7
    assert HUSH not in log.text
    assert TOKEN not in log.text


def test_a_line_tells_what_an_operator_asks_for(client: Any, logged: Any, make_user: Any) -> None:
    user = make_user("ada")
    log = logged("json")
    answer = client.get(f"/users/{user}?sess=s1&ip=203.0.113.7", headers={"X-Request-Id": "request-0001"})
    (line,) = log.lines
    assert line.pop("ms") >= line.pop("db_ms") >= 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "id": "request-0001",
        "operation": "getUser",
        "method": "GET",
        "route": "/users/<id>",
        "status": 200,
        "bytes": len(answer.data),
        "user": "root",
        "role": "root",
        "client": "127.0.0.1",
        "input": {"user": str(user), "sess": "s1", "ip": "203.0.113.7"},
    }


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_value_makes_no_line_and_steers_no_terminal(client: Any, logged: Any, log_format: str) -> None:
    log = logged(log_format)
    client.get("/users", query_string={"query": "x\r\n2026-01-01 [info] request user=root\x1b[2J\x85\u2028"})
    assert len(log.text.splitlines()) == 1
    assert "\x1b[2J" not in log.text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_values_of_variables(
    app: Flask, logged: Any, monkeypatch: pytest.MonkeyPatch, log_format: str
) -> None:
    log = logged(log_format)

    def fail(**_: Any) -> None:
        password = "".join(("hush-", "hush-", "hush"))
        raise RuntimeError(f"{len(password)} characters")

    monkeypatch.setitem(app.view_functions, "/.getUsers", fail)
    assert app.test_client().get("/users").status_code == 500
    assert "RuntimeError: 14 characters" in log.text
    assert HUSH not in log.text


def test_mail_and_structures_are_only_named_and_long_texts_cut() -> None:
    values = {
        "text": "Dear Grace", "raw": b"Subject: x", "tags": ["a", "b"], "metaData": {"a": HUSH}, "name": "n" * 200,
        "quota": 5, "seen": True, "privateKey": "k", "existingPassword": "p", "mtaRelay": "smtps://u:p@a.test",
    }  # fmt: skip
    assert masked(values) == {
        "text": "<str of 10>", "raw": "<bytes of 10>", "tags": "<list of 2>", "metaData": "<dict of 1>",
        "name": "n" * 128 + "…", "quota": 5, "seen": True, "privateKey": "***", "existingPassword": "***",
        "mtaRelay": "smtps://***@a.test",
    }  # fmt: skip


def test_a_password_is_masked_before_a_long_text_is_cut() -> None:
    assert masked({"mtaRelay": f"smtp:ada:{HUSH}@mx.test"}) == {"mtaRelay": "smtp:***@mx.test"}
    assert masked({"mtaRelay": f"smtp://ada:{HUSH * 20}@mx.test"}) == {"mtaRelay": "smtp://***@mx.test"}

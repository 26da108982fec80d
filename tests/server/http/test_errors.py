"""Failures: one shape that clients of either kind read, natural statuses, and nothing from the inside."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from pymongo.errors import AutoReconnect

import problems
from problems import InvalidInput, Problem, ServerFault, all_problems

TEXTS = {kind.code: kind.default_text for kind in all_problems()}
SECRET_DETAIL = "mongodb://mallard:hush@10.0.0.7"


def drawn() -> list[str]:
    """The names in the tree at the head of `problems.py`."""
    assert problems.__doc__
    return re.findall(r"[├└]── (\w+)", problems.__doc__)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    below = [kind for top in Problem.__subclasses__() for kind in (top, *top.__subclasses__())]
    assert drawn() == [kind.__name__ for kind in below]


def test_every_problem_has_a_code_a_text_and_a_status() -> None:
    for kind in all_problems():
        assert kind.code, kind
        assert kind.default_text, kind
        assert (kind.status >= 500) == issubclass(kind, ServerFault), kind
        assert kind({}).status if kind is InvalidInput else kind().text == kind.default_text


def test_a_code_stands_for_one_class_of_each_status() -> None:
    pairs = [(kind.code, kind.status) for kind in all_problems()]
    assert len(set(pairs)) == len(pairs)


def test_both_shapes_of_a_failure_are_there(client: Any) -> None:
    answer = client.post("/users", json={"username": "Ada!", "quota": "much"})
    text = answer.json["error"]
    assert answer.status_code == 400
    assert answer.json == {
        "error": text,
        "message": text,
        "code": "InputValidationError",
        "details": {
            "username": '"username" must be a valid username',
            "password": '"password" is required',
            "quota": '"quota" must be a whole number',
        },
    }
    assert set(text.split(". ")) == set(answer.json["details"].values())
    assert "success" not in answer.json


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/users/",
        "/USERS",
        "/users//x",
        "/users/%2e%2e/users",
        "/users/x/y",
    ],
)
def test_a_path_that_is_none(client: Any, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json["code"]) == (404, "ResourceNotFound")
    assert answer.json["error"].endswith(" does not exist")


def test_a_long_path_parameter_is_named_like_any_other(client: Any) -> None:
    answer = client.get(f"/users/resolve/{'a' * 129}")
    assert (answer.status_code, list(answer.json["details"])) == (400, ["username"])
    answer = client.get(f"/addresses/resolve/{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.com")
    assert (answer.status_code, answer.json["code"]) == (404, "AddressNotFound")


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "BREW"])
def test_a_method_that_is_not_there(client: Any, method: str) -> None:
    answer = client.request(method, "/users")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")
    if method != "HEAD":
        assert answer.json == {
            "error": f"{method} is not allowed",
            "message": f"{method} is not allowed",
            "code": "MethodNotAllowed",
        }


@pytest.mark.parametrize(
    ("error", "code"),
    [(RuntimeError(SECRET_DETAIL), "InternalError"), (AutoReconnect(SECRET_DETAIL), "InternalDatabaseError")],
)
def test_a_fault_of_ours_tells_nothing_but_where_to_look(
    app: Flask, logged: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setitem(app.view_functions, "/.getUsers", fail)
    log = logged("json")
    answer = app.test_client().get("/users", headers={"X-Request-Id": "request-0001"})
    text = f"{TEXTS[code]}. Request id: request-0001"
    assert answer.status_code == 500
    assert answer.json == {"error": text, "message": text, "code": code, "requestId": "request-0001"}
    assert answer.headers["X-Request-Id"] == "request-0001"
    fault, request = log.lines
    assert (fault["event"], fault["level"], fault["id"]) == ("request failed", "error", "request-0001")
    assert "Traceback" in fault["exception"]
    assert SECRET_DETAIL in fault["exception"]
    assert (request["event"], request["status"], request["id"]) == ("request", 500, "request-0001")


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 65, "two words", "line\tbreak", "<script>", "é" * 8, "x;y=z;w=1"]
)
def test_a_request_id_that_is_no_plain_word_is_not_taken_over(client: Any, given: str) -> None:
    answer = client.get("/users", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] != given
    assert len(answer.headers["X-Request-Id"]) == 16


def test_every_answer_is_marked_as_what_it_is(client: Any) -> None:
    for path in ("/users", "/nowhere", "/ui/", "/openapi.json"):
        assert client.get(path).headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/users").headers["Content-Security-Policy"] == "script-src 'none'"
    assert "frame-ancestors 'none'" in client.get("/ui/").headers["Content-Security-Policy"]

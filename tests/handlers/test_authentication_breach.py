"""authenticate: passwords known from a breach."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from accounts.context import Rules
from handlers.authentication import authenticate
from handlers.call import Call
from problems import Problem
from storage.store import Store
from tests.rows import change_user

PASSWORD = "correct horse battery"
Login = Callable[..., Any]


class Service:
    """A service of breached passwords, which says what tests want."""

    def __init__(self, answer: bool | OSError) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self, password: str) -> bool:
        self.asked += 1
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


def login(store: Store, kind: str, service: Service, password: str = PASSWORD) -> Any:
    """The answer, or the code that it ends with."""
    call = Call(store=store, rules=Rules(pwned_check=kind, is_pwned=service))
    body = {"username": "ada", "password": password, "scope": "master", "protocol": "API"}
    try:
        return authenticate(call=call, body=body)
    except Problem as problem:
        return problem.code


@pytest.mark.parametrize(
    ("kind", "found", "outcome"),
    [
        ("none", True, "absent"),
        ("softfail", True, "told"),
        ("softfail", False, "absent"),
        ("softfail", OSError(), "absent"),
        ("fail", True, "AuthFailed"),
        ("fail", OSError(), "absent"),
        ("hardfail", True, "AuthFailed"),
        ("hardfail", False, "absent"),
        ("hardfail", OSError(), "AuthFailed"),
    ],
)
def test_what_each_setting_does_at_each_log_in(
    store: Store, ada: str, kind: str, found: bool | OSError, outcome: str
) -> None:
    service = Service(found)
    for _ in range(2):
        answer = login(store, kind, service)
        if outcome == "AuthFailed":
            assert answer == "AuthFailed"
        else:
            assert answer.get("passwordPwned", "absent") == (True if outcome == "told" else "absent")
    failed = isinstance(found, OSError)
    assert service.asked == (0 if kind == "none" else 2 if failed else 1)
    user = store.users.get(ObjectId(ada))
    assert user.get("passwordPwned") == (None if failed or kind == "none" else found)
    results = store.databases.users["authlog"].distinct("result", {"action": "authentication"})
    assert results == ["fail" if outcome == "AuthFailed" else "success"]
    assert bool(user["lastLogin"]["time"]) is (outcome != "AuthFailed")
    assert store.attempts.failures(f"auth_user:{ada}") == 0


def test_it_is_asked_again_after_two_weeks(store: Store, ada: str) -> None:
    service = Service(False)
    login(store, "fail", service)
    long_ago = store.clock() - timedelta(days=14)
    change_user(store, ObjectId(ada), {}, more={"lastPwnedCheck": long_ago})
    service.answer = True
    assert login(store, "fail", service) == "AuthFailed"
    assert service.asked == 2


def test_a_wrong_password_is_not_asked_about(store: Store, ada: str) -> None:
    service = Service(True)
    assert login(store, "hardfail", service, "wrong") == "AuthFailed"
    assert service.asked == 0


def test_a_new_password_begins_anew(store: Store, client: Any, ada: str) -> None:
    assert login(store, "fail", Service(True)) == "AuthFailed"
    client.put(f"/users/{ada}", json={"password": "battery staple"})
    assert login(store, "fail", Service(False), "battery staple")["success"]

"""Where a token is taken from, whom it makes of the caller, and what that caller may reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from server.settings.table import Settings
from storage.store import Store
from tests.rows import Row

SECRET = Settings().secret
INVALID = {
    "error": "Invalid accessToken value",
    "message": "Invalid accessToken value",
    "code": "InvalidToken",
}
PRIVILEGES = {
    "error": "Not enough privileges",
    "message": "Not enough privileges",
    "code": "MissingPrivileges",
}


@pytest.fixture
def provision(store: Store) -> Callable[[str], str]:
    """Makes a token of a program with a role."""
    return lambda role: store.tokens.provision("program", role, secret=SECRET)


@pytest.fixture
def session(store: Store) -> Callable[[Any], str]:
    """Makes a token of an account."""
    return lambda user: store.tokens.issue(store.users.get(user), secret=SECRET, ttl=3600)


@pytest.fixture
def closed(make_app: Callable[..., Flask]) -> Any:
    """A client of an API that wants a token."""
    return make_app(access_control=True).test_client()


def places(token: str) -> list[Row]:
    return [
        {"query_string": {"accessToken": token}},
        {"headers": {"X-Access-Token": token}},
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"headers": {"Authorization": f"bearer   {token} "}},
        {"headers": {"Authorization": token}},
    ]


def test_a_token_is_taken_from_query_and_headers(closed: Any, provision: Any) -> None:
    for place in places(provision("root")):
        assert closed.get("/users", **place).status_code == 200, place


def test_the_query_wins_over_the_own_header_and_that_over_authorization(closed: Any, provision: Any) -> None:
    good = provision("root")
    bad = "0" * 40
    own, standard = {"X-Access-Token": good}, {"Authorization": f"Bearer {good}"}
    assert closed.get(f"/users?accessToken={bad}", headers=own).status_code == 403
    assert closed.get("/users", headers={"X-Access-Token": bad, **standard}).status_code == 403
    assert closed.get(f"/users?accessToken={good}", headers={"X-Access-Token": bad}).status_code == 200
    assert closed.get("/users?accessToken=", headers={"X-Access-Token": "", **standard}).status_code == 200


def test_a_token_in_the_body_is_no_token(closed: Any, provision: Any, client: Any) -> None:
    body = {"username": "ada", "password": "correct horse battery"}
    answer = closed.post("/users", json={**body, "accessToken": provision("root")})
    assert (answer.status_code, answer.json) == (403, INVALID)
    assert client.post("/users", json={**body, "accessToken": "anything"}).status_code == 200


@pytest.mark.parametrize(
    "token", ["", "x", "0" * 40, "g" * 40, "0" * 41, "é" * 40, "0" * 39 + "\u0660", "root"]
)
def test_a_wrong_token_is_refused(closed: Any, token: str) -> None:
    answer = closed.get("/users", query_string={"accessToken": token})
    assert (answer.status_code, answer.json) == (403, INVALID)


def test_a_wrong_token_is_refused_even_where_none_is_needed(client: Any) -> None:
    assert client.get("/users").status_code == 200
    assert client.get("/users", headers={"X-Access-Token": "0" * 40}).json == INVALID


def test_upper_case_is_another_token(closed: Any, provision: Any) -> None:
    token = provision("root")
    assert closed.get("/users", headers={"X-Access-Token": token.upper()}).status_code == 403


def test_the_static_token_is_root_and_stored_ones_still_work(
    make_app: Callable[..., Flask], provision: Any
) -> None:
    client = make_app(token="a long static token").test_client()
    assert client.get("/users").json == INVALID
    assert client.get("/users", headers={"X-Access-Token": "a long static token"}).status_code == 200
    assert client.get("/users", headers={"X-Access-Token": "A long static token"}).status_code == 403
    assert client.get("/users", headers={"X-Access-Token": provision("root")}).status_code == 200


def test_a_token_signed_with_another_secret_is_refused(
    make_app: Callable[..., Flask], provision: Any
) -> None:
    client = make_app(access_control=True, secret="another").test_client()
    assert client.get("/users", headers={"X-Access-Token": provision("root")}).json == INVALID


def test_a_token_is_asked_for_before_the_body_is_read(closed: Any) -> None:
    answer = closed.post("/users", data=b"{ no json", content_type="application/json")
    assert answer.json == INVALID


def test_input_is_checked_before_rights(closed: Any, provision: Any) -> None:
    headers = {"X-Access-Token": provision("attachments")}
    assert closed.post("/users", json={"username": 1}, headers=headers).status_code == 400
    good = {"username": "ada", "password": "correct horse battery"}
    assert closed.post("/users", json=good, headers=headers).json == PRIVILEGES


def test_a_user_reaches_the_own_account_alone(closed: Any, make_user: Any, session: Any) -> None:
    ada, bob = make_user("ada"), make_user("bob")
    headers = {"X-Access-Token": session(ada)}
    assert closed.get(f"/users/{ada}", headers=headers).json["id"] == str(ada)
    assert closed.get(f"/users/{str(ada).upper()}", headers=headers).json["id"] == str(ada)
    assert closed.get(f"/users/{bob}", headers=headers).json == PRIVILEGES
    assert closed.get(f"/users/{bob}/mailboxes", headers=headers).json == PRIVILEGES
    assert closed.get(f"/users/{'0' * 24}", headers=headers).json == PRIVILEGES


@pytest.mark.parametrize("place", ["query", "body"])
def test_no_other_id_can_be_slipped_in_beside_the_path(
    closed: Any, make_user: Any, session: Any, store: Store, place: str
) -> None:
    ada, bob = make_user("ada"), make_user("bob")
    headers = {"X-Access-Token": session(ada)}
    query = f"?user={ada}&id={ada}" if place == "query" else ""
    body = {"name": "taken", **({"user": str(ada)} if place == "body" else {})}
    answer = closed.put(f"/users/{bob}{query}", json=body, headers=headers)
    assert answer.status_code in (400, 403)
    assert store.users.get(bob).get("name") != "taken"


def test_me_stands_for_the_own_account(closed: Any, make_user: Any, session: Any) -> None:
    ada = make_user("ada")
    headers = {"X-Access-Token": session(ada)}
    assert closed.get("/users/me", headers=headers).json["id"] == str(ada)
    assert closed.get("/users/me/mailboxes", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/users/me", "/users/me/mailboxes"])
def test_me_is_nobody_for_a_caller_without_an_account(client: Any, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, list(answer.json["details"])) == (400, ["user"])


def test_a_listing_shows_a_user_the_own_row_without_staff_fields(
    closed: Any, make_user: Any, session: Any, provision: Any
) -> None:
    ada = make_user("ada", tags=["staff"], internalData={"plan": 1})
    make_user("bob")
    path = "/users?internalData=true"
    own = closed.get(path, headers={"X-Access-Token": session(ada)}).json
    assert [row["id"] for row in own["results"]] == [str(ada)]
    assert own["total"] == 1
    assert not {"tags", "internalData", "disabledScopes"} & own["results"][0].keys()
    all_of_them = closed.get(path, headers={"X-Access-Token": provision("manager")}).json
    assert [row["tags"] for row in all_of_them["results"]] == [["staff"], []]
    assert closed.get(path, headers={"X-Access-Token": provision("webmail")}).json == PRIVILEGES


def test_what_a_role_may_not_send_is_dropped(closed: Any, make_user: Any, session: Any, store: Store) -> None:
    ada = make_user("ada", quota=1000)
    headers = {"X-Access-Token": session(ada)}
    body = {"name": "Ada", "quota": 10**9, "tags": ["root"], "internalData": {"plan": 9}, "suspended": False}
    assert closed.put(f"/users/{ada}", json=body, headers=headers).status_code == 200
    account = closed.get(f"/users/{ada}", headers=headers).json
    assert (account["name"], account["limits"]["quota"]["allowed"]) == ("Ada", 1000)
    assert not {"tags", "internalData"} & account.keys()
    assert not store.users.get(ada).get("tags")


def test_a_user_whose_account_is_shut_or_gone_is_nobody(
    closed: Any, make_user: Any, session: Any, client: Any
) -> None:
    ada = make_user("ada")
    headers = {"X-Access-Token": session(ada)}
    assert client.put(f"/users/{ada}", json={"suspended": True}).status_code == 200
    assert closed.get("/users/me", headers=headers).json == INVALID


def test_paths_and_preflights_need_no_token(closed: Any) -> None:
    assert closed.get("/nowhere").status_code == 404
    assert closed.patch("/users").status_code == 405
    assert closed.get("/openapi.json").status_code == 200
    assert closed.get("/ui/").status_code == 200

"""A whole log-in with a second factor, by clients of WildDuck 1.37 and of 1.50, each with the token of a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from accounts.context import Rules
from handlers.two_factor_auth import check_totp2_fa
from security.passwords import hash_password
from storage.store import Store
from tests.conftest import PASSWORD, Client
from tests.handlers.two_factor.conftest import Authenticator, Clock
from tests.handlers.two_factor.test_totp import LIMITED, USED, WRONG, Events, check, outcome, together
from tests.rows import change_user

LOST = (403, "InvalidTotpNonce", "Invalid or expired 2FA nonce")


@pytest.fixture
def site(as_role: Callable[[str], Client]) -> Client:
    """A web site that logs its users in."""
    return as_role("tokenAuth")


def log_in(client: Client, username: str = "ada", **fields: Any) -> Any:
    answer = client.post("/authenticate", json={"username": username, "password": PASSWORD, **fields})
    assert answer.status_code == 200, answer.json
    return answer.json


def complete(client: Client, user: str, code: str, nonce: str) -> Any:
    return client.post(f"/users/{user}/2fa/totp/check", json={"token": code, "totpNonce": nonce})


def test_a_client_of_1_50(
    app: Flask, site: Client, ada: str, totp: Authenticator, events: Events, document: Callable[[], Any]
) -> None:
    first = log_in(site, token=True)
    nonce = first["totpNonce"]
    assert first == {
        "success": True, "id": ada, "username": "ada", "address": "ada@example.com", "scope": "master",
        "require2fa": ["totp"], "require2faEnabled": False, "requirePasswordChange": False, "totpNonce": nonce,
        "twoFactorNonce": nonce,
    }  # fmt: skip
    second = complete(site, ada, totp.code(), nonce).json
    assert second.keys() == {"success", "token"}
    user = Client(app, second["token"])
    assert user.get("/users/me").json["id"] == ada
    assert user.get("/users").json["total"] == 1
    assert events()[1:] == [("authentication", "success", 1), ("check 2fa totp", "success", 1)]
    assert document()["lastLogin"]["time"]


@pytest.fixture
def app(make_app: Callable[..., Flask], request: pytest.FixtureRequest) -> Flask:
    return make_app(strict_2fa=getattr(request, "param", True))


lenient = pytest.mark.parametrize("app", [False], indirect=True)


@lenient
def test_a_client_of_1_37(app: Flask, site: Client, ada: str, totp: Authenticator) -> None:
    """It gets its token at once, and asks for the code by itself."""
    first = log_in(site, token=True)
    assert first["require2fa"] == ["totp"]
    assert "twoFactorNonce" not in first
    assert check(site, ada, totp.code()) is True
    assert Client(app, first["token"]).get("/users/me").json["id"] == ada


@lenient
def test_the_nonce_beside_a_token_yields_no_other(site: Client, ada: str, totp: Authenticator) -> None:
    first = log_in(site, token=True)
    assert complete(site, ada, totp.code(), first["totpNonce"]).json == {"success": True}


def test_a_1_37_client_checks_with_the_session_of_the_user(
    as_user: Any, ada: str, totp: Authenticator
) -> None:
    assert check(as_user(ada), "me", totp.code()) is True


@pytest.mark.parametrize("role", ["tokenAuth", "auth", "webmail"])
def test_a_log_in_without_a_token_is_completed_without_one(
    as_role: Any, store: Store, ada: str, totp: Authenticator, role: str
) -> None:
    """The role `auth` may ask for a token, and its wish is passed over."""
    client = as_role(role)
    first = log_in(client, token=role == "auth")
    assert "token" not in first
    assert complete(client, ada, totp.code(), first["twoFactorNonce"]).json == {"success": True}
    assert store.databases.users["accesstokens"].count_documents({"role": "user"}) == 0


def test_the_role_auth_gets_no_token_with_the_nonce_of_others(
    as_role: Any, site: Client, ada: str, totp: Authenticator
) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    assert complete(as_role("auth"), ada, totp.code(), nonce).json == {"success": True}


def test_a_nonce_is_good_once(site: Client, ada: str, totp: Authenticator) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    assert complete(site, ada, totp.code(), nonce).status_code == 200
    assert outcome(complete(site, ada, totp.code(1), nonce)) == LOST
    assert check(site, ada, totp.code(1)) is True


def test_twenty_at_once_get_one_token(store: Store, site: Client, ada: str, totp: Authenticator) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    body = {"token": totp.code(), "totpNonce": nonce}
    outcomes = together(store, 20, lambda call: check_totp2_fa(call, ObjectId(ada), body), Rules())
    assert outcomes["done"] == 1
    assert outcomes.keys() <= {"done", "RateLimitedError", "InvalidTotpNonce"}
    assert store.databases.users["accesstokens"].count_documents({"role": "user"}) == 1


def test_different_codes_at_once_get_one_token(
    store: Store, site: Client, ada: str, totp: Authenticator
) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    codes = iter([totp.code(step) for step in range(5)])

    def work(call: Any) -> None:
        check_totp2_fa(call, ObjectId(ada), {"token": next(codes), "totpNonce": nonce})

    assert together(store, 5, work)["done"] == 1
    assert store.databases.users["accesstokens"].count_documents({"role": "user"}) == 1


def test_a_wrong_or_used_code_leaves_the_nonce_good(
    site: Client, ada: str, totp: Authenticator, clock: Clock
) -> None:
    assert check(site, ada, totp.code()) is True
    nonce = log_in(site, token=True)["totpNonce"]
    assert outcome(complete(site, ada, totp.code(), nonce)) == USED
    for _ in range(6):
        assert outcome(complete(site, ada, totp.wrong(), nonce)) == WRONG
    clock.forward(seconds=60)
    assert outcome(complete(site, ada, totp.code(), nonce)) == LIMITED
    clock.forward(seconds=120)
    assert "token" in complete(site, ada, totp.code(), nonce).json


def test_guesses_of_a_nonce_count_for_nothing(site: Client, ada: str, totp: Authenticator) -> None:
    for _ in range(8):
        assert outcome(complete(site, ada, totp.code(), "0" * 40)) == LOST
    assert check(site, ada, totp.code()) is True


def test_a_nonce_ends_after_ten_minutes(site: Client, ada: str, totp: Authenticator, clock: Clock) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    late = log_in(site, token=True)["totpNonce"]
    clock.forward(seconds=599)
    assert complete(site, ada, totp.code(), nonce).status_code == 200
    clock.forward(seconds=1)
    assert outcome(complete(site, ada, totp.code(), late)) == LOST


def test_a_nonce_is_of_one_account(
    client: Client, site: Client, ada: str, totp: Authenticator, make_user: Any, clock: Clock
) -> None:
    bob = str(make_user("bob"))
    shown = Authenticator(client.post(f"/users/{bob}/2fa/totp/setup", json={}).json["seed"], clock)
    client.post(f"/users/{bob}/2fa/totp/enable", json={"token": shown.code(-1)})
    nonce = log_in(site, token=True)["totpNonce"]
    assert outcome(complete(site, bob, shown.code(), nonce)) == LOST
    assert outcome(complete(site, ada, totp.code(), nonce.upper())) == LOST
    assert complete(site, ada, totp.code(), nonce).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PUT", "", {"password": "another one"}), ("PUT", "/2fa/custom", {})],
    ids=["new password", "new second factor"],
)
def test_a_nonce_ends_with_the_sessions(
    client: Client, site: Client, ada: str, totp: Authenticator, method: str, path: str, body: dict[str, Any]
) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    assert client.request(method, f"/users/{ada}{path}", json=body).status_code == 200
    assert outcome(complete(site, ada, totp.code(), nonce)) == LOST


@pytest.mark.parametrize("state", ["disabled", "suspended"])
def test_an_account_that_was_shut_meanwhile(
    store: Store, site: Client, ada: str, totp: Authenticator, state: str
) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    change_user(store, ObjectId(ada), {}, more={state: True})
    answer = complete(site, ada, totp.code(), nonce)
    assert (answer.status_code, answer.json["code"], answer.json["id"]) == (403, "AuthFailed", ada)


def test_an_account_without_totp_completes_nothing(
    client: Client, site: Client, ada: str, totp: Authenticator
) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    client.delete(f"/users/{ada}/2fa")
    assert outcome(complete(site, ada, totp.code(), nonce))[1] == "TotpDisabled"


def test_nonces_are_hashed_at_rest(
    store: Store, site: Client, ada: str, totp: Authenticator, clock: Clock
) -> None:
    nonce = log_in(site, token=True)["totpNonce"]
    [stored] = store.databases.users["pending2fa"].find()
    assert nonce not in str(stored)
    assert stored.pop("_id") != nonce
    assert (stored.pop("expires") - clock.now).total_seconds() == 600
    assert stored == {
        "user": ObjectId(ada), "authVersion": 2, "methods": ["totp"], "tokenRequested": True, "created": clock.now,
    }  # fmt: skip


class TestWithoutTotp:
    """Log-ins that no code completes."""

    @pytest.mark.parametrize("app", [True, False], indirect=True)
    def test_custom_is_the_sites_own_business(self, client: Client, site: Client, ada: str) -> None:
        client.put(f"/users/{ada}/2fa/custom", json={})
        answer = log_in(site, token=True)
        assert answer["require2fa"] == ["custom"]
        assert not {"totpNonce", "twoFactorNonce"} & answer.keys()
        assert len(answer["token"]) == 40

    def test_custom_beside_totp_does_not_complete_it(
        self, client: Client, site: Client, ada: str, totp: Authenticator, store: Store
    ) -> None:
        client.put(f"/users/{ada}/2fa/custom", json={})
        answer = log_in(site, token=True)
        assert answer["require2fa"] == ["totp", "custom"]
        assert "token" not in answer
        assert store.databases.users["pending2fa"].find_one()["methods"] == ["totp"]

    def test_a_security_key_from_before_is_asked_for(self, site: Client, store: Store, ada: str) -> None:
        change_user(store, ObjectId(ada), {}, more={"enabled2fa": ["u2f"]})
        answer = log_in(site, token=True)
        assert answer["require2fa"] == ["webauthn"]
        assert "twoFactorNonce" in answer
        assert not {"token", "totpNonce"} & answer.keys()
        assert outcome(complete(site, ada, "123456", answer["twoFactorNonce"])) == LOST

    def test_a_temporary_password_asks_for_no_code(
        self, site: Client, store: Store, ada: str, totp: Authenticator
    ) -> None:
        now = store.clock()
        temporary = {"validAfter": now, "password": hash_password("temporary"), "created": now}
        change_user(store, ObjectId(ada), {}, more={"tempPassword": temporary})
        answer = log_in(site, token=True, password="temporary")
        assert (answer["require2fa"], answer["requirePasswordChange"]) == (False, True)
        assert "token" in answer

    def test_no_second_factor_no_nonce(self, site: Client, store: Store, ada: str) -> None:
        assert not {"totpNonce", "twoFactorNonce"} & log_in(site).keys()
        assert "token" in log_in(site, token=True)
        assert store.databases.users["pending2fa"].count_documents({}) == 0

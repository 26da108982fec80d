"""enableCustom2FA, disableCustom2FA, disable2FA, and what a second factor means for other operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from handlers.two_factor_auth import enable_custom2_fa
from storage.store import Store
from tests.conftest import PASSWORD, Client
from tests.handlers.two_factor.conftest import Authenticator, Clock
from tests.handlers.two_factor.test_totp import Events, outcome, together
from tests.rows import change_user

NOTHING = {
    "enabled2fa": [], "seed": "", "pendingSeed": "", "pendingSeedChanged": False, "webauthn": {"credentials": []},
}  # fmt: skip


def log_in(client: Client, **fields: Any) -> Any:
    return client.post("/authenticate", json={"username": "ada", "password": PASSWORD, **fields})


def test_custom_goes_on_and_off(
    client: Client, as_user: Any, ada: str, document: Callable[[], Any], events: Events
) -> None:
    own, other = as_user(ada), as_user(ada)
    assert outcome(own.put("/users/me/2fa/custom", json={"sess": "s1"})) is True
    assert (document()["enabled2fa"], document()["authVersion"]) == (["custom"], 2)
    assert own.get("/users/me").status_code == 200
    assert other.get("/users/me").json["code"] == "InvalidToken"
    on = (400, "CustomEnabled", "Custom 2FA is already enabled for this user")
    assert outcome(client.put(f"/users/{ada}/2fa/custom")) == on
    assert outcome(own.delete("/users/me/2fa/custom")) is True
    assert (document()["enabled2fa"], document()["authVersion"]) == ([], 2)
    assert own.get("/users/me").status_code == 200
    off = (400, "CustomDisabled", "Custom 2FA is not enabled for this user")
    assert outcome(client.delete(f"/users/{ada}/2fa/custom")) == off
    assert events() == [("enable 2fa custom", "success", 1), ("disable 2fa custom", None, 1)]


def test_the_other_method_stays(
    client: Client, ada: str, totp: Authenticator, document: Callable[[], Any]
) -> None:
    client.put(f"/users/{ada}/2fa/custom", json={})
    assert document()["enabled2fa"] == ["totp", "custom"]
    client.delete(f"/users/{ada}/2fa/custom")
    assert (document()["enabled2fa"], document()["seed"]) == (["totp"], totp.seed)


def test_switching_on_closes_imap_sessions_and_switching_off_does_not(
    client: Client, store: Store, ada: str, set_up: Authenticator, clock: Clock
) -> None:
    client.put(f"/users/{ada}/2fa/custom", json={})
    client.post(f"/users/{ada}/2fa/totp/enable", json={"token": set_up.code()})
    client.delete(f"/users/{ada}/2fa")
    notices = [(row["user"], row["payload"]) for row in store.databases.main["notices"].find()]
    assert notices == [(ObjectId(ada), {"command": "LOGOUT", "reason": "Authentication required"})] * 2


def test_twenty_at_once_switch_on_once(store: Store, ada: str, document: Callable[[], Any]) -> None:
    outcomes = together(store, 20, lambda call: enable_custom2_fa(call, ObjectId(ada), {}))
    assert outcomes == {"done": 1, "CustomEnabled": 19}
    assert (document()["enabled2fa"], document()["authVersion"]) == (["custom"], 2)


def test_all_goes_off(
    client: Client, as_user: Any, store: Store, ada: str, totp: Authenticator, document: Callable[[], Any],
    events: Events,
) -> None:  # fmt: skip
    more = {
        "webauthn": {"credentials": [{"rawId": b"x"}]},
        "pendingSeed": "x",
        "pendingSeedChanged": store.clock(),
    }
    change_user(store, ObjectId(ada), {}, more={"enabled2fa": ["totp", "custom", "u2f"], **more})
    session, before = as_user(ada), document()
    assert outcome(client.delete(f"/users/{ada}/2fa")) is True
    assert document() == {**before, **NOTHING}
    assert session.get("/users/me").status_code == 200
    assert events()[-1] == ("disable 2fa", None, 1)


def test_all_goes_off_where_nothing_is_on(client: Client, ada: str, document: Callable[[], Any]) -> None:
    before = document()
    assert outcome(client.delete(f"/users/{ada}/2fa")) is True
    assert document() == before


def test_an_update_of_the_account_switches_all_off_too(
    client: Client, ada: str, totp: Authenticator, document: Callable[[], Any], events: Events
) -> None:
    assert outcome(client.put(f"/users/{ada}", json={"disable2fa": True})) is True
    assert {name: document()[name] for name in NOTHING} == NOTHING
    assert events()[-1] == ("disable 2fa", None, 1)


@pytest.mark.parametrize("method", ["custom", "totp"])
def test_a_second_factor_shuts_imap_to_the_password(
    client: Client, ada: str, set_up: Authenticator, method: str
) -> None:
    assert log_in(client, scope="imap").status_code == 200
    if method == "custom":
        client.put(f"/users/{ada}/2fa/custom", json={})
    else:
        client.post(f"/users/{ada}/2fa/totp/enable", json={"token": set_up.code()})
    assert log_in(client, scope="imap").json["code"] == "InvalidAuthScope"
    client.delete(f"/users/{ada}/2fa")
    assert log_in(client, scope="imap").status_code == 200


class TestConfirmation:
    """With `confirm_2fa`, the token of a user is not enough to change second factors."""

    CHANGES = [
        ("POST", "/totp/setup", ()),
        ("DELETE", "/totp", ("totp",)),
        ("PUT", "/custom", ()),
        ("DELETE", "/custom", ("custom",)),
        ("DELETE", "", ("totp", "custom")),
    ]
    changes = pytest.mark.parametrize(("method", "path", "on"), CHANGES)

    @pytest.fixture
    def app(self, make_app: Callable[..., Any]) -> Any:
        return make_app(confirm_2fa=True)

    def switch(self, store: Store, user: str, on: tuple[str, ...], seed: str = "") -> None:
        change_user(store, ObjectId(user), {}, more={"enabled2fa": list(on), "seed": seed})

    @changes
    def test_a_token_alone_changes_nothing(
        self, as_user: Any, store: Store, ada: str, method: str, path: str, on: tuple[str, ...],
        document: Callable[[], Any],
    ) -> None:  # fmt: skip
        self.switch(store, ada, on)
        before = document()
        answer = as_user(ada).request(method, f"/users/me/2fa{path}")
        assert (answer.status_code, answer.json["code"]) == (403, "ConfirmationRequired")
        assert document() == before

    @changes
    def test_with_the_password(
        self, as_user: Any, store: Store, ada: str, method: str, path: str, on: tuple[str, ...]
    ) -> None:
        self.switch(store, ada, on)
        answer = as_user(ada).request(method, f"/users/me/2fa{path}", json={"existingPassword": PASSWORD})
        assert answer.status_code == 200

    @changes
    def test_with_a_wrong_password(
        self,
        client: Client,
        store: Store,
        ada: str,
        method: str,
        path: str,
        on: tuple[str, ...],
        events: Events,
    ) -> None:
        """It is wrong for everybody, and counts as an attempt to log in."""
        self.switch(store, ada, on)
        for _ in range(12):
            answer = client.request(method, f"/users/{ada}/2fa{path}", json={"existingPassword": "wrong"})
            assert (answer.status_code, answer.json["code"]) == (403, "AuthFailed")
        answer = client.request(method, f"/users/{ada}/2fa{path}", json={"existingPassword": PASSWORD})
        assert answer.json["code"] == "RateLimitedError"
        assert events() == [("authentication", "fail", 12)]

    @pytest.mark.parametrize(("method", "path"), [("DELETE", "/totp"), ("PUT", "/custom"), ("DELETE", "")])
    def test_with_a_code(self, as_user: Any, ada: str, totp: Authenticator, method: str, path: str) -> None:
        user = as_user(ada)
        wrong = user.request(method, f"/users/me/2fa{path}", json={"token": totp.wrong()})
        assert (wrong.status_code, wrong.json["code"]) == (403, "InvalidToken")
        assert user.request(method, f"/users/me/2fa{path}", json={"token": totp.code()}).status_code == 200

    def test_programs_change_without(self, as_role: Any, ada: str) -> None:
        assert outcome(as_role("webmail").put(f"/users/{ada}/2fa/custom", json={})) is True
        assert outcome(as_role("manager").delete(f"/users/{ada}/2fa")) is True

    def test_an_update_of_the_account_is_no_way_around(
        self, as_user: Any, client: Client, ada: str, store: Store, document: Callable[[], Any]
    ) -> None:
        self.switch(store, ada, ("custom",))
        user = as_user(ada)
        assert user.put("/users/me", json={"disable2fa": True}).json["code"] == "ConfirmationRequired"
        change_user(store, ObjectId(ada), {}, more={"password": ""})
        body = {"disable2fa": True, "existingPassword": "anything"}
        assert user.put("/users/me", json=body).json["code"] == "ConfirmationRequired"
        assert document()["enabled2fa"] == ["custom"]
        assert user.put("/users/me", json={"name": "Ada"}).status_code == 200

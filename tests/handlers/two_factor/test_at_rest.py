"""Seeds and lists of methods as they stand on disk: from old versions, in clear, encrypted, under another key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from security.secrets import KeyRing
from storage.store import Store
from tests.conftest import Client
from tests.handlers.two_factor.conftest import Authenticator, Clock
from tests.handlers.two_factor.test_totp import WRONG, check, enable, outcome, seal
from tests.rows import change_user


class TestOldDocuments:
    """What old versions of WildDuck left: `true` for TOTP, and `u2f`."""

    def test_true_is_totp(
        self, client: Client, store: Store, ada: str, totp: Authenticator, document: Callable[[], Any]
    ) -> None:
        change_user(store, ObjectId(ada), {}, more={"enabled2fa": True})
        assert check(client, ada, totp.code()) is True
        assert outcome(client.post(f"/users/{ada}/2fa/totp/setup", json={}))[1] == "TotpEnabled"
        assert outcome(client.put(f"/users/{ada}/2fa/custom", json={})) is True
        assert document()["enabled2fa"] == ["totp", "custom"]

    def test_true_is_switched_off(
        self, client: Client, store: Store, ada: str, totp: Authenticator, document: Callable[[], Any]
    ) -> None:
        change_user(store, ObjectId(ada), {}, more={"enabled2fa": True})
        assert outcome(client.delete(f"/users/{ada}/2fa/totp")) is True
        assert document()["enabled2fa"] == []

    @pytest.mark.parametrize("value", [False, None])
    def test_false_is_nothing(
        self, client: Client, store: Store, ada: str, set_up: Authenticator, value: Any,
        document: Callable[[], Any],
    ) -> None:  # fmt: skip
        change_user(store, ObjectId(ada), {}, more={"enabled2fa": value}, unset=("authVersion",))
        assert enable(client, ada, set_up.code()) is True
        assert (document()["enabled2fa"], document()["authVersion"]) == (["totp"], 1)

    def test_u2f_stays(
        self, client: Client, store: Store, ada: str, set_up: Authenticator, document: Callable[[], Any]
    ) -> None:
        change_user(store, ObjectId(ada), {}, more={"enabled2fa": ["u2f"]})
        assert enable(client, ada, set_up.code()) is True
        assert client.get(f"/users/{ada}").json["enabled2fa"] == ["totp", "webauthn"]
        assert outcome(client.delete(f"/users/{ada}/2fa/totp")) is True
        assert document()["enabled2fa"] == ["u2f"]


class TestAtRest:
    """Seeds with a key configured."""

    def test_seeds_are_sealed_from_the_start(
        self, make_app: Callable[..., Flask], ada: str, clock: Clock, document: Callable[[], Any]
    ) -> None:
        client = Client(make_app(encryption_secret="a secret cat"))
        seed = client.post(f"/users/{ada}/2fa/totp/setup", json={}).json["seed"]
        shown = Authenticator(seed, clock)
        pending = document()["pendingSeed"]
        assert pending.startswith("$wd01$aes-256-gcm$")
        assert KeyRing("a secret cat").decrypt(pending) == seed
        assert enable(client, ada, shown.code()) is True
        assert document()["seed"] == pending
        assert seed not in str(document())
        clock.forward(seconds=30)
        assert check(client, ada, shown.code()) is True
        assert document()["seed"] == pending

    def test_a_seed_that_wildduck_sealed(
        self, make_app: Callable[..., Flask], store: Store, ada: str, clock: Clock
    ) -> None:
        sealed = (
            "$wd01$aes-256-gcm$ff80962f08518bd07802d60dc1b40405$101112131415161718191a1b"
            "$000102030405060708090a0b0c0d0e0f$ba668642ca7a7418715a59e667c2e0b03cd841324ddcd0963eaafd7c49e94fdb"
        )
        change_user(store, ObjectId(ada), {}, more={"seed": sealed, "enabled2fa": ["totp"]})
        client = Client(make_app(encryption_secret="for other things", totp_secret="a secret cat"))
        assert check(client, ada, Authenticator("IZEFIWRTORVUS22QJ5FDCVBXMJXUCZDB", clock).code()) is True

    @pytest.mark.parametrize("before", [KeyRing(), KeyRing("an old cat")], ids=["clear", "old key"])
    def test_a_check_stores_the_seed_under_the_present_key(
        self, make_app: Callable[..., Flask], store: Store, ada: str, totp: Authenticator, before: KeyRing,
        document: Callable[[], Any], clock: Clock,
    ) -> None:  # fmt: skip
        seal(store, ada, before.encrypt(totp.seed))
        client = Client(make_app(encryption_secret="a new cat", encryption_old_secrets=("an old cat",)))
        assert check(client, ada, totp.wrong()) == WRONG
        assert document()["seed"] == before.encrypt(totp.seed) or before.current
        assert check(client, ada, totp.code()) is True
        assert KeyRing("a new cat").decrypt(document()["seed"]) == totp.seed
        clock.forward(seconds=30)
        assert check(client, ada, totp.code()) is True

    def test_a_seed_without_its_key_is_a_fault_of_the_configuration(
        self, client: Client, store: Store, ada: str, totp: Authenticator
    ) -> None:
        seal(store, ada, KeyRing("a lost cat").encrypt(totp.seed))
        answer = client.post(f"/users/{ada}/2fa/totp/check", json={"token": totp.code()})
        assert (answer.status_code, answer.json["code"]) == (500, "InternalConfigError")
        assert "cat" not in answer.text

"""setupTotp2FA, enableTotp2FA, checkTotp2FA, disableTotp2FA."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from accounts.context import Rules
from handlers.call import Call
from handlers.two_factor_auth import check_totp2_fa, enable_totp2_fa
from problems import Problem
from security.secrets import KeyRing
from storage.store import Store
from tests.conftest import Client
from tests.handlers.two_factor.conftest import Authenticator, Clock
from tests.rows import change_user
from tests.security.test_totp import scanned

Events = Callable[[], list[tuple[str, str | None, int]]]
LIMITED = (403, "RateLimitedError", "Authentication was rate limited")
USED = (403, "RateLimitedError", "This code has already been used, please try again with a new code")
WRONG = (403, "InvalidToken", "Failed to validate TOTP")


def outcome(answer: Any) -> Any:
    """`True`, or status, code and text of what went wrong."""
    if answer.status_code == 200:
        assert answer.json == {"success": True}
        return True
    return answer.status_code, answer.json["code"], answer.json["error"]


def check(client: Client, user: str, code: str, **fields: Any) -> Any:
    return outcome(client.post(f"/users/{user}/2fa/totp/check", json={"token": code, **fields}))


def enable(client: Client, user: str, code: str, **fields: Any) -> Any:
    return outcome(client.post(f"/users/{user}/2fa/totp/enable", json={"token": code, **fields}))


def test_set_up_shows_the_seed_as_text_and_as_qr_code(
    client: Client, ada: str, clock: Clock, document: Callable[[], Any], events: Events
) -> None:
    body = {"label": " ada@example.com ", "issuer": "Пошта & Co"}
    answer = client.post(f"/users/{ada}/2fa/totp/setup", json=body).json
    seed = answer["seed"]
    assert answer.keys() == {"success", "seed", "qrcode"}
    issuer = "%D0%9F%D0%BE%D1%88%D1%82%D0%B0%20%26%20Co"
    assert scanned(answer["qrcode"]) == f"otpauth://totp/ada%40example.com?secret={seed}&issuer={issuer}"
    stored = document()
    assert (stored["pendingSeed"], stored["pendingSeedChanged"]) == (seed, clock.now)
    assert (stored["seed"], stored["enabled2fa"], stored["authVersion"]) == ("", [], 1)
    assert events() == []


@pytest.mark.parametrize("body", [{}, {"label": "", "issuer": "  "}])
def test_set_up_without_label_and_issuer(client: Client, ada: str, body: dict[str, str]) -> None:
    answer = client.post(f"/users/{ada}/2fa/totp/setup", json=body).json
    assert scanned(answer["qrcode"]) == f"otpauth://totp/ada?secret={answer['seed']}&issuer=WildDuck"


def test_a_label_that_no_qr_code_holds_is_the_callers_fault(client: Client, ada: str) -> None:
    body = {"label": "愛" * 255, "issuer": "愛" * 255}
    answer = client.post(f"/users/{ada}/2fa/totp/setup", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError")
    assert set(answer.json["details"]) == {"label"}


def test_another_set_up_replaces_the_first(client: Client, ada: str, set_up: Authenticator) -> None:
    client.post(f"/users/{ada}/2fa/totp/setup", json={})
    assert enable(client, ada, set_up.code()) == (400, "InvalidToken", "Invalid authentication token")


def test_switching_on(
    client: Client, ada: str, set_up: Authenticator, document: Callable[[], Any], events: Events
) -> None:
    assert enable(client, ada, set_up.code(), sess="s1", ip="203.0.113.7") is True
    stored = document()
    assert (stored["seed"], stored["pendingSeed"], stored["pendingSeedChanged"]) == (set_up.seed, "", False)
    assert (stored["enabled2fa"], stored["authVersion"]) == (["totp"], 2)
    assert events() == [("enable 2fa totp", "success", 1)]
    assert client.get(f"/users/{ada}").json["enabled2fa"] == ["totp"]


def test_the_log_says_who(as_user: Any, store: Store, ada: str, set_up: Authenticator, clock: Clock) -> None:
    enable(as_user(ada), ada, set_up.code(), sess="s1", ip="203.0.113.7")
    entry = store.databases.users["authlog"].find_one({"action": "enable 2fa totp"})
    assert {name: entry[name] for name in ("user", "role", "sess", "ip", "protocol")} == {
        "user": ObjectId(ada), "role": "user", "sess": "s1", "ip": "203.0.113.7", "protocol": None,
    }  # fmt: skip


def test_the_code_that_switched_on_is_used_up(client: Client, ada: str, set_up: Authenticator) -> None:
    code = set_up.code()
    enable(client, ada, code)
    assert check(client, ada, code) == USED


def test_switching_on_needs_a_set_up_of_the_last_six_hours(
    client: Client, ada: str, set_up: Authenticator, clock: Clock
) -> None:
    clock.forward(hours=6)
    gone = (400, "TotpDisabled", "TOTP 2FA is not initialized for this user")
    assert enable(client, ada, set_up.code()) == gone
    clock.forward(seconds=-1)
    assert enable(client, ada, set_up.code()) is True


def test_nothing_was_set_up(client: Client, ada: str) -> None:
    assert enable(client, ada, "123456")[1] == "TotpDisabled"


def test_six_wrong_codes_shut_switching_on(
    client: Client, ada: str, set_up: Authenticator, clock: Clock, events: Events
) -> None:
    for _ in range(6):
        assert enable(client, ada, set_up.wrong())[:2] == (400, "InvalidToken")
    assert enable(client, ada, set_up.code()) == LIMITED
    assert events() == [("enable 2fa totp", "fail", 6)]
    clock.forward(seconds=180)
    assert enable(client, ada, set_up.code()) is True


def test_what_is_on_is_neither_set_up_nor_switched_on_again(
    client: Client, ada: str, totp: Authenticator, document: Callable[[], Any]
) -> None:
    on = (400, "TotpEnabled", "TOTP 2FA is already enabled for this user")
    before = document()
    assert outcome(client.post(f"/users/{ada}/2fa/totp/setup", json={})) == on
    assert enable(client, ada, totp.code()) == on
    assert document() == before


def test_switching_on_ends_all_sessions_but_the_own(
    client: Client, as_user: Any, ada: str, set_up: Authenticator
) -> None:
    own, other = as_user(ada), as_user(ada)
    assert enable(own, "me", set_up.code()) is True
    assert own.get("/users/me").json["id"] == ada
    assert other.get("/users/me").json["code"] == "InvalidToken"


def test_a_second_method_ends_the_other_sessions_too(as_user: Any, ada: str, set_up: Authenticator) -> None:
    own = as_user(ada)
    own.put("/users/me/2fa/custom", json={})
    other = as_user(ada)
    assert enable(own, "me", set_up.code()) is True
    assert own.get("/users/me").json["enabled2fa"] == ["custom", "totp"]
    assert other.get("/users/me").status_code == 403


def test_twenty_at_once_switch_on_once(
    store: Store, ada: str, set_up: Authenticator, document: Callable[[], Any]
) -> None:
    outcomes = together(
        store, 20, lambda call: enable_totp2_fa(call, ObjectId(ada), {"token": set_up.code()})
    )
    assert outcomes["done"] == 1
    assert outcomes.keys() <= {"done", "TotpEnabled", "RateLimitedError"}
    assert (document()["enabled2fa"], document()["authVersion"]) == (["totp"], 2)


def together(
    store: Store, count: int, work: Callable[[Call], Any], rules: Rules | None = None
) -> Counter[str]:
    """How `count` calls at the same moment came out."""
    start = threading.Barrier(count)

    def one(_: int) -> str:
        start.wait()
        try:
            work(Call(store=store, rules=rules or Rules()))
        except Problem as problem:
            return problem.code
        return "done"

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(one, range(count)))


def test_a_right_code(client: Client, ada: str, totp: Authenticator, events: Events) -> None:
    assert check(client, ada, totp.code()) is True
    assert events()[1:] == [("check 2fa totp", "success", 1)]


def test_a_wrong_code(client: Client, ada: str, totp: Authenticator, events: Events) -> None:
    assert check(client, ada, totp.wrong()) == WRONG
    assert events()[1:] == [("check 2fa totp", "fail", 1)]


@pytest.mark.parametrize(
    ("steps", "right"), [(-7, False), (-6, True), (-1, True), (0, True), (6, True), (7, False)]
)
def test_clocks_may_differ_by_six_steps(
    client: Client, ada: str, totp: Authenticator, clock: Clock, steps: int, right: bool
) -> None:
    clock.forward(minutes=10)
    assert check(client, ada, totp.code(steps)) == (right or WRONG)


@pytest.mark.parametrize(("steps", "right"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_the_window_is_a_setting(
    make_app: Callable[..., Flask], ada: str, totp: Authenticator, clock: Clock, steps: int, right: bool
) -> None:
    clock.forward(minutes=10)
    assert check(Client(make_app(totp_window=1)), ada, totp.code(steps)) == (right or WRONG)


def test_a_code_is_good_once_for_as_long_as_it_could_be_right(
    client: Client, ada: str, totp: Authenticator, clock: Clock
) -> None:
    """The original forgets a used code after three minutes, while one of a fast clock is right for six and a half."""
    code = totp.code(6)
    assert check(client, ada, code) is True
    for _ in range(12):
        clock.forward(seconds=30)
        assert check(client, ada, code) == USED


def test_codes_before_a_used_one_are_used_too(client: Client, ada: str, totp: Authenticator) -> None:
    assert check(client, ada, totp.code(1)) is True
    assert check(client, ada, totp.code()) == USED
    assert check(client, ada, totp.code(2)) is True


@pytest.mark.parametrize(
    "rules", [Rules(), Rules(totp_keys=KeyRing("a secret cat"))], ids=["clear", "sealed"]
)
def test_twenty_checks_of_one_code_at_once_succeed_once(
    store: Store, ada: str, totp: Authenticator, rules: Rules, document: Callable[[], Any]
) -> None:
    if rules.totp_keys.current:
        seal(store, ada, rules.totp_keys.encrypt(totp.seed))
    code = totp.code()
    work = lambda call: check_totp2_fa(call, ObjectId(ada), {"token": code})  # noqa: E731
    outcomes = together(store, 20, work, rules)
    assert outcomes == {"done": 1, "RateLimitedError": 19}


def seal(store: Store, user: str, seed: str) -> None:
    change_user(store, ObjectId(user), {}, more={"seed": seed})


@pytest.mark.parametrize("spelling", [" {}", "{} ", "{}\n", "+{}", "{}.0", "0{}", "{}abc"])
def test_only_six_characters_are_a_code(client: Client, ada: str, totp: Authenticator, spelling: str) -> None:
    answer = client.post(f"/users/{ada}/2fa/totp/check", json={"token": spelling.format(totp.code())})
    assert (answer.status_code, set(answer.json["details"])) == (400, {"token"})


@pytest.mark.parametrize(
    "change",
    [
        lambda code: " " + code[1:],
        lambda code: code[:5] + "x",
        lambda code: code[:5] + "\0",
        lambda code: code.translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
        lambda code: code.translate({48 + digit: 0x0660 + digit for digit in range(10)}),
        lambda code: "😀" * 6,
    ],
)
def test_other_spellings_of_a_code_are_wrong(
    client: Client, ada: str, totp: Authenticator, change: Callable[[str], str]
) -> None:
    assert check(client, ada, change(totp.code())) == WRONG
    assert check(client, ada, totp.code()) is True


def test_six_wrong_codes_shut_the_check_for_three_minutes(
    client: Client, ada: str, totp: Authenticator, clock: Clock, events: Events, make_user: Any
) -> None:
    for _ in range(6):
        assert check(client, ada, totp.wrong()) == WRONG
    assert check(client, ada, totp.code()) == LIMITED
    clock.forward(seconds=179)
    assert check(client, ada, totp.code()) == LIMITED
    assert events()[1:] == [("check 2fa totp", "fail", 6)]
    clock.forward(seconds=1)
    assert check(client, ada, totp.code()) is True


def test_a_burst_does_not_pass_the_limit_together(store: Store, ada: str, totp: Authenticator) -> None:
    work = lambda call: check_totp2_fa(call, ObjectId(ada), {"token": totp.wrong()})  # noqa: E731
    assert together(store, 20, work) == {"InvalidToken": 6, "RateLimitedError": 14}


def test_a_right_code_clears_the_wrong_ones(
    client: Client, ada: str, totp: Authenticator, clock: Clock
) -> None:
    for _ in range(3):
        for _ in range(5):
            assert check(client, ada, totp.wrong()) == WRONG
        assert check(client, ada, totp.code()) is True
        clock.forward(seconds=30)


@pytest.mark.parametrize("fields", [{"enabled2fa": []}, {"enabled2fa": ["custom"]}, {"seed": ""}])
def test_nothing_to_check(
    client: Client, store: Store, ada: str, totp: Authenticator, fields: dict[str, Any], events: Events
) -> None:
    change_user(store, ObjectId(ada), {}, more=fields)
    for _ in range(8):
        answer = check(client, ada, totp.code())
        assert answer == (400, "TotpDisabled", "TOTP 2FA is not enabled for this user")
    assert len(events()) == 1


def test_switching_off(
    client: Client, as_user: Any, ada: str, totp: Authenticator, document: Callable[[], Any], events: Events
) -> None:
    client.put(f"/users/{ada}/2fa/custom", json={})
    session, version = as_user(ada), document()["authVersion"]
    assert outcome(client.delete(f"/users/{ada}/2fa/totp")) is True
    stored = document()
    assert (stored["seed"], stored["pendingSeed"], stored["pendingSeedChanged"]) == ("", "", False)
    assert (stored["enabled2fa"], stored["authVersion"]) == (["custom"], version)
    assert events()[-1] == ("disable 2fa totp", None, 1)
    assert session.get("/users/me").status_code == 200
    off = (400, "TotpDisabled", "TOTP 2FA is not enabled for this user")
    assert outcome(client.delete(f"/users/{ada}/2fa/totp")) == off


def test_after_off_comes_on_again(client: Client, ada: str, totp: Authenticator, clock: Clock) -> None:
    client.delete(f"/users/{ada}/2fa/totp")
    again = Authenticator(client.post(f"/users/{ada}/2fa/totp/setup", json={}).json["seed"], clock)
    assert enable(client, ada, again.code()) is True
    clock.forward(seconds=30)
    assert check(client, ada, totp.code()) == WRONG
    assert check(client, ada, again.code()) is True

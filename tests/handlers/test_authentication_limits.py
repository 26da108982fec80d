"""authenticate: how often secrets may be guessed at, and that it tells nothing by the time it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, cast

import pytest
from bson import ObjectId

from accounts.context import Caller, Rules
from handlers.authentication import authenticate
from handlers.call import Call
from problems import Problem
from security.asps import selector
from security.offload import Offload
from security.passwords import hash_password, verify_password
from storage.store import Store
from tests.rows import change_user

PASSWORD = "correct horse battery"
WRONG = "wrong"
Login = Callable[..., str]


@pytest.fixture
def login(store: Store, ada: str) -> Login:
    """`login("password", ip=…, role=…, rules=…, username=…, scope=…)`: the code that it ends with, or `in`."""

    def attempt(
        password: str, *, ip: str | None = None, role: str = "root", rules: Rules | None = None, **body: str
    ) -> str:
        call = Call(store=store, caller=Caller(role=role), rules=rules or Rules(), ip=ip)
        given = {"username": "ada", "password": password, "scope": "master", "protocol": "API", **body}
        try:
            authenticate(call=call, body=given)
        except Problem as problem:
            return problem.code
        return "in"

    return attempt


def at_once(count: int, attempt: Callable[[int], str]) -> Counter[str]:
    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(attempt, range(count)))


def add_asp(store: Store, user: str, password: str, *scopes: str) -> ObjectId:
    fields = {
        "description": "Phone", "scopes": list(scopes or ["*"]), "password": hash_password(password),
        "selector": selector(password),
    }  # fmt: skip
    return store.asps.create(ObjectId(user), fields, None, 50)


def test_50_wrong_ones_at_once_never_pass_the_limit_and_shut_the_right_one_out(login: Login) -> None:
    assert at_once(50, lambda number: login(f"wrong{number}")) == {"AuthFailed": 12, "RateLimitedError": 38}
    assert at_once(20, lambda _: login(PASSWORD)) == {"RateLimitedError": 20}


def test_50_right_ones_at_once_are_all_let_in(login: Login) -> None:
    assert at_once(50, lambda _: login(PASSWORD)) == {"in": 50}


def test_a_mixed_burst_lets_no_more_wrong_ones_through_than_right_ones_allow(
    login: Login, store: Store, ada: str
) -> None:
    outcome = at_once(40, lambda number: login(PASSWORD if number % 8 == 0 else WRONG))
    assert outcome["in"] + outcome["AuthFailed"] + outcome["RateLimitedError"] == 40
    assert outcome["AuthFailed"] <= 12 * (outcome["in"] + 1)


def test_the_account_opens_again_when_the_window_ends(login: Login, store: Store) -> None:
    for _ in range(13):
        login(WRONG)
    later = store.clock() + timedelta(seconds=121)
    store.attempts._clock = lambda: later
    assert login(PASSWORD) == "in"


@pytest.mark.parametrize(
    "names", [("nobody",), ("no.body", "nobody", "NOBODY"), ("nobody@example.com", "no.body+x@example.com")]
)
def test_names_that_no_account_has_are_limited_in_all_their_spellings(
    login: Login, names: tuple[str, ...]
) -> None:
    outcomes = [login(WRONG, username=names[number % len(names)]) for number in range(14)]
    assert outcomes == ["AuthFailed"] * 12 + ["RateLimitedError"] * 2


def test_forwarded_addresses_are_limited_too(login: Login, store: Store) -> None:
    forwarded = {"address": "team@example.com", "addrview": "team@example.com", "targets": []}
    store.databases.users["addresses"].insert_one(forwarded)
    outcomes = [login(WRONG, username="team@example.com") for _ in range(13)]
    assert outcomes == ["AuthFailed"] * 12 + ["RateLimitedError"]


@pytest.mark.parametrize("state", [{"disabled": True}, {"suspended": True}, {"disabledScopes": ["imap"]}])
def test_what_is_shut_counts_as_no_failure(
    login: Login, store: Store, ada: str, state: dict[str, Any]
) -> None:
    change_user(store, ObjectId(ada), state)
    assert {login(WRONG, scope="imap") for _ in range(13)} < {"AuthFailed", "InvalidAuthScope"}
    assert store.attempts.failures(f"auth_user:{ada}") == 0


def test_one_address_is_limited_for_all_accounts_together(login: Login) -> None:
    rules = Rules(ip_failures=5)

    def at(ip: str, number: int, password: str = WRONG) -> str:
        return login(
            password, ip=ip, rules=rules, username="ada" if password == PASSWORD else f"nobody{number}"
        )

    outcomes = at_once(20, lambda number: at("192.0.2.1", number))
    assert outcomes == {"AuthFailed": 5, "RateLimitedError": 15}
    assert at("192.0.2.1", 0, PASSWORD) == at("::ffff:192.0.2.1", 0, PASSWORD) == "RateLimitedError"
    assert at("192.0.2.2", 0, PASSWORD) == "in"


def test_a_network_of_ipv6_is_one_address(login: Login) -> None:
    rules = Rules(ip_failures=5)
    outcomes = [login(WRONG, ip=f"2001:db8:1:2::{n:x}", rules=rules, username=f"nobody{n}") for n in range(7)]
    assert outcomes == ["AuthFailed"] * 5 + ["RateLimitedError"] * 2
    assert login(PASSWORD, ip="2001:db8:1:2:ffff::1", rules=rules) == "RateLimitedError"
    assert login(PASSWORD, ip="2001:db8:1:3::1", rules=rules) == "in"


def test_a_right_password_counts_nothing_against_its_address(login: Login, store: Store) -> None:
    rules = Rules(ip_failures=5)
    assert [login(PASSWORD, ip="192.0.2.1", rules=rules) for _ in range(8)] == ["in"] * 8
    assert store.attempts.failures("auth_ip:192.0.2.1") == 0


def test_the_address_is_believed_from_programs_alone(login: Login, store: Store) -> None:
    for _ in range(3):
        login(WRONG, ip="192.0.2.1", role="user")
    assert store.attempts.failures("auth_ip:192.0.2.1") == 0
    for role in ("root", "manager", "webmail", "auth", "tokenAuth"):
        login(WRONG, ip="192.0.2.1", role=role)
    assert store.attempts.failures("auth_ip:192.0.2.1") == 5


def test_no_limit_for_an_address_where_the_setting_is_zero(login: Login, store: Store) -> None:
    login(WRONG, ip="192.0.2.1", rules=Rules(ip_failures=0))
    assert store.attempts.failures("auth_ip:192.0.2.1") == 0


def test_free_networks_have_no_limit(login: Login) -> None:
    rules = Rules(ip_failures=5, free_networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
    for ip in ("192.0.2.9", "2001:db8::1"):
        assert {login(WRONG, ip=ip, rules=rules) for _ in range(15)} == {"AuthFailed"}
    assert login(WRONG, ip="192.0.2.9", role="user", rules=rules) == "AuthFailed"
    assert {login(WRONG, ip="198.51.100.1", rules=rules) for _ in range(15)} == {
        "AuthFailed",
        "RateLimitedError",
    }


def test_guesses_at_application_passwords_are_limited(login: Login, store: Store, ada: str) -> None:
    add_asp(store, ada, "owmlfwonfelqvewd")
    guess = "owmlfwonfelqvewx"
    outcomes = at_once(30, lambda _: login(guess, scope="imap"))
    assert outcomes == {"AuthFailed": 12, "RateLimitedError": 18}
    assert login("owmlfwonfelqvewd", scope="imap") == "RateLimitedError"


def test_application_passwords_work_while_others_guess_at_the_password(
    login: Login, store: Store, ada: str
) -> None:
    add_asp(store, ada, "owmlfwonfelqvewd")
    for _ in range(13):
        login(WRONG)
    assert login(PASSWORD, scope="imap") == "RateLimitedError"
    assert login("owmlfwonfelqvewd", scope="imap") == "in"
    assert login(PASSWORD) == "RateLimitedError", "a log-in by application password clears no failures"


def test_a_password_of_16_letters_is_not_shut_out_as_a_wrong_application_password(
    login: Login, store: Store, ada: str
) -> None:
    add_asp(store, ada, "owmlfwonfelqvewd")
    change_user(store, ObjectId(ada), {}, more={"password": hash_password("abcdefghijklmnop")})
    assert [login("abcdefghijklmnop", scope="imap") for _ in range(14)] == ["in"] * 14


@pytest.mark.parametrize("password", [WRONG, "owmlfwonfelqvewx"])
@pytest.mark.parametrize("scope", ["master", "imap"])
def test_unknown_shut_and_known_accounts_cost_the_same_hashes(
    store: Store, make_user: Any, scope: str, password: str
) -> None:
    for name in ("ada", "disabled", "suspended", "without"):
        make_user(name, **({"password": ""} if name == "without" else {}))
    for name in ("disabled", "suspended"):
        change_user(store, store.users.id_of(name), {name: True})
    counts = {}
    for name in ("ada", "nobody", "nobody@example.com", "disabled", "suspended", "without"):
        hashed: list[str] = []

        def count(function: Any, *arguments: Any, hashed: list[str] = hashed) -> Any:
            hashed.append(function.__name__)
            return function(*arguments)

        body = {"username": name, "password": password, "scope": scope, "protocol": "API"}
        with pytest.raises(Problem, match="AuthFailed"):
            authenticate(call=Call(store=store, offload=cast(Offload, count)), body=body)
        counts[name] = hashed
    assert set(map(tuple, counts.values())) == {(verify_password.__name__,)}, counts

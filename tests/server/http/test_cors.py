"""Which pages may call the API, and that an open one does not answer the pages of strangers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

VARY = "origin,access-control-request-method,access-control-request-headers"
PAGE = "https://webmail.example.com"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}


def allowed(answer: Any) -> str | None:
    value: str | None = answer.headers.get("Access-Control-Allow-Origin")
    return value


@pytest.mark.parametrize("path", ["/users", "/users/me", "/nowhere"])
def test_a_preflight_is_answered_for_any_path(client: Any, path: str) -> None:
    answer = client.request("OPTIONS", path, headers=PREFLIGHT)
    assert (answer.status_code, answer.data) == (204, b"")
    headers = {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}
    assert headers == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "PUT,OPTIONS",
        "Access-Control-Allow-Headers": (
            "X-Access-Token,Authorization,accept,accept-version,content-type,request-id,origin,x-api-version,"
            "x-request-id,x-requested-with"
        ),
        "Access-Control-Expose-Headers": (
            "api-version,content-length,content-md5,content-type,date,request-id,response-time"
        ),
    }
    assert answer.headers["Vary"] == VARY


def test_a_preflight_needs_no_token(make_app: Callable[..., Flask]) -> None:
    client = make_app(access_control=True).test_client()
    assert client.options("/users", headers=PREFLIGHT).status_code == 204


@pytest.mark.parametrize("headers", [{}, {"Origin": PAGE}, {"Access-Control-Request-Method": "PUT"}])
def test_other_options_requests_are_routed(client: Any, headers: dict[str, str]) -> None:
    assert client.request("OPTIONS", "/users", headers=headers).status_code == 405
    assert client.request("OPTIONS", "/nowhere", headers=headers).status_code == 404


@pytest.mark.parametrize("path", ["/users", "/nowhere", "/users/x"])
def test_an_answer_names_the_origin_and_never_all(client: Any, path: str) -> None:
    answer = client.get(path, headers={"Origin": PAGE})
    assert allowed(answer) == PAGE
    assert "content-length" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert answer.headers["Vary"] == VARY


def test_without_an_origin_only_vary_is_sent(client: Any) -> None:
    answer = client.get("/users")
    assert [name for name, _ in answer.headers if name.startswith("Access-Control")] == []
    assert answer.headers["Vary"] == VARY


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("https://webmail.example.com", True),
        ("HTTPS://WEBMAIL.EXAMPLE.COM", True),
        ("https://a.example.org", True),
        ("https://example.org", False),
        ("https://webmail.example.com.evil.test", False),
        ("https://evil.test/https://webmail.example.com", False),
        ("https://webmailxexample.com", False),
        ("http://webmail.example.com", False),
        ("null", False),
    ],
)
def test_only_listed_origins_may(make_app: Callable[..., Flask], origin: str, may: bool) -> None:
    client = make_app(cors_origins=(PAGE, "https://*.example.org")).test_client()
    assert (allowed(client.get("/users", headers={"Origin": origin})) == origin) is may
    preflight = client.options("/users", headers={**PREFLIGHT, "Origin": origin})
    assert preflight.status_code == (204 if may else 405)


STRANGE = {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


def test_an_open_api_does_not_answer_the_pages_of_strangers(client: Any) -> None:
    """What a page of any site can send through the browser of who visits it, even without a preflight."""
    answer = client.get("/users", headers=STRANGE)
    assert (answer.status_code, answer.json["code"]) == (403, "MissingPrivileges")
    assert "MALLARD_CORS_ORIGINS" in answer.json["error"]
    form = {"username": "mallory", "password": "correct horse battery"}
    for mode in ("no-cors", "navigate"):
        assert (
            client.post("/users", data=form, headers={**STRANGE, "Sec-Fetch-Mode": mode}).status_code == 403
        )
    assert client.get("/users").json["total"] == 0


def test_an_open_api_answers_pages_of_this_machine_and_links(client: Any) -> None:
    for origin in ("http://localhost:3000", "http://127.0.0.1:9", "http://[::1]"):
        assert client.get("/users", headers={**STRANGE, "Origin": origin}).status_code == 200
    assert client.get("/users", headers={**STRANGE, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert (
        client.get("/ui/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code
        == 200
    )


def test_named_origins_and_bearers_of_a_token_are_no_strangers(make_app: Callable[..., Flask]) -> None:
    named = make_app(cors_origins=("https://evil.test",)).test_client()
    assert named.get("/users", headers=STRANGE).status_code == 200
    closed = make_app(token="static").test_client()
    assert closed.get("/users", headers={**STRANGE, "X-Access-Token": "static"}).status_code == 200

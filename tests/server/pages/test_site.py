"""The start page, the reading view and the guides: there without a token, and nothing in them leads out or astray."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import urldefrag

import pytest
from flask import Flask

from server.contract.operations import Contract
from server.pages.guides import ROOT, anchor, page, rendered
from server.pages.site import STATIC

LINK = re.compile(r'(?:href|src)="([^"]+)"')
PAGES = ["/", "/docs/", *(f"/guides/{file.relative_to(ROOT)}" for file in sorted(ROOT.glob("docs/**/*.md")))]
PAGES += [f"/guides/{file.name}" for file in sorted(ROOT.glob("*.md"))]


@pytest.fixture
def closed(make_app: Callable[..., Flask]) -> Any:
    """A client without a token, of a server that asks for tokens."""
    return make_app(access_control=True).test_client()


def get(client: Any, path: str, **options: Any) -> Any:
    """The whole answer; files are closed when they are read."""
    return client.get(path, buffered=True, **options)


def policy_of(answer: Any) -> str:
    (policy,) = answer.headers.getlist("Content-Security-Policy")
    return str(policy)


def test_all_are_there_without_a_token(closed: Any) -> None:
    for path in PAGES:
        answer = get(closed, path)
        assert (answer.status_code, answer.mimetype) == (200, "text/html"), path
        assert policy_of(answer).startswith("default-src 'none'; ")
        assert "unsafe" not in policy_of(answer)
    assert get(closed, "/docs").location.endswith("/docs/")
    assert closed.post("/").status_code == 405


def test_all_links_lead_somewhere(closed: Any) -> None:
    """Within the service; the few that lead out of it are in the texts of guides."""
    found: dict[str, set[str]] = {}
    for place in PAGES:
        for link in LINK.findall(get(closed, place).text):
            if "://" not in link:
                target, fragment = urldefrag(link)
                path = normpath(join(dirname(place), target)) if target else place
                found.setdefault(path + "/" * target.endswith("/") if path != "/" else path, set()).add(
                    fragment
                )
    for path, fragments in found.items():
        answer = get(closed, path)
        assert answer.status_code == 200, path
        ids = {"", *re.findall(r'id="([^"]+)"', answer.text)} if fragments - {""} else {""}
        assert fragments <= ids, path
    assert len(found) > 30


def test_the_start_page_says_what_this_is_and_whether_a_token_is_needed(
    client: Any, closed: Any, contract: Contract
) -> None:
    page = get(client, "/").text
    info = contract.document["info"]
    assert f"<h1>Mallard <small>{info['version']}</small></h1>" in page
    assert "All 106 operations" in page
    assert all(f">{tag['name']}</a>" in page for tag in contract.document["tags"])
    assert "No token is needed" in page
    assert "No token is needed" not in get(closed, "/").text
    assert "A token is needed" in get(closed, "/").text
    assert "<script" not in page


ASKED_FOR = {
    "text/html,application/xhtml+xml,*/*;q=0.8": "text/html",
    "*/*": "text/html",
    "application/json": "application/json",
    "application/json, text/html;q=0.5": "application/json",
    "image/png": "text/html",
}


def test_it_is_json_for_those_who_ask_for_that(client: Any) -> None:
    for accept, kind in ASKED_FOR.items():
        answer = get(client, "/", headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (200, kind), accept
        assert "Accept" in answer.headers.getlist("Vary")


def test_what_the_json_says(client: Any, closed: Any, contract: Contract) -> None:
    body = get(client, "/", headers={"Accept": "application/json"}).json
    assert body == {
        "name": "Mallard",
        "version": contract.document["info"]["version"],
        "description": body["description"],
        "needsToken": False,
        "links": {"try": "ui/", "read": "docs/", "document": "openapi.json", "guides": "guides/README.md"},
    }
    assert body["description"].startswith("A mail-account server with one HTTP API: ")
    assert get(closed, "/", headers={"Accept": "application/json"}).json["needsToken"] is True


def test_files_are_sent_once(client: Any) -> None:
    first = get(client, "/static/redoc/redoc.standalone.js")
    assert (first.status_code, first.mimetype) == (200, "text/javascript")
    assert first.content_length > 1_000_000
    again = get(client, "/static/redoc/redoc.standalone.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert get(client, "/static/icon.svg").mimetype == "image/svg+xml"


def test_nothing_else_is(client: Any) -> None:
    for path in (
        "/static/../pages.py", "/static/%2e%2e/pages.py", "/static/nothing.css", "/static/redoc", "/static/",
        "/guides/../setup.cfg", "/guides/%2e%2e/setup.cfg", "/guides/setup.cfg", "/guides/docs/api",
        "/guides/docs/../README.md", "/guides/", "/guides/server/app.py", "/guides//etc/passwd", "/docs/x",
    ):  # fmt: skip
        answer = get(client, path)
        assert (answer.status_code, answer.json["code"]) == (404, "ResourceNotFound"), path


def test_what_belongs_to_a_guide_comes_as_it_is(client: Any) -> None:
    answer = get(client, "/guides/docs/grafana.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.data == (ROOT / "docs" / "grafana.json").read_bytes()


def test_markdown_does_not_become_a_script() -> None:
    title, html = rendered("# A `b` <i>c</i>\n\n<script>alert(1)</script> [x](javascript:alert(1))")
    assert title == "A b <i>c</i>"
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert "<title>Mallard</title>" in page("README.md")


def test_a_link_to_what_is_not_here_becomes_text() -> None:
    html = rendered(
        "[a](../setup.cfg) [b](events.md#x) [c](#d) [e](https://example.com/)", "docs/webhooks.md"
    )[1]
    assert (
        '<span>a</span> <a href="events.md#x">b</a> <a href="#d">c</a> <a href="https://example.com/">e'
        in html
    )


def test_headings_have_the_names_that_forges_give_them() -> None:
    assert anchor("On a MongoDB of yours") == "on-a-mongodb-of-yours"
    assert anchor("user.delete.started") == "userdeletestarted"
    assert anchor("The operator's guide: TLS, 2FA") == "the-operators-guide-tls-2fa"
    assert '<h2 id="usercreated"><code>user.created</code></h2>' in rendered("## `user.created`")[1]


def test_the_bundle_is_the_one_that_its_readme_tells_of() -> None:
    bundle = (STATIC / "redoc" / "redoc.standalone.js").read_bytes()
    assert (
        f"| as it stands here | `{hashlib.sha256(bundle).hexdigest()}` |"
        in (STATIC / "redoc" / "README.md").read_text()
    )
    assert b"cdn." not in bundle


def test_no_own_file_names_another_host() -> None:
    files = [*STATIC.glob("*.*"), *(Path(STATIC).with_name("templates")).glob("*.html")]
    texts = {file.name: file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "") for file in files}
    assert [name for name, text in texts.items() if re.search(r"https?:|//[a-z]", text)] == []

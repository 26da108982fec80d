"""Swagger UI in a real browser: it loads by itself, lists every operation, and "Try it out" works by clicking."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
HOST = "mallard.test"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
)  # fmt: skip
SECONDS = 60_000

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not CHROMIUM and os.environ.get("CI") != "true",
        reason="there is no chromium here; `apt-get install chromium` brings it",
    ),
]


class Ui:
    """The page, what it complained about and where it sent requests to."""

    def __init__(self, browser: Browser, port: int, path: str = "/ui/") -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.page = self._watched(browser.new_page())
        self.page.goto(f"http://{HOST}:{port}{path}")
        self.page.locator(".opblock").first.wait_for(timeout=SECONDS)

    def _watched(self, page: Page) -> Page:
        page.set_default_timeout(SECONDS)
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2].split(":")[0]))
        return page

    def try_out(self, tag: str, operation_id: str) -> Locator:
        """Open an operation and make it ready to be sent."""
        block = self.page.locator(f"#operations-{tag}-{operation_id}")
        block.locator(".opblock-summary").click()
        block.locator(".try-out__btn").click()
        return block

    def execute(self, block: Locator) -> tuple[int, Any]:
        """Click "Execute": the status and the body as the page shows them."""
        with self.page.expect_response("**") as answer:
            block.locator(".execute").click()
        status = answer.value.status
        shown = block.locator(".live-responses-table .response").first
        expect(shown.locator(".response-col_status")).to_contain_text(str(status))
        return status, orjson.loads(shown.locator(".highlight-code code").first.inner_text())

    def authorize(self, token: str) -> None:
        """Fill in the first of the ways to send a token."""
        self.page.locator(".auth-wrapper .authorize").first.click()
        first = self.page.locator(".auth-container").first
        first.locator("input").fill(token)
        first.locator(".authorize").click()
        self.page.locator(".modal-ux .close-modal").click()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A headless chromium that has no way out of this machine for our pages."""
    assert CHROMIUM, "CI must have chromium, see .ci/run"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def test_an_account_is_made_and_listed_by_clicking(serve: Callable[..., Any], browser: Browser) -> None:
    ui = Ui(browser, serve().port)
    assert ui.page.locator(".opblock").count() == 106

    status, made = ui.execute(ui.try_out("Users", "createUser"))
    assert (status, made["success"]) == (200, True)
    status, listing = ui.execute(ui.try_out("Users", "getUsers"))
    assert status == 200
    assert [row["id"] for row in listing["results"]] == [made["id"]]

    assert ui.complaints == []
    assert ui.hosts == {HOST}


def test_a_token_is_given_by_authorize(serve: Callable[..., Any], browser: Browser) -> None:
    served = serve(MALLARD_ACCESS_CONTROL="on", MALLARD_SECRET="a secret of its own")
    command = [sys.executable, "-m", "server", "token", "provision", "browser", "root"]
    done = subprocess.run(command, env=served.environ, capture_output=True, text=True, check=True)
    ui = Ui(browser, served.port)
    block = ui.try_out("Users", "getUsers")
    status, refused = ui.execute(block)
    assert (status, refused["code"]) == (403, "InvalidToken")

    ui.authorize(done.stdout.strip())
    status, listing = ui.execute(block)
    assert (status, listing["results"]) == (200, [])
    assert ui.hosts == {HOST}


def test_no_page_of_it_reaches_out(serve: Callable[..., Any], browser: Browser) -> None:
    """The bundle's own start page asks for an example of somebody else's; the policy does not let it."""
    port = serve().port
    asked: set[str] = set()
    page = browser.new_page()
    page.on("response", lambda response: asked.add(response.url.split("/")[2].split(":")[0]))
    page.goto(f"http://{HOST}:{port}/ui/index.html?url=http://elsewhere.test/openapi.json")
    page.wait_for_timeout(2000)
    assert asked == {HOST}

"""A headless Chromium that watches what a page complains about and where it sends requests to."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
HOST = "mallard.test"
SECONDS = 60_000
SCREENSHOTS = Path(
    os.environ.get("MALLARD_SCREENSHOTS") or Path(__file__).resolve().parents[2] / "build" / "screenshots"
)
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
)  # fmt: skip
PHONE = ViewportSize(width=390, height=844)
DESK = ViewportSize(width=1400, height=900)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that has no way out of this machine for our pages."""
    assert CHROMIUM, "CI must have chromium, see .ci/run"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


class Visit:
    """One tab on the service."""

    def __init__(self, browser: Browser, port: int, *, phone: bool = False, dark: bool = False) -> None:
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self.base = f"http://{HOST}:{port}"
        self.page = self._watched(
            browser.new_page(viewport=PHONE if phone else DESK, color_scheme="dark" if dark else "light")
        )

    def _watched(self, page: Page) -> Page:
        page.set_default_timeout(SECONDS)
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.update(_hosts(request.url)))
        return page

    def go(self, path: str) -> None:
        """Open a page of the service, or what it has at an address."""
        answer = self.page.goto(self.base + path)
        assert answer, path
        assert answer.ok, path

    def ends_well(self) -> None:
        """Nothing was complained about, nobody else was asked."""
        assert self.complaints == []
        assert self.hosts == {HOST}
        self.page.close()

    def keep(self, name: str) -> None:
        """A screenshot of what is on the screen, for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def barriers(self) -> list[str]:
        """What keeps people out by the rules of WCAG 2.2 A and AA, as far as a machine can tell."""
        rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
        options = {"runOnly": {"type": "tag", "values": rules}, "resultTypes": ["violations"]}
        found = Axe().run(self.page, options=options)
        return [
            f"{v['id']}: {node['html'][:120]}" for v in found.response["violations"] for node in v["nodes"]
        ]


def _hosts(url: str) -> set[str]:
    """The host that a request goes to; none for what is in the page itself."""
    return set(re.findall(r"^\w+://([^/:]+)", url)) if not url.startswith(("data:", "blob:")) else set()


class SwaggerUi(Visit):
    """Swagger UI, used by clicking and typing."""

    def __init__(self, browser: Browser, port: int) -> None:
        super().__init__(browser, port)
        self.go("/ui/")
        self.page.locator(".opblock").first.wait_for()

    def authorize(self, token: str) -> None:
        """Fill in the first of the ways to send a token."""
        self.page.locator(".auth-wrapper .authorize").first.click()
        first = self.page.locator(".auth-container").first
        first.locator("input").fill(token)
        first.locator(".authorize").click()
        self.page.locator(".modal-ux .close-modal").click()

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

    def keep_answer(self, block: Locator, name: str) -> None:
        """A screenshot with the answer of an operation in sight."""
        block.locator(".live-responses-table").first.scroll_into_view_if_needed()
        self.keep(name)


def fill(block: Locator, body: dict[str, Any] | None = None, **fields: str) -> Locator:
    """Type fields of the path and of the query, and the body, over what the page proposes."""
    for name, value in fields.items():
        block.locator(f"tr[data-param-name='{name}'] input").fill(value)
    if body is not None:
        block.locator("textarea.body-param__text").fill(
            orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
        )
    return block

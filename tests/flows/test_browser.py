"""The pages for people in a real browser: they load by themselves without complaint, the API works by clicking."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.flows.browsing import CHROMIUM, HOST, SECONDS, SwaggerUi, Visit, chromium, fill
from tests.flows.conftest import serving

TOKEN = "a token for the browser"
READING_SECONDS = 30
"""It takes two or three on a machine with nothing else to do; the tests run many at a time."""

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not CHROMIUM and os.environ.get("CI") != "true",
        reason="there is no chromium here; `apt-get install chromium` brings it",
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a server listens that asks for a token."""
    with serving(tmp_path_factory.mktemp("served"), {"MALLARD_TOKEN": TOKEN}) as served:
        yield served.port


def test_an_account_gets_a_message_by_clicking(browser: Browser, port: int) -> None:
    ui = SwaggerUi(browser, port)
    assert ui.page.locator(".opblock").count() == 106
    ui.keep("swagger-ui")
    ui.authorize(TOKEN)

    account = {"username": "ada", "password": "correct horse battery", "address": "ada@example.com"}
    status, made = ui.execute(fill(ui.try_out("Users", "createUser"), account))
    assert (status, made["success"]) == (200, True)
    user = made["id"]
    status, boxes = ui.execute(fill(ui.try_out("Mailboxes", "getMailboxes"), user=user))
    inbox = next(box["id"] for box in boxes["results"] if box["path"] == "INBOX")

    mail = {
        "from": {"name": "Grace", "address": "grace@example.com"},
        "subject": "Minutes",
        "text": "Dear Ada",
    }
    upload = fill(ui.try_out("Messages", "uploadMessage"), mail, user=user, mailbox=inbox)
    status, stored = ui.execute(upload)
    assert (status, stored["message"]) == (200, {**stored["message"], "mailbox": inbox, "id": 1})
    ui.keep_answer(upload, "swagger-ui-uploaded")

    listing = fill(ui.try_out("Messages", "getMessages"), user=user, mailbox=inbox)
    status, found = ui.execute(listing)
    assert (status, found["total"]) == (200, 1)
    assert [(row["id"], row["subject"], row["from"]["address"]) for row in found["results"]] == [
        (1, "Minutes", "grace@example.com")
    ]
    ui.keep_answer(listing, "swagger-ui-listed")
    ui.ends_well()


def test_without_a_token_the_page_says_so(browser: Browser, port: int) -> None:
    ui = SwaggerUi(browser, port)
    status, refused = ui.execute(ui.try_out("Users", "getUsers"))
    assert (status, refused["code"]) == (403, "InvalidToken")
    assert ui.hosts == {HOST}


def test_no_page_of_swagger_ui_reaches_out(browser: Browser, port: int) -> None:
    """The bundle's own start page asks for an example of somebody else's; the policy does not let it."""
    visit = Visit(browser, port)
    asked: set[str] = set()
    visit.page.on("response", lambda response: asked.add(response.url.split("/")[2].split(":")[0]))
    visit.go("/ui/index.html?url=http://elsewhere.test/openapi.json")
    visit.page.wait_for_timeout(2000)
    assert asked == {HOST}


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (True, True)], ids=["desk", "phone in the dark"])
def test_the_start_page(browser: Browser, port: int, phone: bool, dark: bool) -> None:
    visit = Visit(browser, port, phone=phone, dark=dark)
    visit.go("/")
    expect(visit.page.get_by_role("heading", name="A token is needed")).to_be_visible()
    assert visit.barriers() == []
    assert not visit.page.evaluate("document.documentElement.scrollWidth > innerWidth"), "it fits the screen"
    visit.keep("start-phone-dark" if phone else "start")
    for link, heading in (("Users", "Users"), ("Webhooks", "Webhooks"), ("What is new", "Changelog")):
        visit.page.get_by_role("link", name=link, exact=True).first.click()
        expect(visit.page.get_by_role("heading", level=1)).to_contain_text(heading, ignore_case=True)
        visit.page.go_back()
    visit.ends_well()


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_a_page_about_operations(browser: Browser, port: int, phone: bool) -> None:
    visit = Visit(browser, port, phone=phone)
    visit.go("/guides/docs/api/README.md")
    visit.page.get_by_role("link", name="Create a mailbox").click()
    expect(visit.page.locator("#create-a-mailbox")).to_be_in_viewport(timeout=SECONDS)
    assert visit.barriers() == []
    visit.keep("operations-phone" if phone else "operations")
    visit.page.get_by_role("link", name="mailbox.created").click()
    expect(visit.page.locator("#mailboxcreated")).to_be_in_viewport(timeout=SECONDS)
    visit.ends_well()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_reading_view(browser: Browser, port: int, dark: bool) -> None:
    visit = Visit(browser, port, dark=dark)
    began = time.monotonic()
    visit.go("/docs/")
    page = visit.page
    page.locator("h2", has_text="Create an account").wait_for()
    seconds = time.monotonic() - began
    print(f"the reading view was there after {seconds:.1f} s")
    assert seconds < READING_SECONDS
    assert page.locator("[id^='tag/'][id*='/operation/']").count() == 106

    page.get_by_placeholder("Search...").fill("autoreply")
    page.get_by_role("menuitem", name="Set the autoreply").first.click()
    expect(page.locator("h2", has_text="Set the autoreply")).to_be_in_viewport(timeout=SECONDS)
    visit.keep("reading-dark" if dark else "reading")
    page.get_by_role("link", name="Try out").click()
    page.locator(".opblock").first.wait_for()
    visit.ends_well()

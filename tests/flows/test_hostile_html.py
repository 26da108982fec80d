"""HTML of strangers in a real browser: what getMessage gives out runs nothing and fetches only pictures."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from bson import ObjectId
from playwright.sync_api import Browser, Dialog, Page, Request, Route, sync_playwright

from tests.mail.test_display import HOSTILE

CHROMIUM = shutil.which("chromium")
PAGE = "http://webmail.test/"
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND")  # fmt: skip
RAW = {"Content-Type": "message/rfc822"}

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not CHROMIUM and os.environ.get("CI") != "true",
        reason="there is no chromium here; `apt-get install chromium` brings it",
    ),
]

# Each says `ran()` where it runs: the cases of the unit tests are about markup, these are about what happens.
LIVE = [
    "<script>ran()</script>", "<img src=x onerror=ran()>", "<svg onload=ran()>", "<svg><script>ran()</script></svg>",
    "<svg><animate onbegin=ran() attributeName=x dur=1s>", "<svg><set onbegin=ran()>", "<body onload=ran()>",
    "<svg><foreignObject><img src=x onerror=ran()></foreignObject></svg>", "<details open ontoggle=ran()>x</details>",
    "<input autofocus onfocus=ran()>", "<video><source onerror=ran()></video>", "<audio src=x onerror=ran()>",
    "<iframe srcdoc='<script>parent.ran()</script>'></iframe>", "<iframe src='javascript:parent.ran()'></iframe>",
    "<object data='javascript:ran()'></object>", "<embed src='javascript:ran()'>", "<marquee onstart=ran()>x</marquee>",
    "<p style='animation:x 1s' onanimationstart=ran()>", "<style>@keyframes x{}</style><p style='animation-name:x'>",
    "<meta http-equiv=refresh content='0;url=http://away.test/'>", "<base href=http://away.test/><img src=x.png>",
    "<meta http-equiv=refresh content='0;url=javascript:ran()'>", "<link rel=stylesheet href=http://away.test/a.css>",
    "<link rel=prefetch href=http://away.test/a>", "<link rel=import href=http://away.test/a>",
    "<style>@import 'http://away.test/b.css'; body{background:url(http://away.test/c)}</style>",
    "<p style='background:url(http://away.test/d)'>x", "<p style='background-image:u\\72l(http://away.test/e)'>x",
    "<p style=\"list-style:url('http://away.test/f')\">x", "<p style='border-image:url(http://away.test/g)'>x",
    "<p style='width:expression(ran())'>x", "<p style='cursor:url(http://away.test/h),auto'>x",
    "<form action=http://away.test/ id=f></form><img src=x onerror=f.submit()>", "<isindex action=http://away.test/>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=ran()&gt;'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=ran()>",
    "<svg></p><style><a title='</style><img src=x onerror=ran()>'>",
    "<noscript><p title='</noscript><img src=x onerror=ran()>'>", "<!--><img src=x onerror=ran()>-->",
    "<svg><title><style><img src='</style><img src=x onerror=ran()//'>",
    "<xmp><p title='</xmp><img src onerror=ran()>'>",
    "<textarea><p title='</textarea><img src=x onerror=ran()>'>", "<template><script>ran()</script></template>",
    "<select><style><img src=x onerror=ran()></style></select>", "<table><td background='http://away.test/i'>x</table>",
    "<a href='javascript:ran()'>x", "<a href='java\tscript:ran()'>x", "<a href='&#106;avascript:ran()'>x",
    "<a href='javascript&colon;ran()'>x", "<a href='data:text/html,<script>opener.ran()</script>'>x",
    "<svg><a xlink:href='javascript:ran()'><text y=20>x</text></a></svg>", "<math href='javascript:ran()'>x</math>",
    "<a href='vbscript:ran()'>x", "<a href='\x01javascript:ran()'>x", "<map name=m><area href='javascript:ran()'>",
    "<img src='http://away.test/picture.png'>", "<img srcset='http://away.test/j.png 2x'>", "<img src='cid:a@b'>",
    "<picture><source srcset=http://away.test/k></picture>", "<video poster=http://away.test/l>",
    "<img src='data:image/svg+xml,<svg onload=ran() xmlns=\"http://www.w3.org/2000/svg\">'>",
    "<script", "<img src=x onerror=ran()", "<p title=\"</p><script>ran()</script>", "<<script>ran()//<</script>",
    "<scr<script>ipt>ran()</script>", "<plaintext><script>ran()</script>", "<![CDATA[<img src=x onerror=ran()>]]>",
    "<p id=ran name=ran>x", "<a name=document><img name=cookie>", "+ADw-script+AD4-ran()+ADw-/script+AD4-",
    "<dialog open><form method=dialog><button formaction='javascript:ran()'>x</button></form></dialog>",
]  # fmt: skip


@dataclass
class Watched:
    """A page of a webmail, and all that must not happen on it."""

    page: Page
    canaries: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    pictures: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Nothing but the page itself gets through; what else is asked for is noted and refused."""
        self.page.expose_function("canary", lambda text: self.canaries.append(text))
        self.page.add_init_script("window.ran = () => window.canary(document.body?.innerHTML ?? '')")
        self.page.on("dialog", self._dismiss)
        self.page.on("popup", lambda popup: self.canaries.append(f"popup {popup.url}"))
        self.page.on("framenavigated", lambda frame: self.places.append(frame.url))
        self.page.context.route("**/*", self._refuse)
        self.show("")

    def _dismiss(self, dialog: Dialog) -> None:
        self.canaries.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _refuse(self, route: Route, request: Request) -> None:
        if request.url == PAGE and request.is_navigation_request():
            route.fulfill(body=self._document, content_type="text/html; charset=utf-8")
            return
        self.asked.append((request.resource_type, request.url))
        route.abort()

    def show(self, document: str) -> None:
        """Load a document of its own."""
        self._document = f"<!doctype html>{document}"
        self.page.goto(PAGE)

    def put_in(self, html: str) -> None:
        """What a careless webmail does; then whatever waits for a click, a focus or a mouse gets it."""
        self.page.evaluate(
            """async html => {
                 document.body.innerHTML = html;
                 await new Promise(done => setTimeout(done, 5));
                 for (const one of document.body.querySelectorAll('*')) {
                   if (one.tagName == 'A' && !/^(java|data|vb)/i.test(one.protocol)) continue;
                   for (const kind of ['mouseover', 'focus', 'click'])
                     one.dispatchEvent(new MouseEvent(kind, {bubbles: true, cancelable: true}));
                 }
                 await new Promise(done => setTimeout(done, 5));
               }""",
            html,
        )

    def wait_for(self, happens: Callable[[], Any]) -> None:
        """Fails where it does not happen in some seconds."""
        deadline = time.monotonic() + 20
        while not happens():
            assert time.monotonic() < deadline
            self.page.wait_for_timeout(20)

    def take(self) -> tuple[list[str], list[tuple[str, str]], set[str]]:
        """What has happened since the last time: scripts, requests, places."""
        taken = list(self.canaries), list(self.asked), set(self.places)
        for seen in (self.canaries, self.asked, self.places):
            seen.clear()
        return taken


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless chromium to which every name is unknown."""
    assert CHROMIUM, "CI must have chromium, see .ci/run"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A page with its canary in place."""
    watched = Watched(browser.new_page())
    watched.begin()
    yield watched
    watched.page.close()


@pytest.fixture
def received(client: Any, make_user: Callable[..., ObjectId]) -> Callable[[str], str]:
    """`received(html)`: the HTML of a message that came with this, as getMessage gives it."""
    user = make_user()
    inbox = client.get(f"/users/{user}/mailboxes/resolve?path=INBOX").json["id"]
    place = f"/users/{user}/mailboxes/{inbox}/messages"

    def give(html: str) -> str:
        raw = b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()
        uid = client.post(place, data=raw, headers=RAW).json["message"]["id"]
        return "".join(client.get(f"{place}/{uid}").json.get("html", []))

    return give


def test_the_canary_sings(watched: Watched) -> None:
    """Without the cleaning, scripts do run and requests are made: the test below can fail."""
    watched.put_in("<img src=x onerror=ran()><p style='background:url(http://away.test/d)'>x")
    watched.wait_for(lambda: watched.canaries and ("image", "http://away.test/d") in watched.asked)
    watched.take()
    watched.show("<script>ran()</script><link rel=stylesheet href=http://away.test/a.css>")
    watched.wait_for(lambda: watched.canaries and ("stylesheet", "http://away.test/a.css") in watched.asked)


def test_nothing_runs(watched: Watched, received: Callable[[str], str]) -> None:
    watched.take()
    for html in LIVE + HOSTILE:
        shown = received(html)
        watched.put_in(shown)
        check(watched, html, shown)
        watched.show(shown)
        check(watched, html, shown)
    watched.page.wait_for_timeout(200)
    check(watched, "what came late", "")


def check(watched: Watched, html: str, shown: str) -> None:
    scripts, asked, places = watched.take()
    assert not scripts, (html, shown)
    assert places <= {PAGE}, (html, shown)
    assert watched.page.url == PAGE, (html, shown)
    assert len(watched.page.frames) == len(watched.page.context.pages) == 1, (html, shown)
    watched.pictures.update(pictures(watched.page))  # of those before, some may be asked for late
    plain = {("image", url) for url in watched.pictures}
    assert set(asked) - {("other", f"{PAGE}favicon.ico")} <= plain, (html, shown)


def pictures(page: Page) -> list[str]:
    """Addresses of the images that stand plainly in the page."""
    return list(page.evaluate("() => [...document.querySelectorAll('img[src]')].map(one => one.src)"))


def test_pictures_are_still_shown(watched: Watched, received: Callable[[str], str]) -> None:
    watched.take()
    watched.put_in(received("<img src='http://away.test/picture.png'>"))
    watched.wait_for(lambda: watched.asked)
    assert watched.take()[1] == [("image", "http://away.test/picture.png")]

"""HTML of strangers: what is shown runs nothing, loads no style and hides no address."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mail.display import shown
from mail.sanitize import sanitize
from tests.rows import Row

HARMFUL = re.compile(
    r"<\s*(?:script|style|svg|math|iframe|object|embed|form|input|button|meta|link|base|template|frame|video|audio)\b"
    r"|\son\w+\s*=|javascript:|vbscript:|data:(?!image/(?:png|jpe?g|gif|webp);base64)|expression|url\s*\(|@import"
    r"|srcdoc|formaction|xlink|behavior|-moz-binding|position\s*:|\sid\s*=|\sname\s*=",
    re.I,
)

HOSTILE = [
    "<script>alert(1)</script>", "<SCRIPT SRC=//x.example/x.js></SCRIPT>", "<scr<script>ipt>alert(1)</script>",
    "<script", "<script>alert(1)", "<style>*{background:url(//x)}</style>", "<style>@import '//x'</style>",
    "<link rel=stylesheet href=//x>", "<base href=//x>", "<meta http-equiv=refresh content='0;url=javascript:1'>",
    "<svg onload=alert(1)>", "<svg><script>alert(1)</script></svg>", "<svg><a xlink:href='javascript:1'>x</a></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>", "<math><mtext><style><img src=x onerror=1></style>",
    "<math><mi xlink:href='data:x,<script>1</script>'>", "<img src=x onerror=alert(1)>", "<img src=x\nonerror\n=\nx()>",
    "<img src='javascript:alert(1)'>", "<img src=`x` onerror=1>", "<body onload=alert(1)>", "<p onclick='x()'>",
    "<a href='javascript:alert(1)'>", "<a href='JaVaScRiPt:alert(1)'>", "<a href='java\tscript:alert(1)'>",
    "<a href='java\nscript:alert(1)'>", "<a href='java\0script:alert(1)'>", "<a href=' \x01javascript:alert(1)'>",
    "<a href='&#106;avascript:alert(1)'>", "<a href='&#x6A&#x61vascript:alert(1)'>", "<a href='javascript&colon;x()'>",
    "<a href='jav&NewLine;ascript&colon;x()'>", "<a href='vbscript:x'>", "<a href='data:text/html,<script>1</script>'>",
    "<a href='da\tta:text/html;base64,PHNjcmlwdD4='>", "<a href='&#1;data:text/html,x'>", "<a href='DATA:text/html,x'>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='>", "<img src='data:image/svg+xml,<svg onload=x>'>",
    "<img src='data:text/html;base64,PHNjcmlwdD4='>", "<iframe src=//x></iframe>", "<iframe srcdoc='<script>1'>",
    "<object data=//x></object>", "<embed src=//x>", "<form action=//x><input name=password><button>Go</button></form>",
    "<button formaction='javascript:1'>", "<template><img src=x onerror=1></template>", "<video src=//x onerror=1>",
    "<p style='background:url(//x)'>", "<p style='background-color:u\\72l(//x)'>", "<p style='width:expression(x())'>",
    "<p style='width:exp/**/ression(x())'>", "<p style='-moz-binding:url(//x)'>", "<p style='behavior:url(//x)'>",
    "<p style='color:red;position:fixed;top:0'>", "<p style='list-style-type:url(//x)'>", "<p style='color:@import'>",
    "<p style='color:red\"onclick=x()'>", "<p id=cookie>", "<a name=body>", "<blockquote cite='javascript:x'>q",
    "<noscript><p title='</noscript><img src=x onerror=1>'>", "<!--><img src=x onerror=alert(1)>-->",
    "<!-- <script>1 -->",
    "<![CDATA[<script>1</script>]]>", "<?xml version=1?><script>1</script>", "<textarea><script>1</textarea>",
    "<title><img src=x onerror=1></title>", "<plaintext><script>1", "<xmp><script>1</xmp>", "<a href='x' onclick='1",
    "<table><td background='javascript:1'>", "<img srcset='javascript:1'>", "<isindex action='javascript:1'>",
    "<a href=\"x\"onmouseover=\"1\">", "<img/src/onerror=alert(1)>", "<<script>1//<</script>",
    "\ufeff<script>1</script>",
]  # fmt: skip


@pytest.mark.parametrize("html", HOSTILE)
def test_nothing_runs(html: str) -> None:
    shown = sanitize(f"<p>before</p>{html}")
    tags = " ".join(re.findall(r"<[^>]*>", shown))
    assert not HARMFUL.search(tags), shown
    assert shown.startswith("<p>before</p>")
    assert sanitize(shown) == shown


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ('<p style="color: red; margin: 0">x</p>', '<p style="color:red;margin:0">x</p>'),
        ('<img src="data:image/png;base64,AAAA" alt="x">', '<img src="data:image/png;base64,AAAA" alt="x">'),
        ('<img src="attachment:ATT00001">', '<img src="attachment:ATT00001">'),
        ('<a href="mailto:a@b.de">x</a>', '<a href="mailto:a@b.de" rel="noopener noreferrer nofollow">x</a>'),
        ('<table bgcolor="#fff"><tbody><tr><td colspan="2">x</td></tr></tbody></table>',) * 2,
        ("<b>unclosed <i>tags", "<b>unclosed <i>tags</i></b>"),
    ],
)
def test_what_people_write_stays(html: str, shown: str) -> None:
    assert sanitize(html) == shown


@pytest.mark.parametrize(
    ("header", "addresses"),
    [
        ("<https://x.example/out?a=b>, <mailto:out@x.example>", ["https://x.example/out?a=b", "mailto:out@x.example"]),
        ("https://x.example/out, <mailto:out@x.example>", ["https://x.example/out", "mailto:out@x.example"]),
        ("mailto:out@x.example", ["mailto:out@x.example"]),
    ],
)  # fmt: skip
def test_ways_out_of_a_mailing_list(header: str, addresses: list[str]) -> None:
    found = shown(message({"list-unsubscribe": header}), [])["list"]["unsubscribe"]
    assert found == [{"name": "", "address": address} for address in addresses]


@pytest.mark.parametrize(
    ("recipient", "formatted"), [("A.da+x@Example.com", "ada@example.com"), ("Postmaster", "postmaster")]
)
def test_a_recipient_in_the_form_that_addresses_are_compared_in(recipient: str, formatted: str) -> None:
    envelope = shown({**message({}), "meta": {"to": recipient}}, [])["envelope"]
    assert envelope["rcpt"] == [{"value": recipient, "formatted": formatted}]


def message(headers: dict[str, Any]) -> Row:
    fields = dict.fromkeys(("uid", "mailbox", "thread", "user", "msgid", "size"), 1)
    return {**fields, "mimeTree": {"parsedHeader": headers}}


def test_a_large_table_stays_a_table() -> None:
    html = "<table>" + "<tr><td>x</td></tr>" * 10_000 + "</table>"
    assert sanitize(html).count("<td>") == 10_000


def test_what_is_nested_as_nobody_writes_it_is_shown_as_text() -> None:
    assert sanitize("<div>" * 6000 + "Hello & <script>x</script>") == "<p>Hello &amp;</p>"

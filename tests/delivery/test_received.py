"""Where mail came from: what the MTA saw, never what the client said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from delivery.inbound.received import ReceivedForm
from server.settings.readers import received_form

SEEN = "198.51.100.7"
SAID = "203.0.113.5"


@pytest.mark.parametrize(
    ("form", "text", "client"),
    [
        ("postfix", f"from mx.a.example (out.a.example [{SEEN}]) by in.example (Postfix) with ESMTP id 4X; now",
         (SEEN, "mx.a.example")),
        ("postfix", f"from mx.a.example (unknown [{SEEN}]) (using TLSv1.3 with cipher X (256/256 bits)) "
         "(No client certificate requested) by in.example with ESMTPS id 4X for <a@b>; now", (SEEN, "mx.a.example")),
        ("postfix", f"from [{SAID}] (unknown [{SEEN}]) by in.example (Postfix) id 4X; now", (SEEN, f"[{SAID}]")),
        ("postfix", "from mx (mx.a.example [IPv6:2001:db8::7]) by in.example; now", ("2001:db8::7", "mx")),
        ("exim", f"from out.a.example ([{SEEN}] helo=mx.a.example) by in.example with esmtps; now",
         (SEEN, "mx.a.example")),
        ("exim", f"from out.a.example ([{SEEN}]:2525 helo=mx ident=mail) by in.example; now", (SEEN, "mx")),
        ("exim", f"from out.a.example ([{SEEN}]) by in.example; now", (SEEN, "out.a.example")),
        ("exim", f"from [{SEEN}] (helo=mx.a.example) by in.example; now", (SEEN, "mx.a.example")),
        ("exim", f"from [{SEEN}] (helo=[{SAID}]) by in.example; now", (SEEN, f"[{SAID}]")),
        ("exim", f"from [{SEEN}] (port=4711 helo=mx) by in.example; now", (SEEN, "mx")),
        ("exim", f"from [{SEEN}] by in.example; now", (SEEN, "")),
        ("exim", "from [2001:db8::7] (helo=mx) by in.example; now", ("2001:db8::7", "mx")),
        ("haraka", f"from mx.a.example (out.a.example [{SEEN}]) by in.example (Haraka) with ESMTPS id A.1; now",
         (SEEN, "mx.a.example")),
        ("haraka", f"from mx.a.example ([{SEEN}]) by in.example; now", (SEEN, "mx.a.example")),
        ("sendmail", f"from mx (out.a.example [{SEEN}] (may be forged)) by in.example (8.18) id x; now", (SEEN, "mx")),
        ("sendmail", f"from mx (joe@out.a.example [{SEEN}]) by in.example; now", (SEEN, "mx")),
        ("sendmail", f"from [{SAID}] ([{SEEN}]) by in.example; now", (SEEN, f"[{SAID}]")),
        ("qmail", f"from unknown (HELO mx.a.example) ({SEEN}) by in.example with SMTP; now", (SEEN, "mx.a.example")),
        ("qmail", f"from out.a.example ({SEEN}) by in.example with SMTP; now", (SEEN, "out.a.example")),
        ("qmail", f"from unknown (HELO ?{SAID}?) (joe@{SEEN}) by in.example; now", (SEEN, f"?{SAID}?")),
        ("qmail", "from unknown (HELO mx) (2001:db8::7) by in.example; now", ("2001:db8::7", "mx")),
    ],
)  # fmt: skip
def test_each_mta_by_its_name_and_by_itself(form: str, text: str, client: tuple[str, str]) -> None:
    assert ReceivedForm(form).read(text) == client
    ip, name = ReceivedForm().read(text)
    assert ip == client[0]
    assert name in (client[1], "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"(from joe@localhost) by in.example; [{SAID}]",
        f"by in.example with ESMTP; [{SAID}]",
        f"from mx.a.example by in.example with ESMTP (client [{SAID}]); now",
        f"from mx [{SAID}] by in.example; now",
        f"from mx (HELO [{SAID}]) by in.example; now",
        f"from mx (unknown [UNIX:/run/{SAID}]) by in.example; now",
        "from mx (unknown [999.1.1.1]) by in.example; now",
        f"from x (out.bank.example [{SAID}]) (unknown [{SEEN}]) by in.example; now",
        f"from x ([{SAID}] helo=y) (unknown [{SEEN}]) by in.example; now",
        f"from [{SAID}] (helo=y) (unknown [{SEEN}]) by in.example; now",
        f"from x ({SAID}) (unknown [{SEEN}]) by in.example; now",
        f"from x (HELO y) ({SAID}) (HELO z) ({SEEN}) by in.example; now",
        f"from x (a [{SAID}]) by z (unknown [{SEEN}]) by in.example; now",
        f"from {SAID} (helo=x [{SEEN}]) by in.example; now",
    ],
)
def test_what_looks_like_none_of_them_says_nothing(text: str) -> None:
    """A HELO of several words, where an MTA lets it through, makes two addresses; neither is believed."""
    assert ReceivedForm().read(text) == ("", "")


def test_the_form_of_one_mta_is_not_that_of_another() -> None:
    assert ReceivedForm("postfix").read(f"from [{SAID}] (helo=x) by in.example; now") == ("", "")
    assert ReceivedForm("none").read(f"from mx (mx [{SEEN}]) by in.example; now") == ("", "")


def test_a_form_of_ones_own() -> None:
    form = ReceivedForm(r"from (?P<helo>\S+) seen at (?P<ip>\S+) by")
    assert form.read(f"from  [{SAID}]\r\n\tseen at {SEEN} by x; now") == (SEEN, f"[{SAID}]")
    assert form.read(f"from mx (mx [{SEEN}]) by in.example; now") == ("", "")
    for wrong in ("postfx", "from (", r"from (\S+)"):
        with pytest.raises(ValueError, match="neither a known MTA"):
            received_form(wrong)


@pytest.mark.parametrize(
    ("received", "spf"),
    [
        (f"from [{SAID}] (unknown [{SEEN}]) by mx.example.net", False),
        (f"from x([{SAID}] (unknown [{SEEN}]) by mx.example.net", False),
        (f"from out.bank.example (unknown [{SEEN}]) by mx.example.net", False),
        (f"from out.bank.example (out.bank.example [{SAID}]) by mx.example.net", "bank.example"),
    ],
)
def test_an_address_that_the_client_wrote_passes_no_spf(
    lmtp: Any, inboxes: Any, make_user: Callable[..., ObjectId], received: str, spf: str | bool
) -> None:
    ada = make_user("ada")
    lmtp.dns.records[("bank.example", "TXT")] = [f"v=spf1 ip4:{SAID} -all"]
    raw = f"Received: {received}; now\r\nFrom: ceo@bank.example\r\nTo: ada@example.com\r\n\r\nHello\r\n"
    lmtp.send(raw.encode(), "ada@example.com", sender="ceo@bank.example")
    (stored,) = inboxes.messages(ada)
    assert stored["verificationResults"]["spf"] == spf

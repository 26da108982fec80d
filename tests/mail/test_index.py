"""What is stored of a message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mail.charsets import decode as decode_charset
from mail.content import unwrap
from mail.headers import addresses, decode_words, decoded_addresses, read_date
from mail.html import html_to_text, text_to_html
from mail.message import index
from mail.parameters import file_name, parse
from mail.threads import normalize_subject, thread_ids
from tests.rows import Row

NOW = datetime(2026, 1, 2, tzinfo=UTC)

MIXED = b"""\
From: =?utf-8?q?Gr=C3=A4ce?= <grace@xn--bcher-kva.example>
To: "Lovelace, Ada" <ada@example.com>, team: bob@example.com, carol@example.com;
Subject: Re: =?iso-8859-1?b?5A==?=  minutes
Date: Wed, 31 Jan 2024 12:20:30 +0200
Message-ID: <1@example.com>
References: <0@example.com> <00@example.com>
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: multipart/related; boundary=r

--r
Content-Type: text/html; charset=iso-8859-1

<p>Sch\xf6n</p><img src="cid:logo@x">
--r
Content-Type: image/png
Content-ID: <logo@x>
Content-Transfer-Encoding: base64
Content-Disposition: inline; filename=logo.png

QUJD
--r--
--b
Content-Type: application/pdf; name="=?utf-8?q?r=C3=A9sum=C3=A9.pdf?="
Content-Disposition: attachment

pdf
--b--
""".replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def mixed() -> Row:
    return index(MIXED, NOW).document


def test_what_people_see(mixed: dict[str, Any]) -> None:
    assert mixed["subject"] == "Re: ä minutes"
    assert mixed["text"] == "Schön"
    assert mixed["intro"] == "Schön"
    assert mixed["html"] == ['<p>Schön</p><img src="attachment:ATT00001">']
    assert mixed["hdate"] == datetime(2024, 1, 31, 10, 20, 30, tzinfo=UTC)
    assert mixed["msgid"] == "<1@example.com>"
    assert mixed["ha"] is True


def test_attachments(mixed: dict[str, Any]) -> None:
    logo, resume = mixed["attachments"]
    assert logo == {
        "id": "ATT00001",
        "filename": "logo.png",
        "contentType": "image/png",
        "disposition": "inline",
        "transferEncoding": "base64",
        "cid": "<logo@x>",
        "related": True,
        "sizeKb": 1,
        "size": 4,
    }
    assert (resume["filename"], resume["related"], resume["cid"]) == ("résumé.pdf", False, None)


def test_bodies_are_stored_decoded_where_nothing_is_lost() -> None:
    logo, resume = index(MIXED, NOW).bodies
    assert (logo.content, logo.line_length, logo.encoded_size) == (b"ABC", 76, 4)
    assert (resume.content, resume.line_length) == (b"pdf", None)


def test_searches_see_decoded_lower_case(mixed: dict[str, Any]) -> None:
    assert {"key": "subject", "value": "re: ä  minutes"} in mixed["headers"]
    assert {"key": "from", "value": "gräce <grace@xn--bcher-kva.example>"} in mixed["headers"]


def test_envelope(mixed: dict[str, Any]) -> None:
    grace = [["Gräce".encode(), None, b"grace", "bücher.example".encode()]]
    assert mixed["envelope"] == [
        "Wed, 31 Jan 2024 12:20:30 +0200",
        "Re: ä minutes".encode(),
        grace,
        grace,
        grace,
        [
            [b"Lovelace, Ada", None, b"ada", b"example.com"],
            [None, None, b"team", None],
            [None, None, b"bob", b"example.com"],
            [None, None, b"carol", b"example.com"],
            [None, None, None, None],
        ],
        None,
        None,
        None,
        "<1@example.com>",
    ]


def test_bodystructure(mixed: dict[str, Any]) -> None:
    related, pdf, *rest = mixed["bodystructure"]
    html, logo, *_ = related
    assert html == [
        "TEXT",
        "HTML",
        ["CHARSET", b"iso-8859-1"],
        None,
        None,
        "7BIT",
        34,
        0,
        None,
        None,
        None,
        None,
    ]
    assert logo[:7] == ["IMAGE", "PNG", None, "<logo@x>", None, "BASE64", 4]
    assert logo[8] == ["INLINE", ["FILENAME", b"logo.png"]]
    assert pdf[2] == ["NAME", "résumé.pdf".encode()]
    assert rest[:2] == ["MIXED", ["BOUNDARY", b"b"]]


def test_what_imap_has_no_form_for_is_not_kept_for_it() -> None:
    """Texts that are no ASCII are bytes, and no string can end the line of the answer that it is quoted in."""
    document = index(
        "From: =?utf-8?q?a=0D=0AX=00?= <a@x>\r\nSubject: =?utf-8?q?b=00c?=\r\n"
        "Content-Type: text/pläin; name==?utf-8?q?d=0D=0Ae?=\r\n"
        "Content-Transfer-Encoding: ä\r\nContent-Disposition: ö\r\nContent-Language: ü\r\n\r\n".encode(),
        NOW,
    ).document
    assert document["envelope"][1] == b"b c"
    assert document["envelope"][2] == [[b"a X", None, b"a", b"x"]]
    assert document["bodystructure"] == [
        "TEXT", "PLÄIN".encode(), ["NAME", b"d e"], None, None, "Ä".encode(), 0, 0, None, ["Ö".encode(), None],
        ["Ü".encode()], None,
    ]  # fmt: skip


def test_threads_follow_ids_and_subject() -> None:
    first, second = (
        index(MIXED, NOW),
        index(b"In-Reply-To: <1@example.com>\r\nSubject: RE: \xc3\xa4 minutes\r\n\r\n", NOW),
    )
    assert first.thread_subject == second.thread_subject == "ä minutes"
    assert set(first.thread_ids) & set(second.thread_ids)
    assert thread_ids({}) == []


@pytest.mark.parametrize(
    ("subject", "normal"),
    [
        ("Re: [EXTERNAL] Re: Fwd: X (fwd)", "X"),
        ("[only]", "[only]"),
        ("AW: x", "AW: x"),
        ("Re[2]: x", "Re[2]: x"),
        ("re :  fw:fwd: Case  kept", "Case kept"),
        ("Re:", ""),
    ],
)
def test_subjects_of_threads(subject: str, normal: str) -> None:
    assert normalize_subject(subject) == normal


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("=?utf-8?q?a_b=C3=A4?=", "a bä"),
        ("=?utf-8?b?w6Q=?= =?utf-8?b?w6Q=?=", "ää"),
        ("=?utf-8?b?w?= =?utf-8?q?x?=", "x"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"),
        ("x =?iso-8859-1?q?=E4?= y", "x ä y"),
        ("=?unknown?q?=C3=A4?=", "ä"),
        ("=?utf-8*en?q?x?=", "x"),
        ("plain =? text", "plain =? text"),
        ("=?utf-8?q?=ED=A0=80?=", "\ufffd\ufffd\ufffd"),
    ],
)
def test_encoded_words(text: str, decoded: str) -> None:
    assert decode_words(text) == decoded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.com", [{"name": "", "address": "ada@example.com"}]),
        ("Ada L <ada@example.com>", [{"name": "Ada L", "address": "ada@example.com"}]),
        ('"L, Ada \\"x\\"" <ada@example.com>', [{"name": 'L, Ada "x"', "address": "ada@example.com"}]),
        ("ada@example.com (Ada)", [{"name": "Ada", "address": "ada@example.com"}]),
        ("undisclosed-recipients:;", [{"name": "undisclosed-recipients", "group": []}]),
        ("just a name", [{"name": "just a name", "address": ""}]),
        (",, ,", []),
        ("a <b", [{"name": "a <b", "address": ""}]),
        ("J <@one.example,@two.example:john@example.com>", [{"name": "J", "address": "john@example.com"}]),
        ("P <(box)pete@example.com(his host)>", [{"name": "P", "address": "pete@example.com"}]),
    ],
)
def test_addresses(text: str, expected: list[dict[str, Any]]) -> None:
    assert addresses(text) == expected


def test_names_and_domains_are_decoded() -> None:
    given = addresses("g: =?utf-8?q?=C3=A4?= <a@xn--bcher-kva.example>;")
    assert decoded_addresses(given) == [
        {"name": "g", "group": [{"name": "ä", "address": "a@bücher.example"}]}
    ]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("Wed, 31 Jan 2024 10:20:30 +0000", datetime(2024, 1, 31, 10, 20, 30, tzinfo=UTC)),
        ("31 Jan 2024 12:20:30 EET", datetime(2024, 1, 31, 10, 20, 30, tzinfo=UTC)),
        ("Wed, 31 Jan 2024 10:20:30 GMT (comment)", datetime(2024, 1, 31, 10, 20, 30, tzinfo=UTC)),
        ("2024-01-31T10:20:30Z", datetime(2024, 1, 31, 10, 20, 30, tzinfo=UTC)),
        ("not a date", None),
        ("Wed, 31 Jan 99999 10:20:30 +0000", None),
    ],
)
def test_dates(text: str, date: datetime | None) -> None:
    assert read_date(text) == date


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=\"a;b\\\"c.txt\"", 'a;b"c.txt'),
        ("attachment; filename*=utf-8''r%C3%A9sum%C3%A9.pdf", "résumé.pdf"),
        ("attachment; filename*0*=iso-8859-1''r%E9; filename*1=sum; filename*2*=%E9.pdf", "résumé.pdf"),
        ("attachment; filename*0=ab; filename*1=cd.txt", "abcd.txt"),
        ("attachment; filename='x.txt'", "x.txt"),
        ("attachment; FILENAME=y.txt", "y.txt"),
    ],
)  # fmt: skip
def test_file_names(header: str, name: str) -> None:
    assert file_name(parse(header), parse("text/plain")) == name


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"\xc3\xa4", "", "ä"),
        (b"\xe4", "", "ä"),
        (b"\xe4", "us-ascii", "\ufffd"),
        ("日本".encode("iso-2022-jp"), "iso-2022-jp", "日本"),
        ("привет".encode("koi8-r"), "KOI8-R", "привет"),
        (b"\xa4", "iso-8859-15", "€"),
        (b"x", "base64", "x"),
        (b"\xe4", "no-such-charset", "ä"),
        (b"\xe4", "idna", "ä"),
        (b"\xe4", "undefined", "ä"),
        (b"\xe4-", "punycode", "ä-"),
        (b"\\u0041", "unicode_escape", "\\u0041"),
        (b"\x93hi\x94 \x80", "iso-8859-1", "“hi” €"),
        ("镕".encode("gbk"), "gb2312", "镕"),
        ("똠".encode("cp949"), "ks_c_5601-1987", "똠"),
        ("①".encode("cp932"), "shift_jis", "①"),
        (b"\xf9\xd6", "big5", "碁"),
        (b"\x1b(I1\x1b(B", "iso-2022-jp", "ｱ"),
    ],
)
def test_charsets(data: bytes, charset: str, text: str) -> None:
    assert decode_charset(data, charset) == text


def test_flowed_text() -> None:
    assert unwrap("one \r\ntwo\r\n> quoted \r\n> more", delsp=False) == "one two\n> quoted \n> more"
    assert unwrap("one \r\ntwo", delsp=True) == "onetwo"


def test_html_and_text() -> None:
    assert html_to_text("<style>x</style><p>a<b>b</b></p><p>c <a href='https://x.example/'>d</a></p>") == (
        "ab\n\nc d [https://x.example/]"
    )
    assert text_to_html("a <b>\nc\n\nd") == "<p>a &lt;b&gt;<br/>c</p>\n<p>d</p>"


def test_a_preview_leaves_out_quotes_and_rules() -> None:
    raw = b"Subject: x\r\n\r\n> quoted\r\n-----\r\n[tag] " + b"word " * 60
    intro = index(raw, NOW).document["intro"]
    assert intro.startswith("word word")
    assert intro.endswith("word…")
    assert len(intro) <= 129

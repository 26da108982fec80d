"""Messages as no sane program writes them, for property tests."""

from __future__ import annotations

import binascii
from base64 import b64encode
from collections.abc import Sequence

from hypothesis import strategies as st

LINE_ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r\r\n", b"\r"])
BOUNDARIES = st.sampled_from([b"x", b"x", b"y", b"xx", b"x--", b"a'b(c)", b"--", b"\xc3\xa4", b"z" * 80])
FIELDS = st.sampled_from(
    [
        b"Subject: plain", b"Subject: folded\r\n over\r\n\ttwo", b"Subject: \xe4\xf6 8-bit", b"Subject:",
        "Subject: ä in UTF-8".encode(), b"Subject: =?utf-8?q?=C3=A4?=\r\n =?utf-8?q?_x?=", b"subject : blank before",
        b"From: Ada <ada@example.com>", b"From: =?iso-8859-1?q?J=FCrgen?= <j@xn--bcher-kva.example>", b"From: ,,;:<",
        b"To: g: a@example.com, B <b@example.com>;, c@example.com", b"Cc: a@b\r\nCc: c@d", b"Date: Mon, 99 Foo",
        b"Date: Fri, 2 Jan 2026 03:04:05 +0100", b"Message-ID: <1@x>", b"Message-ID:\r\n <1@x>", b"no colon here",
        b": no name", b"X-NUL: \0\0", b"X-CR: a\rb", b"X-Blank:   \t ", b" starts with a fold", b"X-\xff: name",
        b"In-Reply-To: <0@x>", b"Content-Language: de, en", b"Content-Disposition: attachment; filename=\"a;b\"",
        b"Content-Disposition: inline; filename*0*=utf-8''%C3%A4; filename*1=.txt", b"Content-ID: <c@x>",
        b"Content-Type: text/html; charset=\"utf-8\"", b"Content-Type:", b"Content-Type: ;;=;\"", b"$where: .a.b",
    ]
)  # fmt: skip
ENCODINGS = st.sampled_from(
    [b"", b"7bit", b"8bit", b"binary", b"base64", b"BASE64 ", b"quoted-printable", b"x-uu"]
)
TYPES = st.sampled_from(
    [
        b"", b"text/plain", b"text/html; charset=iso-8859-1", b"text/plain; format=flowed",
        b"application/pdf; name=a.pdf",
        b"image/png", b"message/delivery-status", b"message/rfc822", b"MESSAGE/RFC822", b"text", b"multipart/mixed",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        b"words", b"", b" ", b"--x", b"--x--", b"--x \t", b"--x-- ", b"--y", b"--y--", b"--xx", b"--", b"\0",
        b"\xff\xfe",
        b".", b"From x", b"soft=", b"=3D=zz", b"trailing  ", b"a\rb", b"<p>&amp;</p>", b"cid:c@x", b"begin 644 a",
    ]
)  # fmt: skip


@st.composite
def header(draw: st.DrawFn, more: Sequence[bytes] = ()) -> bytes:
    """Some header fields in any order, each with a line end of its own."""
    fields = draw(st.permutations([*draw(st.lists(FIELDS, max_size=4)), *more]))
    return b"".join(field + draw(LINE_ENDS) for field in fields)


@st.composite
def base64_text(draw: st.DrawFn) -> bytes:
    """base64 of lines of any length; padding, alphabet and the last line may be wrong."""
    text = b64encode(draw(st.binary(max_size=200)))
    length = draw(st.sampled_from([1, 2, 3, 4, 5, 57, 60, 64, 72, 75, 76, 77, 78, 80, 998, 999]))
    end = draw(LINE_ENDS)
    lines = [text[start : start + length] for start in range(0, len(text), length)]
    broken = draw(
        st.sampled_from([b"", b"", b"", b"=", b"====", b"!", b" ", b"A", b"\r\n", b"\r\n\r\nfooter"])
    )
    return end.join(lines) + broken + draw(st.sampled_from([b"", end]))


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Lines of a body, the last of them perhaps without an end."""
    body = b"".join(word + draw(LINE_ENDS) for word in draw(st.lists(WORDS, max_size=6)))
    return body + draw(st.sampled_from([b"", b"no end", b"\0", b"\r"]))


def quoted_printable() -> st.SearchStrategy[bytes]:
    """Quoted-printable of any bytes."""
    return st.binary(max_size=100).map(lambda data: binascii.b2a_qp(data, istext=False))


@st.composite
def leaf(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    """A part without parts, which may be a whole message inside."""
    kind, encoding = draw(TYPES), draw(ENCODINGS)
    more = [b"Content-Type: " + kind] if kind else []
    more += [b"Content-Transfer-Encoding: " + encoding] if encoding else []
    body = draw(st.one_of(lines(), base64_text(), quoted_printable(), st.binary(max_size=60), inner))
    return draw(header(more)) + draw(LINE_ENDS) + body


@st.composite
def multipart(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    """Parts between boundaries that may be those of others, have blanks after them, or never end."""
    boundary = draw(BOUNDARIES)
    kind = draw(st.sampled_from([b"mixed", b"alternative", b"related", b"MIXED", b"digest"]))
    quote = draw(st.sampled_from([b'"', b"", b'"']))
    field = b"Content-Type: multipart/%s; boundary=%s%s%s" % (kind, quote, boundary, quote)
    out = draw(header([field])) + draw(LINE_ENDS)
    out += draw(st.sampled_from([b"", b"preamble\r\n", b"\r\n", b"pre\0amble\n"]))
    blank = st.sampled_from([b"", b"", b"", b" ", b" \t"])
    for part in draw(st.lists(inner, max_size=3)):
        out += (
            b"--"
            + boundary
            + draw(blank)
            + draw(LINE_ENDS)
            + part
            + draw(st.sampled_from([b"\r\n", b"\n", b""]))
        )
    end = draw(st.sampled_from([b"--", b"--", b"-- ", b"", None]))
    if end is not None:
        out += b"--" + boundary + end + draw(st.sampled_from([b"\r\n", b"", b"\n"]))
    return out + draw(st.sampled_from([b"", b"", b"epilogue", b"\r\nepilogue\r\n", b"\r\n\r\n"]))


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A message that was cut somewhere, or got bytes in its middle."""
    raw = draw(whole)
    place = draw(st.integers(0, len(raw)))
    return (
        raw[:place]
        + draw(st.one_of(st.just(b""), st.binary(max_size=8)))
        + raw[place:][draw(st.integers(0, 9)) :]
    )


TREES = st.recursive(
    leaf(st.just(b"")), lambda inner: st.one_of(multipart(inner), leaf(inner), multipart(inner)), max_leaves=5
)
MESSAGES = st.one_of(TREES, TREES, damaged(TREES), st.binary(max_size=200))

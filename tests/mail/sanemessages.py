"""Messages as mail programs write them, for property tests that say exactly what must come of them."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import b2a_qp
from hashlib import sha256

from hypothesis import strategies as st

BARE_LF = re.compile(rb"(?<!\r)\n")
HEADERS = (
    b'From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.com>\r\nTo: a@example.com, "B, C" <b@example.com>\r\n'
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n an alle\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"
)


TYPES = [b"text/plain; charset=utf-8", b"text/html; charset=utf-8", b"application/pdf; name=a.pdf"]


@st.composite
def sane_leaf(draw: st.DrawFn) -> bytes:
    """A file or a text, encoded as its header says."""
    kind = draw(
        st.sampled_from(
            [b"text/plain; charset=utf-8", b"text/html; charset=utf-8", b"application/pdf; name=a.pdf"]
        )
    )
    data = draw(st.one_of(st.text(max_size=300).map(str.encode), st.binary(max_size=300)))
    if draw(st.booleans()):
        return b"Content-Type: %s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n%s" % (
            kind, BARE_LF.sub(b"\r\n", b2a_qp(data, istext=False)),
        )  # fmt: skip
    length = draw(st.sampled_from([60, 72, 76, 78]))
    text = b64encode(data)
    rows = b"\r\n".join(text[start : start + length] for start in range(0, len(text), length))
    end = draw(st.sampled_from([b"", b"\r\n"]))
    return b"Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n%s" % (kind, rows + end)


@st.composite
def sane_multipart(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    """One to four parts, with a preamble or an epilogue at times; the boundary is that of no other."""
    within = draw(st.lists(inner, min_size=1, max_size=4))
    boundary = sha256(b"".join(within)).hexdigest()[:20].encode()
    kind = draw(st.sampled_from([b"mixed", b"alternative", b"related"]))
    parts = b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in within)
    preamble = draw(st.sampled_from([b"", b"", b"This is MIME.\r\n"]))
    epilogue = draw(st.sampled_from([b"\r\n", b"\r\n", b"", b"\r\nafter\r\n"]))
    head = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (kind, boundary)
    return head + preamble + parts + b"--%s--" % boundary + epilogue


@st.composite
def sane_embedded(draw: st.DrawFn, inner: st.SearchStrategy[bytes]) -> bytes:
    """A forwarded message."""
    return b"Content-Type: message/rfc822\r\n\r\n" + HEADERS + draw(inner)


SANE = st.recursive(
    sane_leaf(),
    lambda inner: st.one_of(sane_multipart(inner), sane_multipart(inner), sane_embedded(inner)),
    max_leaves=6,
).map(lambda part: HEADERS + part)

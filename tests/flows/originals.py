"""One message of each kind as the original stores them, beside the bytes that it got and what must be seen of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bson import ObjectId

from tests.flows.wildduck import File, Stored, attachment, branch, leaf, lines

PEOPLE = ["From: =?UTF-8?Q?Gr=C3=A4ce?= <grace@example.org>", "To: Ada <ada@example.com>, bob@example.net"]
PDF = b"%PDF-1.4 " + bytes(range(256)) * 3
PNG = b"\x89PNG\r\n" + bytes(range(100, 200))
CSV = b"a;b\r\n1;2\r\n"
ARMOUR = b"-----BEGIN PGP MESSAGE-----\r\n\r\nwcBMA\r\n-----END PGP MESSAGE-----\r\n"
LONG = b"".join(b"%06d quicksilver is a word of this long text\r\n" % n for n in range(6600))
REFERENCE = {"action": "reply", "mailbox": "5" * 24, "id": 1}


@dataclass
class Kind:
    """`files` are (id, name, content) of attachments, `old` the content of those with ids of old; `word` is found."""

    make: Callable[[], Stored]
    raw: bytes
    text: str = ""
    html: str = ""
    files: list[tuple[str, str, bytes]] = field(default_factory=list)
    word: str = "quicksilver"
    flags: set[str] = field(default_factory=set)
    old: list[bytes] = field(default_factory=list)


def top(message_id: str, *more: str) -> list[str]:
    return [*PEOPLE, f"Subject: Plan {message_id}", f"Message-ID: <{message_id}@example.org>",
            "Date: Fri, 2 Jan 2026 03:04:05 +0000", "MIME-Version: 1.0", *more]  # fmt: skip


def raw(header: list[str], body: bytes) -> bytes:
    return "\r\n".join([*header, "", ""]).encode("latin-1") + body


PLAIN = top("plain", "X-Raw: gr\xc3\xbcn", "Content-Type: text/plain; charset=utf-8")
PLAIN_BODY = "Dear Ada, a quicksilver mörning\r\nGrace".encode()


def plain() -> Stored:
    """Nothing but text, in UTF-8 as it is; header fields are Latin-1 strings of their bytes."""
    text = PLAIN_BODY.decode().replace("\r\n", "\n")
    fields = {"subject": "Plan plain", "text": text, "intro": text.replace("\n", " ")}
    return Stored(
        leaf(PLAIN, PLAIN_BODY), fields={**fields, "html": [f"<p>{text.replace(chr(10), '<br/>')}</p>"]}
    )


FILES = top("files", 'Content-Type: multipart/mixed; boundary="outer"')
RELATED = ["Content-Type: multipart/related; boundary=inner"]
ALTERNATIVE = ["Content-Type: multipart/alternative; boundary=both"]
TEXT = ["Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable"]
HTML = ["Content-Type: text/html; charset=utf-8"]
PNG_HEAD = ["Content-Type: image/png; name=logo.png", "Content-Transfer-Encoding: base64", "Content-ID: <logo@x>",
            "Content-Disposition: inline; filename=logo.png"]  # fmt: skip
PDF_HEAD = ["Content-Type: application/pdf; name=plan.pdf", "Content-Transfer-Encoding: base64",
            "Content-Disposition: attachment;\r\n filename=plan.pdf"]  # fmt: skip
CSV_HEAD = ["Content-Type: text/csv; charset=utf-8", "Content-Disposition: attachment; filename=a.csv"]
QP_HEAD = ["Content-Type: text/x-notes", "Content-Transfer-Encoding: quoted-printable",
           "Content-Disposition: attachment; filename=notes.txt"]  # fmt: skip
QP_BODY = b"caf=C3=A9 =\r\nau lait\r\n"
TEXT_BODY, HTML_BODY = (
    b"A quicksilver gr=FC=DFe",
    b'<p>A quicksilver gr\xc3\xbc\xc3\x9fe <img src="cid:logo@x"></p>',
)
FILES_BODY = b"\r\n".join(
    [
        b"--outer", *(line.encode() for line in RELATED), b"",
        b"--inner", *(line.encode() for line in ALTERNATIVE), b"",
        b"--both", *(line.encode() for line in TEXT), b"", TEXT_BODY,
        b"--both", *(line.encode() for line in HTML), b"", HTML_BODY, b"--both--", b"",
        b"--inner", *(line.encode() for line in PNG_HEAD), b"", lines(PNG), b"--inner--", b"",
        b"--outer", *(line.encode() for line in PDF_HEAD), b"", lines(PDF) + b"\r\n",
        b"--outer", *(line.encode() for line in CSV_HEAD), b"", CSV,
        b"--outer", *(line.encode() for line in QP_HEAD), b"", QP_BODY, b"--outer--", b"",
    ]
)  # fmt: skip


def files() -> Stored:
    """Text twice, a picture within it, and files in every encoding. The last line break of the PDF's base64 is lost."""
    png, pdf = File(lines(PNG), "image/png"), File(lines(PDF) + b"\r\n", "application/pdf")
    csv = File(CSV, "text/csv", "7bit", None)
    notes = File(QP_BODY, "text/x-notes", "quoted-printable", None)
    both = branch(ALTERNATIVE, leaf(TEXT, TEXT_BODY), leaf(HTML, HTML_BODY))
    related = branch(RELATED, both, leaf(PNG_HEAD, png.encoded, "ATT00001"))
    parts = [
        leaf(PDF_HEAD, pdf.encoded, "ATT00002"),
        leaf(CSV_HEAD, CSV, "ATT00003"),
        leaf(QP_HEAD, QP_BODY, "ATT00004"),
    ]
    fields = {
        "subject": "Plan files", "text": "A quicksilver grüße", "intro": "A quicksilver grüße",
        "html": ['<p>A quicksilver grüße <img src="attachment:ATT00001"></p>'],
        "attachments": [
            attachment(1, "logo.png", png, related=True, cid="<logo@x>"), attachment(2, "plan.pdf", pdf),
            attachment(3, "a.csv", csv), attachment(4, "notes.txt", notes),
        ],
    }  # fmt: skip
    stored = {"ATT00001": png, "ATT00002": pdf, "ATT00003": csv, "ATT00004": notes}
    return Stored(branch(FILES, related, *parts), stored, fields)


SECRET = top("secret", 'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="nm_1"',
             "Content-Description: OpenPGP encrypted message", "Content-Transfer-Encoding: 7bit")  # fmt: skip
VERSION_HEAD = ["Content-Type: application/pgp-encrypted", "Content-Transfer-Encoding: 7bit"]
ARMOUR_HEAD = ['Content-Type: application/octet-stream; name="encrypted.asc"', "Content-Transfer-Encoding: 7bit",
               'Content-Disposition: inline; filename="encrypted.asc"']  # fmt: skip
PREAMBLE, VERSION = b"This is an OpenPGP/MIME encrypted message\r\n\r\n", b"Version: 1\r\n"
SECRET_BODY = PREAMBLE + b"\r\n".join(
    [
        b"--nm_1", *(line.encode() for line in VERSION_HEAD), b"", VERSION,
        b"--nm_1", *(line.encode() for line in ARMOUR_HEAD), b"", ARMOUR, b"--nm_1--", b"",
    ]
)  # fmt: skip


def secret() -> Stored:
    """Encrypted at rest: no text, no HTML, an empty preview."""
    version = File(VERSION, "application/pgp-encrypted", "7bit", None)
    armour = File(ARMOUR, "application/octet-stream", "7bit", None)
    parts = [leaf(VERSION_HEAD, VERSION, "ATT00001"), leaf(ARMOUR_HEAD, ARMOUR, "ATT00002")]
    listed = [attachment(1, "1b2c3d4e.bin", version), attachment(2, "encrypted.asc", armour)]
    fields = {"subject": "Plan secret", "intro": "", "attachments": listed, "flags": ["\\Seen"]}
    files = {"ATT00001": version, "ATT00002": armour}
    return Stored(branch(SECRET, *parts, preamble=PREAMBLE), files, fields)


DRAFT = top("draft", "Bcc: eve@example.com", "Content-Type: text/plain; charset=utf-8")
DRAFT_BODY = b"A quicksilver thought\r\n"


def draft() -> Stored:
    """A draft of the API's, with all that is remembered of it."""
    meta = {
        "source": "API", "from": "", "origin": "127.0.0.1", "transtype": "UPLOAD", "time": 1.7e12, "custom": '{"a":1}',
        "reference": REFERENCE, "envelope": {"from": "ada@example.com", "to": ["grace@example.org"]},
        "files": [{"id": "6" * 24, "filename": "x.txt", "contentType": "text/plain", "size": 3, "cid": None}],
    }  # fmt: skip
    text = DRAFT_BODY.decode().strip()
    fields = {
        "subject": "Plan draft",
        "text": text,
        "intro": text,
        "flags": ["\\Seen", "\\Draft"],
        "meta": meta,
    }
    return Stored(leaf(DRAFT, DRAFT_BODY), fields={**fields, "html": None, "attachments": None})


OLD = top("old", "Content-Type: multipart/mixed; boundary=b")
OLD_TEXT = ["Content-Type: text/plain"]
OLD_BODY = b"\r\n".join(
    [
        b"--b", OLD_TEXT[0].encode(), b"", b"quicksilver",
        b"--b", *(line.encode() for line in PDF_HEAD), b"", lines(PDF, 60), b"--b--", b"",
    ]
)  # fmt: skip
OLD_FIELDS = ("root", "v", "retention", "retentionTime", "copied", "filters", "attachmentMap",
              "verificationResults", "forwardTargets")  # fmt: skip


def old() -> Stored:
    """From before the map of attachments, with an expiry in doubles and a boolean that a STORE has left behind."""
    file_id = ObjectId()
    pdf = File(lines(PDF, 60), "application/pdf", lines=60, id=file_id)
    listed = [{**attachment(1, "plan.pdf", pdf), "id": str(file_id)}]
    tree = branch(OLD, leaf(OLD_TEXT, b"quicksilver"), leaf(PDF_HEAD, pdf.encoded, file_id))
    meta = {"source": "IMAP", "from": "", "to": "ada@example.com", "time": 1.5e12, "custom": {"a": 1}}
    fields = {
        "subject": "Plan old", "text": "quicksilver", "html": [], "attachments": listed, "meta": meta, "exp": True,
        "rdate": 4e12, "flags": ["\\Seen", "\\Flagged", "\\Answered"], "flagged": False, "size": 5000.0,
    }  # fmt: skip
    return Stored(tree, {"ATT00001": pdf}, fields, OLD_FIELDS)


LARGE = top("large", "Content-Type: text/plain")


def large() -> Stored:
    """Text beyond 300 KiB is in the bucket, but no attachment."""
    text = LONG.decode().replace("\r\n", "\n").strip()
    fields = {
        "subject": "Plan large",
        "text": text[:1024],
        "textFooter": text[1024:102_400],
        "intro": text[:120],
    }
    return Stored(leaf(LARGE, LONG, "ATT00001"), {"ATT00001": File(LONG, "text/plain", "7bit", None)}, fields)


ABOUT = top("about", "Content-Type: multipart/mixed; boundary=o")
INNER = top("inner", "Content-Type: multipart/mixed; boundary=i")
NOTE = ["Content-Type: text/plain"]
WITHIN = ["Content-Type: message/rfc822"]
INNER_BODY = b"\r\n".join(
    [
        b"--i", NOTE[0].encode(), b"", b"quicksilver inside",
        b"--i", *(line.encode() for line in CSV_HEAD), b"", CSV, b"--i--", b"",
    ]
)  # fmt: skip
ABOUT_BODY = b"\r\n".join(
    [
        b"--o",
        NOTE[0].encode(),
        b"",
        b"see",
        b"--o",
        WITHIN[0].encode(),
        b"",
        raw(INNER, INNER_BODY),
        b"--o--",
        b"",
    ]
)


def about() -> Stored:
    """A message within: it is one attachment, and what is attached to it is another, stored once more."""
    message, csv = (
        File(raw(INNER, INNER_BODY), "message/rfc822", "7bit", None),
        File(CSV, "text/csv", "7bit", None),
    )
    inner = branch(INNER, leaf(NOTE, b"quicksilver inside"), leaf(CSV_HEAD, CSV, "ATT00002"))
    tree = branch(ABOUT, leaf(NOTE, b"see"), leaf(WITHIN, message.encoded, "ATT00001", inner))
    listed = [attachment(1, "1a2b3c4d.eml", message), attachment(2, "a.csv", csv)]
    text = "see\nquicksilver inside"
    fields = {"subject": "Plan about", "text": text, "intro": "see quicksilver inside", "attachments": listed}
    return Stored(tree, {"ATT00001": message, "ATT00002": csv}, fields)


KINDS: dict[str, Kind] = {
    "plain": Kind(plain, raw(PLAIN, PLAIN_BODY), PLAIN_BODY.decode().replace("\r\n", "\n"), "mörning<br"),
    "files": Kind(
        files, raw(FILES, FILES_BODY), "A quicksilver grüße", 'src="attachment:ATT00001"',
        [("ATT00001", "logo.png", PNG), ("ATT00002", "plan.pdf", PDF), ("ATT00003", "a.csv", CSV),
         ("ATT00004", "notes.txt", "café au lait\r\n".encode())],
    ),
    "secret": Kind(
        secret, raw(SECRET, SECRET_BODY), word="", flags={"seen"},
        files=[("ATT00001", "1b2c3d4e.bin", VERSION), ("ATT00002", "encrypted.asc", ARMOUR)],
    ),
    "draft": Kind(draft, raw(DRAFT, DRAFT_BODY), "A quicksilver thought", flags={"seen", "draft"}),
    "old": Kind(old, raw(OLD, OLD_BODY), "quicksilver", flags={"seen", "flagged", "answered"}, old=[PDF]),
    "large": Kind(large, raw(LARGE, LONG), LONG.decode().replace("\r\n", "\n").strip()[:102_400]),
    "about": Kind(
        about, raw(ABOUT, ABOUT_BODY), "see\nquicksilver inside",
        files=[("ATT00001", "1a2b3c4d.eml", raw(INNER, INNER_BODY)), ("ATT00002", "a.csv", CSV)],
    ),
}  # fmt: skip

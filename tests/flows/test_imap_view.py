"""What the IMAP server beside us makes of a stored message is what Python's own mail package says of its bytes."""

from __future__ import annotations

import email
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, note, settings

from storage.messages.intake import NewMessage
from storage.messages.uid_set import UidSet
from storage.store import Store
from tests.flows.imapview import ImapView, leaf_structures, shape, wire
from tests.flows.storedform import CHUNK, check_entry, check_fields, check_file, check_form
from tests.mail.messages import MESSAGES
from tests.mail.sanemessages import SANE
from tests.rows import Row

MANY = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
EMBEDDED = "message/rfc822"
BARE_LF = re.compile(rb"(?<!\r)\n")


def viewed(store: Store, user: Row, raw: bytes) -> ImapView:
    inbox = store.mailboxes.by_path(user["_id"], "INBOX")
    uid = store.intake.add(NewMessage(user=user, mailbox=inbox, raw=raw))["uid"]
    found = store.databases.main["messages"].find_one({"mailbox": inbox["_id"], "uid": uid})
    assert found
    return ImapView(found, store.databases.gridfs)


def crlf(raw: bytes) -> bytes:
    return BARE_LF.sub(b"\r\n", raw)


def leaves(message: Message, *, opened: bool = False) -> Iterator[Message]:
    """As IMAP counts parts: an embedded message is one, or `opened` as many as it has."""
    within = message.get_content_maintype() == "multipart" or (
        opened and message.get_content_type() == EMBEDDED
    )
    if message.is_multipart() and within:
        for part in message.get_payload():
            yield from leaves(part, opened=opened)  # type: ignore[arg-type]
    else:
        yield message


def text_of(part: Message) -> bytes:
    """The encoded body; the package gives it out with its charset decoded, so it is taken from inside."""
    return str(part._payload).encode("utf-8", "surrogateescape")  # type: ignore[attr-defined]


def content_of(part: Message) -> bytes:
    """The decoded body, of an embedded message its text. Line breaks around it depend on who reads."""
    if part.is_multipart():
        return b"".join(one.as_bytes() for one in part.get_payload()).strip()
    return part.get_payload(decode=True).strip()


def expected_shape(message: Message) -> Any:
    if message.get_content_maintype() == "multipart" and message.is_multipart():
        return [message.get_content_subtype(), *map(expected_shape, message.get_payload())]
    if message.get_content_type() == EMBEDDED and message.is_multipart():
        return [EMBEDDED, expected_shape(message.get_payload(0))]  # type: ignore[arg-type]
    return message.get_content_type()


def check_consistent(view: ImapView) -> None:
    """What holds of any bytes: sizes agree with each other and with what is sent, and all has a form in IMAP."""
    document = view.document
    check_form(document)
    assert view.size == view.counted()
    assert len(view.body()) == view.size
    assert len(view.whole()) == view.size + 2 * empty_parts(view)
    wire(document["envelope"])
    wire(document["bodystructure"])
    described = list(leaf_structures(document["bodystructure"]))
    paths = list(view.leaves())
    assert len(described) == len(paths)
    for structure, path in zip(described, paths, strict=True):
        assert structure[6] == len(view.part(path)) == view.node(path)["size"]
        if structure[0] == "TEXT":
            assert structure[7] == view.part(path).count(b"\n")


def empty_parts(view: ImapView) -> int:
    return sum(not view.node(path)["size"] for path in view.leaves())


def check_same_parts(view: ImapView, raw: bytes) -> None:
    """What a mail program gets has the parts of what came in, also where the tree cannot express all of it.

    The sizes of the original leave out the line break of each empty part, so that its server cuts so much from the
    end: one break does no harm, two or more take the last boundary, for messages of either of us.
    """
    given = view.body() if empty_parts(view) < 2 else view.whole()
    sent, came = (list(leaves(email.message_from_bytes(source))) for source in (given, crlf(raw)))
    assert [part.get_content_type() for part in sent] == [part.get_content_type() for part in came]
    for one, other in zip(sent, came, strict=True):
        assert content_of(one) == content_of(other)
        assert one.items() == other.items()


def check_described(view: ImapView, raw: bytes) -> None:
    """Structure, sizes, headers and content of each part by its section."""
    message = email.message_from_bytes(crlf(raw))
    assert shape(view.document["bodystructure"]) == expected_shape(message)
    for path, part in zip(view.leaves(), leaves(message), strict=True):
        assert email.message_from_bytes(view.mime(path)).items() == part.items()
    for path, part in zip(view.leaves(opened=True), leaves(message, opened=True), strict=True):
        if not part.is_multipart():  # the package opens a delivery status too
            assert view.part(path) == text_of(part), path
    assert email.message_from_bytes(view.header()).items() == message.items()


def decoded(value: str) -> str:
    """A text with its encoded-words decoded."""
    return " ".join(str(make_header(decode_header(value))).split())


def check_envelope(view: ImapView, raw: bytes) -> None:
    """Subject, dates, ids and addresses. Names of one word, which are no addresses, are left out."""
    message = email.message_from_bytes(crlf(raw))
    envelope = view.document["envelope"]
    subject = last(message, "subject")
    if subject.isascii():
        assert envelope[1].decode() == decoded(subject)
    for number, name in ((0, "date"), (8, "in-reply-to"), (9, "message-id")):
        assert " ".join((envelope[number] or "").split()) == " ".join(last(message, name).split()), name
    for number, name in ((2, "from"), (5, "to"), (6, "cc"), (7, "bcc")):
        entries = [(u.decode(), h.decode()) for _, _, u, h in envelope[number] or () if u and h]
        found = {f"{user}@{host}" for user, host in entries if user != host}
        fields = [str(field) for field in message.get_all(name, [])]
        halves = [address.rpartition("@") for _, address in getaddresses(fields)]
        assert found == {f"{user}@{host}" for user, at, host in halves if at and user != host}, name


def last(message: Message, name: str) -> str:
    return str((message.get_all(name) or [""])[-1]).strip()


DIFFERENT = {
    "bad_encoded_subject.eml": "a charset that the package does not know",
    "raw_email_string_in_date_field.eml": "encoded-words of a broken charset",
    "utf8_headers.eml": "the package replaces 8-bit text in addresses",
    "missing_body.eml": "an address with nothing before its @",
    "mix_caps_content_type.eml": "a name without quotes or angles before the address",
    "raw_email_multiple_from.eml": "a blank within an address",
    "raw_email_with_at_display_name.eml": "an @ in the name without quotes, which the package takes for an address",
    "example11.eml": "blanks around the dot of a domain",
    "raw_email_incorrect_header.eml": "a line without a colon ends the header for the package",
    "example13.eml": "a blank before the colon ends the header for the package",
    "multiple_content_types.eml": "the last of two types counts, for the package the first",
    "004.eml": "parts of a digest without a type, which the store keeps as text/plain",
    "008.eml": "an embedded message in base64, which RFC 2046 forbids, is not opened",
    "raw_email4.eml": "the package takes a line break from the end of a part that never ends",
}


def test_the_corpus(store: Store, user: Row, corpus: list[Path]) -> None:
    """All of it must be consistent and have the same parts; what may be described otherwise is named above."""
    for file in corpus:
        raw = file.read_bytes()
        view = viewed(store, user, raw)
        check_consistent(view)
        check_same_parts(view, raw)
        if file.name not in DIFFERENT:
            check_described(view, raw)
            check_envelope(view, raw)
    assert len({file.name for file in corpus} & set(DIFFERENT)) == len(DIFFERENT)
    check_bucket(store)


def check_bucket(store: Store) -> None:
    """What the server beside us reads of attachments: a file without its chunks, or with too many, is lost."""
    bucket = store.databases.gridfs
    lengths: Counter[bytes] = Counter()
    for chunk in bucket["attachments.chunks"].find():
        check_fields(chunk, CHUNK, {})
        lengths[chunk["files_id"]] += len(chunk["data"])
    for file in bucket["attachments.files"].find():
        check_file(file)
        assert lengths.pop(file["_id"]) == file["length"]
    assert not lengths


def test_state(store: Store, user: Row) -> None:
    """What IMAP says of a message follows each change, and who asks for what has changed since hears of it."""
    inbox = store.mailboxes.by_path(user["_id"], "INBOX")
    date = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    for flags in (["\\Seen", "$Label"], []):
        store.intake.add(
            NewMessage(user=user, mailbox=inbox, raw=b"Subject: x\r\n\r\n", flags=flags, date=date)
        )
    first, second = states(store, inbox, above=0)
    came = 'INTERNALDATE "03-Feb-2026 04:05:06 +0000"'
    assert first == f"UID 1 MODSEQ (2) FLAGS (\\Seen $Label) {came}"
    assert second == f"UID 2 MODSEQ (3) FLAGS () {came}"
    store.message_changes.update(user["_id"], inbox["_id"], UidSet((1,)), {"seen": False, "flagged": True})
    assert states(store, inbox, above=3) == [f"UID 1 MODSEQ (4) FLAGS ($Label \\Flagged) {came}"]
    store.message_changes.move(user["_id"], inbox["_id"], inbox["_id"], UidSet((2,)), {"seen": True})
    (moved,) = states(store, inbox, above=4)
    found = store.mailboxes.by_path(user["_id"], "INBOX")
    assert moved == f"UID 3 MODSEQ ({found['modifyIndex']}) FLAGS (\\Seen) {came}"
    assert found["uidNext"] == 4
    kinds = ["EXISTS", "EXISTS", "FETCH", "EXPUNGE", "EXISTS"]
    entries = list(store.databases.main["journal"].find({"uid": {"$exists": True}}).sort("_id", 1))
    assert [entry["command"] for entry in entries] == kinds
    for entry in store.databases.main["journal"].find():
        check_entry(entry)


def states(store: Store, box: Row, *, above: int) -> list[str]:
    """FETCH 1:* (CHANGEDSINCE above), and that the boolean fields that SEARCH goes by say the same."""
    rows = list(
        store.databases.main["messages"]
        .find({"mailbox": box["_id"], "modseq": {"$gt": above}})
        .sort("uid", 1)
    )
    for row in rows:
        check_form(row)
    return [ImapView(row, store.databases.gridfs).state() for row in rows]


def test_messages_of_mail_programs(store: Store, user: Row) -> None:
    """Structure, parts, sizes and content, exactly."""

    @settings(MANY, max_examples=120)
    @given(SANE)
    def check(raw: bytes) -> None:
        note(repr(raw))
        view = viewed(store, user, raw)
        check_consistent(view)
        check_same_parts(view, raw)
        check_described(view, raw)
        check_envelope(view, raw)

    check()


def test_odd_messages(store: Store, user: Row) -> None:
    @settings(MANY, max_examples=100)
    @given(MESSAGES)
    def check(raw: bytes) -> None:
        check_consistent(viewed(store, user, raw))

    check()

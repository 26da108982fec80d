"""submitMessage: composed, queued, copied; everything that can refuse is asked first."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from hashlib import sha256
from typing import Any

import pytest
from bson import ObjectId
from dkim.canonicalization import Relaxed

from storage.store import Store
from tests.rows import Row

GRACE = {"name": "Grace", "address": "grace@example.org"}


@pytest.fixture
def submit(client: Any, ada: str) -> Callable[..., Any]:
    def send(**body: Any) -> Any:
        return client.post(f"/users/{ada}/submit", json=body)

    return send


def queue(store: Store) -> list[Row]:
    return list(store.databases.sender["zone-queue"].find())


def envelope(store: Store, queue_id: str) -> Row:
    file = store.databases.sender["mail.files"].find_one({"filename": f"message {queue_id}"})
    assert file
    assert file["contentType"] == "message/rfc822"
    return dict(file["metadata"]["data"])


def copy_of(client: Any, ada: str, answer: Any) -> Any:
    place = answer.json["message"]
    path = f"/users/{ada}/mailboxes/{place['mailbox']}/messages/{place['id']}/message.eml"
    return message_from_bytes(client.get(path).data, policy=policy.default)


def test_a_message_is_queued_and_copied(
    client: Any, store: Store, ada: str, submit: Callable[..., Any]
) -> None:
    answer = submit(
        to=[GRACE], bcc=[{"address": "x@example.net"}], subject="Ümläut", text="Hällo", html="<b>Hällo</b>"
    )
    assert answer.status_code == 200, answer.json
    message = answer.json["message"]
    assert set(message) == {"id", "mailbox", "queueId"}
    first, second = sorted(queue(store), key=lambda row: row["seq"])
    assert (first["recipient"], first["domain"], first["seq"]) == ("grace@example.org", "example.org", "001")
    assert (second["recipient"], second["seq"]) == ("x@example.net", "002")
    assert {k: first[k] for k in ("id", "sendingZone", "assigned", "locked", "lockTime")} == {
        "id": message["queueId"], "sendingZone": "default", "assigned": "no", "locked": False, "lockTime": 0,
    }  # fmt: skip
    copy = copy_of(client, ada, answer)
    assert (copy["Subject"], copy["To"], copy["Bcc"]) == (
        "Ümläut",
        "Grace <grace@example.org>",
        "x@example.net",
    )
    assert copy["From"] == "Ada Lovelace <ada@example.com>"


def test_the_envelope_is_what_a_zonemta_reads(store: Store, ada: str, submit: Callable[..., Any]) -> None:
    queue_id = submit(to=[GRACE], bcc=[{"address": "x@example.net"}], text="Hello").json["message"]["queueId"]
    found = envelope(store, queue_id)
    assert found["from"] == "ada@example.com"
    assert found["to"] == ["grace@example.org", "x@example.net"]
    assert (found["interface"], found["reason"], found["userId"]) == ("maildrop", "submit", ada)
    assert not any(header["key"] == "bcc" for header in found["headers"])
    assert found["headers"][-1]["key"] in ("content-transfer-encoding", "content-type")
    body = b"".join(row["data"] for row in store.databases.sender["mail.chunks"].find().sort("n", 1))
    assert found["bodySize"] == len(body)
    assert found["dkim"] == {"hashAlgo": "sha256", "bodyHash": hash_by_dkimpy(body)}
    assert found["parsedEnvelope"]["from"] == "ada@example.com"


def hash_by_dkimpy(body: bytes) -> str:
    """SHA-256 of the relaxed body (RFC 6376 §3.4.4), by a library that shares no code with ours."""
    return b64encode(sha256(Relaxed.canonicalize_body(body)).digest()).decode()


@pytest.mark.parametrize("body", [b"a\r b\r\n", b"a \r\r\n\r\n", b"a\t b  \r\n \r\n"])
def test_the_body_hash_in_the_queue_is_that_of_the_signature(
    client: Any, store: Store, ada: str, box: Callable[[str], str], body: bytes
) -> None:
    """A bare CR is text: a ZoneMTA that signs with another hash would send a signature that fails."""
    raw = b"To: grace@example.org\r\nMessage-ID: <1@example.com>\r\n\r\n" + body
    uploaded = client.post(
        f"{box('Drafts')}/messages?draft=true", data=raw, headers={"Content-Type": "message/rfc822"}
    )
    assert uploaded.status_code == 200, uploaded.json
    sent = client.post(f"{box('Drafts')}/messages/{uploaded.json['message']['id']}/submit", json={})
    found = envelope(store, sent.json["queueId"])
    assert found["dkim"]["bodyHash"] == hash_by_dkimpy(body)


def test_the_copy_says_that_it_was_queued(client: Any, ada: str, submit: Callable[..., Any]) -> None:
    message = submit(to=[GRACE], text="Hello").json["message"]
    shown = client.get(f"/users/{ada}/mailboxes/{message['mailbox']}/messages/{message['id']}").json
    assert shown["seen"]
    assert shown["outbound"][0]["queueId"] == message["queueId"]
    assert shown["outbound"][0]["entries"][0]["recipient"] == "grace@example.org"
    box = client.get(f"/users/{ada}/mailboxes/{message['mailbox']}").json
    assert box["specialUse"] == "\\Sent"


def test_an_answer_follows_the_message_it_answers(
    client: Any,
    store: Store,
    ada: str,
    put: Callable[..., int],
    box: Callable[[str], str],
    submit: Callable[..., Any],
) -> None:
    uid = put("Minutes", headers="Message-ID: <1@x>\r\nReferences: <0@x>\r\nReply-To: list@example.org\r\n")
    inbox = box("INBOX").rpartition("/")[2]
    answer = submit(reference={"mailbox": inbox, "id": uid, "action": "reply"}, text="Yes")
    copy = copy_of(client, ada, answer)
    assert (copy["Subject"], copy["In-Reply-To"], copy["References"]) == (
        "Re: Minutes",
        "<1@x>",
        "<0@x> <1@x>",
    )
    assert copy["To"] == "list@example.org"
    source = client.get(f"{box('INBOX')}/messages/{uid}").json
    assert source["answered"]
    stored = client.get(
        f"/users/{ada}/mailboxes/{answer.json['message']['mailbox']}/messages/{answer.json['message']['id']}"
    )
    assert stored.json["thread"] != ""
    assert queue(store)[0]["recipient"] == "list@example.org"


@pytest.mark.parametrize("encoding", ["BASE64", " base64 ", "UTF-8", "utf8"])
def test_encodings_are_named_in_any_way(
    client: Any, ada: str, submit: Callable[..., Any], encoding: str
) -> None:
    attachment = {"content": "aGk=", "encoding": encoding, "contentType": "text/calendar; method=REQUEST"}
    (part,) = copy_of(client, ada, submit(text="x", attachments=[attachment])).iter_attachments()
    assert part.get_content().strip() == ("hi" if "64" in encoding else "aGk=")
    assert part["Content-Type"].params["method"] == "REQUEST"


@pytest.mark.parametrize(
    ("fields", "to"),
    [
        ({"to": []}, "grace@example.com"),
        ({"to": [], "envelope": {"to": []}}, "grace@example.com"),
        ({"to": [{"address": "none"}]}, None),
        ({"bcc": [GRACE]}, None),
        ({"envelope": {"to": [GRACE]}}, None),
    ],
)
def test_an_answer_goes_to_its_sender_where_nobody_is_named(
    client: Any,
    ada: str,
    put: Callable[..., int],
    box: Callable[[str], str],
    submit: Callable[..., Any],
    fields: Any,
    to: str | None,
) -> None:
    reference = {"mailbox": box("INBOX").rpartition("/")[2], "id": put("Minutes"), "action": "reply"}
    copy = copy_of(client, ada, submit(reference=reference, text="Yes", **fields))
    assert copy["To"] == (to and f"Grace <{to}>")


def test_a_foreign_sender_is_replaced(client: Any, ada: str, submit: Callable[..., Any]) -> None:
    answer = submit(**{"from": {"name": "Boss", "address": "boss@example.net"}}, to=[GRACE], text="x")
    assert copy_of(client, ada, answer)["From"] == "Boss <ada@example.com>"


@pytest.mark.parametrize(
    "sender", ["ada+news@example.com", "a.da@example.com", "any@white.example", "team@example.net"]
)
def test_a_permitted_sender_stays(client: Any, ada: str, submit: Callable[..., Any], sender: str) -> None:
    client.put(f"/users/{ada}", json={"fromWhitelist": ["*@white.example", "team@*"]})
    answer = submit(**{"from": {"name": "", "address": sender}}, to=[GRACE], text="x")
    assert copy_of(client, ada, answer)["From"] == sender


def test_unknown_fields_are_passed_over_at_every_level(submit: Callable[..., Any]) -> None:
    answer = submit(to=[{**GRACE, "x": 1}], envelope={"from": {"address": "ada@example.com", "y": 2}}, z=3)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "box", "flags"),
    [
        ({"isDraft": True}, "\\Drafts", {"draft": True, "seen": True}),
        ({"uploadOnly": True}, "\\Sent", {"draft": False, "seen": True}),
        ({"to": []}, "\\Sent", {"draft": False}),
    ],
)
def test_what_is_only_stored(
    client: Any, store: Store, ada: str, submit: Callable[..., Any], body: Any, box: str, flags: Any
) -> None:
    message = submit(**{"to": [GRACE], "text": "x", **body}).json["message"]
    assert message["queueId"] is False
    assert queue(store) == []
    mailbox = client.get(f"/users/{ada}/mailboxes/{message['mailbox']}").json
    assert mailbox["specialUse"] == box
    shown = client.get(f"/users/{ada}/mailboxes/{message['mailbox']}/messages/{message['id']}").json
    assert flags.items() <= shown.items()


def test_a_draft_is_deleted_once_it_is_sent(
    client: Any, store: Store, ada: str, submit: Callable[..., Any]
) -> None:
    draft = submit(to=[GRACE], text="x", isDraft=True).json["message"]
    sent = submit(to=[GRACE], text="x", draft={"mailbox": draft["mailbox"], "id": draft["id"]})
    assert sent.status_code == 200
    gone = client.get(f"/users/{ada}/mailboxes/{draft['mailbox']}/messages/{draft['id']}")
    assert gone.json["code"] == "MessageNotFound"
    assert store.databases.main["archived"].count_documents({}) == 0


def test_sent_later(store: Store, submit: Callable[..., Any]) -> None:
    later = (store.clock() + timedelta(hours=2)).isoformat()
    submit(to=[GRACE], text="x", sendTime=later)
    assert queue(store)[0]["queued"] == datetime.fromisoformat(later)


def test_the_daily_limit_counts_recipients(
    client: Any, store: Store, ada: str, submit: Callable[..., Any]
) -> None:
    client.put(f"/users/{ada}", json={"recipients": 2})
    assert submit(to=[GRACE], text="x").status_code == 200
    refused = submit(to=[GRACE, {"address": "b@example.net"}], text="x")
    assert (refused.status_code, refused.json["code"]) == (403, "RateLimitedError")
    assert submit(to=[GRACE], text="x").status_code == 200
    assert len(queue(store)) == 2
    limits = client.get(f"/users/{ada}").json["limits"]["recipients"]
    assert (limits["allowed"], limits["used"]) == (2, 2)
    assert 0 < limits["ttl"] <= 86_400


def test_too_many_recipients(store: Store, submit: Callable[..., Any]) -> None:
    store.settings.put("const:max:rcpt_to", 1)
    answer = submit(to=[GRACE, {"address": "b@example.net"}], text="x")
    assert (answer.status_code, answer.json["code"], answer.json["allowed"]) == (403, "TooMany", 1)
    assert queue(store) == []


def test_a_full_account_sends_without_a_copy(
    client: Any, store: Store, ada: str, submit: Callable[..., Any]
) -> None:
    client.put(f"/users/{ada}", json={"quota": 1})
    message = submit(to=[GRACE], text="x").json["message"]
    assert message == {"id": False, "mailbox": False, "queueId": queue(store)[0]["id"], "overQuota": True}


def test_pictures_in_data_urls_become_attachments(client: Any, ada: str, submit: Callable[..., Any]) -> None:
    html = '<p><img src="data:image/png;base64,iVBORw0KGgo=" data-filename="dot.png"></p>'
    copy = copy_of(client, ada, submit(to=[GRACE], html=html))
    image = next(part for part in copy.walk() if part.get_content_type() == "image/png")
    assert image.get_filename() == "dot.png"
    assert f"cid:{image['Content-ID'].strip('<>')}" in copy.get_body(("html",)).get_content()


def test_no_field_adds_a_header(client: Any, ada: str, submit: Callable[..., Any]) -> None:
    evil = "x\r\nBcc: evil@example.net\r\n\r\nbody"
    copy = copy_of(
        client,
        ada,
        submit(
            to=[{"name": evil, "address": "g@example.org"}],
            subject=evil,
            headers=[{"key": "X-A", "value": evil}],
            text="t",
        ),
    )
    assert copy["Bcc"] is None
    assert copy.get_content().strip() == "t"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cc": [{"address": "nobody"}]}, "cc,0,address"),
        ({"from": {"address": "nobody"}}, "from,address"),
        ({"from": {"name": "Ada"}}, "from,address"),
        ({"subject": 5}, "subject"),
        ({"sendTime": "soon"}, "sendTime"),
        ({"sendTime": "2199-01-01T00:00:00Z"}, "sendTime"),
        ({"attachments": [{"content": "%%%"}]}, "attachments,0,content"),
        ({"attachments": [{}]}, "attachments,0,content"),
        ({"headers": [{"key": "a b", "value": "x"}]}, "headers"),
        ({"reference": {"mailbox": "x", "id": 1, "action": "reply"}}, "reference,mailbox"),
        ({"reference": {"id": 0, "action": "shout"}}, "reference,action"),
        ({"meta": "[]"}, "meta"),
        ({"isDraft": "maybe"}, "isDraft"),
    ],
)
def test_bad_input_names_the_field(store: Store, submit: Callable[..., Any], body: Any, field: str) -> None:
    answer = submit(**{"to": [GRACE], "text": "x", **body})
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError")
    assert field in answer.json["details"]
    assert queue(store) == []
    assert store.databases.main["messages"].count_documents({}) == 0


def test_unknown_things(client: Any, ada: str, submit: Callable[..., Any]) -> None:
    nobody = client.post(f"/users/{ObjectId()}/submit", json={"to": [GRACE]})
    assert (nobody.status_code, nobody.json["code"]) == (404, "UserNotFound")
    assert submit(to=[GRACE], mailbox=str(ObjectId())).json["code"] == "NoSuchMailbox"
    reference = {"mailbox": str(ObjectId()), "id": 1, "action": "reply"}
    assert submit(reference=reference).json["code"] == "MessageNotFound"


def test_a_disabled_account_does_not_send(client: Any, ada: str, submit: Callable[..., Any]) -> None:
    client.put(f"/users/{ada}", json={"disabled": True})
    assert (submit(to=[GRACE]).status_code, submit(to=[GRACE]).json["code"]) == (403, "UserDisabled")


def recipients(store: Store) -> list[str]:
    return [row["recipient"] for row in sorted(queue(store), key=lambda row: row["seq"])]


def test_the_envelope_says_whom_it_goes_to(
    client: Any, store: Store, ada: str, submit: Callable[..., Any]
) -> None:
    to = [{"name": "List", "address": "list@example.org"}]
    answer = submit(to=[GRACE], cc=[{"address": "c@example.org"}], envelope={"to": to}, text="x")
    assert recipients(store) == ["list@example.org"]
    copy = copy_of(client, ada, answer)
    assert (copy["To"], copy["Cc"]) == ("Grace <grace@example.org>", "c@example.org")


@pytest.mark.parametrize("envelope", [{}, {"from": {"address": "ada+news@example.com"}}, {"to": []}])
def test_an_envelope_without_recipients_takes_those_of_the_message(
    store: Store, submit: Callable[..., Any], envelope: Any
) -> None:
    answer = submit(
        to=[GRACE],
        cc=[{"address": "c@example.org"}],
        bcc=[{"address": "b@example.org"}],
        envelope=envelope,
        text="x",
    )
    assert answer.status_code == 200, answer.json
    assert recipients(store) == ["grace@example.org", "c@example.org", "b@example.org"]


@pytest.mark.parametrize(
    ("body", "header", "sender"),
    [
        ({}, "Ada Lovelace <ada@example.com>", "ada@example.com"),
        (
            {"envelope": {"from": {"name": "News", "address": "ada+news@example.com"}}},
            "News <ada+news@example.com>",
            "ada+news@example.com",
        ),
        (
            {"from": {"address": "ada@example.com"}, "envelope": {"from": {"address": "ada+b@example.com"}}},
            "ada@example.com",
            "ada+b@example.com",
        ),
        (
            {"from": {"address": "x@example.net"}, "envelope": {"from": {"address": "y@example.net"}}},
            "ada@example.com",
            "ada@example.com",
        ),
        (
            {"from": {"address": "ada+a@example.com"}, "envelope": {"from": {"address": "y@example.net"}}},
            "ada+a@example.com",
            "ada@example.com",
        ),
    ],
)
def test_sender_of_header_and_envelope(
    client: Any, store: Store, ada: str, submit: Callable[..., Any], body: Any, header: str, sender: str
) -> None:
    answer = submit(to=[GRACE], text="x", **body)
    assert copy_of(client, ada, answer)["From"] == header
    assert envelope(store, answer.json["message"]["queueId"])["from"] == sender


def test_a_recipient_that_is_named_twice_counts_once(
    client: Any, store: Store, ada: str, submit: Callable[..., Any]
) -> None:
    again = {"address": "grace@EXAMPLE.org"}
    submit(
        to=[GRACE, again],
        cc=[again],
        bcc=[{"address": "x@xn--grn-ioa.example"}, {"address": "x@grün.example"}],
    )
    assert recipients(store) == ["grace@example.org", "x@xn--grn-ioa.example"]
    assert client.get(f"/users/{ada}").json["limits"]["recipients"]["used"] == 2


def test_who_is_no_address_drops_out(client: Any, store: Store, ada: str, submit: Callable[..., Any]) -> None:
    answer = submit(to=[GRACE, {"name": "Nobody", "address": "nobody"}, {"address": ""}], text="x")
    assert recipients(store) == ["grace@example.org"]
    assert copy_of(client, ada, answer)["To"] == "Grace <grace@example.org>"


def test_a_message_for_later_is_dated_then(
    client: Any, store: Store, ada: str, submit: Callable[..., Any]
) -> None:
    later = (store.clock() + timedelta(days=2)).replace(microsecond=0)
    copy = copy_of(client, ada, submit(to=[GRACE], text="x", sendTime=later.isoformat()))
    assert copy["Date"].datetime == later


def test_the_queue_knows_the_copy(store: Store, submit: Callable[..., Any]) -> None:
    queue_id = submit(to=[GRACE], text="x").json["message"]["queueId"]
    copy = store.databases.main["messages"].find_one({"outbound": queue_id})
    assert copy
    assert envelope(store, queue_id)["parentId"] == copy["_id"]


def test_a_relay_of_the_accounts_own(client: Any, store: Store, ada: str, submit: Callable[..., Any]) -> None:
    put = client.put(f"/users/{ada}", json={"mtaRelay": "smtps://me:p%40ss@relay.example.net:465"})
    assert put.status_code == 200, put.json
    submit(to=[GRACE], text="x")
    (row,) = queue(store)
    assert (row["mxPort"], row["mxAuth"], row["mxSecure"]) == ("465", {"user": "me", "pass": "p@ss"}, True)
    assert row["mx"][0]["exchange"] == "relay.example.net"


@pytest.mark.parametrize(
    ("action", "flags"),
    [("reply", {"answered": True, "forwarded": False}), ("forward", {"answered": False, "forwarded": True})],
)
def test_what_it_refers_to_is_flagged_once_it_is_sent(
    client: Any, put: Any, box: Callable[[str], str], submit: Callable[..., Any], action: str, flags: Any
) -> None:
    uid = put("Minutes", headers="Message-ID: <1@x>\r\n")
    reference = {"mailbox": box("INBOX").rpartition("/")[2], "id": uid, "action": action}
    submit(to=[GRACE], reference=reference, text="x", isDraft=True)
    source = f"{box('INBOX')}/messages/{uid}"
    assert not client.get(source).json["answered"]
    submit(to=[GRACE], reference=reference, text="x")
    assert flags.items() <= client.get(source).json.items()


def test_a_message_id_and_references_of_the_callers(
    client: Any, ada: str, submit: Callable[..., Any]
) -> None:
    headers = [{"key": "Message-ID", "value": "<own@example.com>"}, {"key": "References", "value": "<a@b>"}]
    copy = copy_of(
        client, ada, submit(to=[GRACE], text="x", headers=headers, replyTo={"address": "r@example.org"})
    )
    assert (copy["Message-ID"], copy["References"], copy["Reply-To"]) == (
        "<own@example.com>",
        "<a@b>",
        "r@example.org",
    )


def test_client_metadata_cannot_forge_an_envelope(
    client: Any, store: Store, ada: str, submit: Callable[..., Any]
) -> None:
    forged = {"envelope": {"from": "boss@example.net", "to": ["victim@example.org"]}, "files": [{"id": "x"}]}
    place = submit(to=[GRACE], text="x", isDraft=True, meta=forged).json["message"]
    path = f"/users/{ada}/mailboxes/{place['mailbox']}/messages/{place['id']}"
    assert client.get(path).json["metaData"] == forged
    assert client.post(f"{path}/submit", json={}).status_code == 200
    assert recipients(store) == ["grace@example.org"]
    assert envelope(store, queue(store)[0]["id"])["from"] == "ada@example.com"


def test_a_mailbox_that_is_not_there_sends_nothing(store: Store, submit: Callable[..., Any]) -> None:
    assert submit(to=[GRACE], text="x", mailbox=str(ObjectId())).status_code == 404
    assert queue(store) == []

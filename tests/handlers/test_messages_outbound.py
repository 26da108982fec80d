"""Drafts that are sent, messages that are forwarded or taken back: queue and store move together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import WriteError

from storage.store import Store
from tests.rows import Row

GRACE = {"name": "Grace", "address": "grace@example.org"}
PDF = {"content": "JVBERi0=", "filename": "a.pdf", "contentType": "application/pdf"}


def queue(store: Store) -> list[Row]:
    return list(store.databases.sender["zone-queue"].find().sort([("id", 1), ("seq", 1)]))


def envelope(store: Store, queue_id: str) -> Row:
    file = store.databases.sender["mail.files"].find_one({"filename": f"message {queue_id}"})
    assert file
    return dict(file["metadata"]["data"])


def headers(store: Store, queue_id: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for header in envelope(store, queue_id)["headers"]:
        found.setdefault(header["key"], []).append(header["line"].partition(": ")[2])
    return found


@pytest.fixture
def draft(client: Any, box: Callable[[str], str]) -> Callable[..., str]:
    """`draft(text="x")`: the path of a draft made of these fields."""

    def make(**body: Any) -> str:
        fields = {"draft": True, "to": [GRACE], "subject": "Plan", "text": "Hello", **body}
        answer = client.post(f"{box('Drafts')}/messages", json=fields)
        assert answer.status_code == 200, answer.json
        return f"{box('Drafts')}/messages/{answer.json['message']['id']}"

    return make


def total(client: Any, box: Callable[[str], str], name: str) -> int:
    return int(client.get(box(name)).json["total"])


def test_a_draft_is_sent(
    client: Any, store: Store, ada: str, box: Callable[[str], str], draft: Callable[..., str]
) -> None:
    path = draft(attachments=[PDF], bcc=[{"address": "x@example.net"}], metaData={"a": 1})
    answer = client.post(f"{path}/submit", json={})
    assert answer.status_code == 200, answer.json
    sent = f"{box('Sent Mail')}/messages/{answer.json['message']['id']}"
    shown = client.get(sent).json
    assert answer.json == {
        "success": True,
        "queueId": queue(store)[0]["id"],
        "message": {"id": 1, "mailbox": box("Sent Mail").rpartition("/")[2], "size": shown["size"]},
    }
    assert [row["recipient"] for row in queue(store)] == ["grace@example.org", "x@example.net"]
    assert "bcc" not in headers(store, answer.json["queueId"])
    assert (shown["draft"], shown["seen"], shown["metaData"]) == (False, True, {"a": 1})
    assert shown["outbound"][0]["queueId"] == answer.json["queueId"]
    assert shown["envelope"]["from"] == "ada@example.com"
    assert client.get(path).json["code"] == "MessageNotFound"
    assert (total(client, box, "Drafts"), total(client, box, "Sent Mail")) == (0, 1)
    assert store.databases.main["archived"].count_documents({}) == 0
    (file,) = store.databases.gridfs["attachments.files"].find()
    assert file["metadata"]["c"] == 1
    assert store.users.get(ObjectId(ada))["storageUsed"] == shown["size"]


def test_the_date_is_that_of_the_sending(client: Any, store: Store, draft: Callable[..., str]) -> None:
    later = store.clock() + timedelta(hours=3)
    path = draft(date="2020-01-01T00:00:00Z")
    answer = client.post(f"{path}/submit", json={"sendTime": later.isoformat()})
    assert queue(store)[0]["queued"] == later
    (date,) = headers(store, answer.json["queueId"])["date"]
    assert date == later.strftime("%a, %d %b %Y %H:%M:%S +0000")
    stored = store.databases.main["messages"].find_one({})
    assert stored
    assert stored["hdate"] == later.replace(microsecond=0)


def test_two_callers_send_a_draft_once(
    app: Any, client: Any, store: Store, draft: Callable[..., str], box: Callable[[str], str]
) -> None:
    path = draft()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: app.test_client().post(f"{path}/submit", json={}), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 7
    assert len(queue(store)) == 1
    assert store.databases.sender["mail.files"].count_documents({}) == 1
    assert total(client, box, "Sent Mail") == 1


def test_a_draft_of_a_foreign_sender_goes_out_under_the_own_name(
    client: Any, store: Store, box: Callable[[str], str]
) -> None:
    raw = b"From: Boss <boss@example.net>\r\nTo: g@example.org\r\nSubject: x\r\n\r\nHello"
    headers_of = {"Content-Type": "message/rfc822"}
    uid = client.post(f"{box('Drafts')}/messages?draft=true", data=raw, headers=headers_of).json["message"][
        "id"
    ]
    answer = client.post(f"{box('Drafts')}/messages/{uid}/submit", json={})
    assert headers(store, answer.json["queueId"])["from"] == ['"Boss" <ada@example.com>']
    found = envelope(store, answer.json["queueId"])
    assert (found["from"], found["to"], found["bodySize"]) == ("ada@example.com", ["g@example.org"], 5)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("From: ada@example.com\r\nFrom: boss@example.net\r\n", ["ada@example.com"]),
        ("From: ada@example.com, boss@example.net\r\n", ["ada@example.com"]),
        ("From: Us: ada@example.com, boss@example.net;\r\n", ["ada@example.com"]),
        ("From : boss@example.net\r\n", ["ada@example.com"]),
        ("From: ada@example.com" + ",\r\n ada@example.com" * 10 + "\r\n", ["ada@example.com"]),
        (
            "From: ada@example.com,\r\n" + "\r\n".join([" " * 900] * 80) + " boss@example.net\r\n",
            ["ada@example.com"],
        ),
        ("", ["ada@example.com"]),
        ("From: Ada <a.da+news@EXAMPLE.com>\r\n", ["Ada <a.da+news@EXAMPLE.com>"]),
    ],
)
def test_every_sender_of_a_draft_is_looked_at(
    client: Any, store: Store, box: Callable[[str], str], header: str, wanted: list[str]
) -> None:
    raw = f"{header}To: g@example.org\r\nSubject: x\r\n\r\nHello".encode()
    made = client.post(
        f"{box('Drafts')}/messages?draft=true", data=raw, headers={"Content-Type": "message/rfc822"}
    )
    answer = client.post(f"{box('Drafts')}/messages/{made.json['message']['id']}/submit", json={})
    found = headers(store, answer.json["queueId"])
    assert found["from"] == wanted
    assert envelope(store, answer.json["queueId"])["from"].startswith("a")
    sent = client.get(f"{box('Sent Mail')}/messages/{answer.json['message']['id']}").json
    assert [sent["messageId"]] == found["message-id"], "the copy is the message that was sent"


def test_an_account_with_an_international_name_sends(
    client: Any, store: Store, ada: str, box: Callable[[str], str]
) -> None:
    """In the header as it is, UTF-8; servers that cannot take it are found out by the relay."""
    store.databases.users["users"].update_one({}, {"$set": {"address": "ädä@example.com"}})
    raw = b"From: boss@example.net\r\nTo: g@example.org\r\n\r\nHello"
    made = client.post(
        f"{box('Drafts')}/messages?draft=true", data=raw, headers={"Content-Type": "message/rfc822"}
    )
    sent = client.post(f"{box('Drafts')}/messages/{made.json['message']['id']}/submit", json={}).json
    other = client.post(f"/users/{ada}/submit", json={"to": [GRACE], "text": "x"}).json["message"]
    for queue_id, place in ((sent["queueId"], sent["message"]), (other["queueId"], other)):
        assert envelope(store, queue_id)["from"] == "ädä@example.com"
        assert envelope(store, queue_id)["parsedEnvelope"]["from"] == "ädä@example.com"
        shown = client.get(f"/users/{ada}/mailboxes/{place['mailbox']}/messages/{place['id']}").json
        assert shown["from"]["address"] == "ädä@example.com"


@pytest.mark.parametrize(
    "change",
    [
        {"$unset": {"meta": ""}},
        {"$set": {"meta.reference": {"action": "shout", "mailbox": "x"}}},
        {"$set": {"meta.files": [{"id": "x"}, {}]}},
    ],
)
def test_whatever_is_remembered_of_a_draft_it_is_sent(
    client: Any, store: Store, draft: Callable[..., str], change: dict[str, Any]
) -> None:
    """An answer of 500 would have the caller send it once more."""
    path = draft()
    store.databases.main["messages"].update_one({}, change)
    answer = client.post(f"{path}/submit", json={"deleteFiles": True})
    assert answer.status_code == 200, answer.json
    assert [row["recipient"] for row in queue(store)] == ["grace@example.org"]


def test_the_message_answered_is_flagged(
    client: Any, put: Callable[..., int], box: Callable[[str], str], draft: Callable[..., str]
) -> None:
    uid = put("Minutes")
    inbox = box("INBOX").rpartition("/")[2]
    path = draft(reference={"mailbox": inbox, "id": uid, "action": "forward"})
    assert not client.get(f"{box('INBOX')}/messages/{uid}").json["forwarded"]
    assert client.post(f"{path}/submit", json={}).status_code == 200
    assert client.get(f"{box('INBOX')}/messages/{uid}").json["forwarded"]


def test_what_cannot_be_sent(
    client: Any, store: Store, ada: str, put: Callable[..., int], box: Callable[[str], str], draft: Any
) -> None:
    inbox = f"{box('INBOX')}/messages/{put()}"
    cases = [
        (f"{inbox}/submit", 400, "MessageNotDraft"),
        (f"{box('INBOX')}/messages/99/submit", 404, "MessageNotFound"),
        (f"{draft(to=[])}/submit", 400, "ENORECIPIENTS"),
        (f"/users/{ObjectId()}/mailboxes/{ObjectId()}/messages/1/submit", 404, "UserNotFound"),
    ]
    for path, status, code in cases:
        answer = client.post(path, json={})
        assert (answer.status_code, answer.json["code"]) == (status, code)
    path = draft()
    store.settings.put("const:max:rcpt_to", 0)
    client.put(f"/users/{ada}", json={"recipients": 1})
    assert client.post(f"{path}/submit", json={"sendTime": "soon"}).json["details"].keys() == {"sendTime"}
    client.put(f"/users/{ada}", json={"disabled": True})
    assert client.post(f"{path}/submit", json={}).json["code"] == "UserDisabled"
    assert queue(store) == []


def test_a_daily_limit_keeps_the_draft(
    client: Any, store: Store, ada: str, box: Callable[[str], str], draft: Callable[..., str]
) -> None:
    path = draft(to=[GRACE, {"address": "b@example.net"}])
    client.put(f"/users/{ada}", json={"recipients": 1})
    answer = client.post(f"{path}/submit", json={})
    assert (answer.status_code, answer.json["code"]) == (403, "RateLimitedError")
    assert (queue(store), total(client, box, "Drafts")) == ([], 1)


@pytest.fixture
def broken_queue(store: Store) -> Any:
    """A queue that takes no entries."""
    database = store.databases.sender
    if "zone-queue" not in database.list_collection_names():
        database.create_collection("zone-queue")
    database.command("collMod", "zone-queue", validator={"never": True})
    yield
    database.command("collMod", "zone-queue", validator={})


def test_a_queue_that_fails_changes_nothing(
    client: Any,
    store: Store,
    ada: str,
    box: Callable[[str], str],
    draft: Callable[..., str],
    broken_queue: Any,
) -> None:
    path = draft(attachments=[PDF])
    before = store.users.get(ObjectId(ada))["storageUsed"]
    with pytest.raises(WriteError):
        store.databases.sender["zone-queue"].insert_one({"x": 1})
    assert client.post(f"{path}/submit", json={}).status_code == 500
    assert client.post(f"/users/{ada}/submit", json={"to": [GRACE], "text": "x"}).status_code == 500
    assert client.get(path).json["draft"] is True
    assert (total(client, box, "Drafts"), total(client, box, "Sent Mail")) == (1, 0)
    assert store.databases.sender["mail.files"].count_documents({}) == 0
    assert store.databases.sender["mail.chunks"].count_documents({}) == 0
    (file,) = store.databases.gridfs["attachments.files"].find()
    assert file["metadata"]["c"] == 1
    account = client.get(f"/users/{ada}").json
    assert account["limits"]["recipients"]["used"] == 0
    assert store.users.get(ObjectId(ada))["storageUsed"] == before


def test_a_message_is_forwarded_as_it_came(
    client: Any, store: Store, ada: str, put: Callable[..., int], box: Callable[[str], str]
) -> None:
    path = f"{box('INBOX')}/messages/{put('Minutes', text='Dear Ada')}"
    answer = client.post(f"{path}/forward", json={"addresses": ["b@example.net", "c@EXAMPLE.net"]})
    queue_id = queue(store)[0]["id"]
    assert answer.json == {
        "success": True,
        "queueId": queue_id,
        "forwarded": [
            {"seq": "001", "type": "mail", "value": "b@example.net"},
            {"seq": "002", "type": "mail", "value": "c@EXAMPLE.net"},
        ],
    }
    assert [row["recipient"] for row in queue(store)] == ["b@example.net", "c@example.net"]
    found = envelope(store, queue_id)
    assert (found["interface"], found["reason"], found["userId"]) == ("forwarder", "forward", ada)
    assert found["mallard"] == {"unsigned": True}, (
        "From may name anybody, and our signature would vouch for it"
    )
    assert "passwordType" not in found
    assert headers(store, queue_id)["subject"] == ["Minutes"]
    assert headers(store, queue_id)["message-id"] == [found["messageId"]], "no server takes mail without"
    assert headers(store, queue_id)["date"] == [found["date"]]
    assert client.get(path).json["outbound"][0]["queueId"] == queue_id
    assert client.get(f"/users/{ada}").json["limits"]["forwards"]["used"] == 2


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ({}, ["mail", "relay", "http"]),
        ({"target": 2}, ["relay"]),
        ({"target": 9}, []),
        ({"target": 3, "addresses": ["z@example.net"]}, ["mail", "http"]),
    ],
)
def test_targets_recorded_when_it_came(
    client: Any, store: Store, put: Callable[..., int], box: Callable[[str], str], body: Any, seen: list[str]
) -> None:
    path = f"{box('INBOX')}/messages/{put()}"
    targets = [
        {"type": "mail", "value": "b@example.net"},
        {"type": "relay", "value": "smtps://u:p%40@[::1]:465"},
        {"type": "http", "value": "https://hook.example.com/in"},
    ]
    change = {"forwardTargets": targets, "meta.to": ["ada@example.com"], "meta.from": "grace@example.com"}
    store.databases.main["messages"].update_one({}, {"$set": change})
    answer = client.post(f"{path}/forward", json=body)
    assert [entry["type"] for entry in answer.json["forwarded"]] == seen
    assert len(queue(store)) == len(seen)
    for row in queue(store):
        if row.get("http"):
            assert (row["recipient"], row["targetUrl"]) == ("ada@example.com", "https://hook.example.com/in")
        elif row.get("mx"):
            assert (row["mx"][0]["AAAA"], row["mxPort"], row["mxSecure"]) == (["::1"], "465", True)
            assert row["mxAuth"] == {"user": "u", "pass": "p@"}


def test_a_message_in_a_loop_is_not_forwarded(
    client: Any, store: Store, put: Callable[..., int], box: Callable[[str], str]
) -> None:
    uid = put(headers="Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n" * 30)
    answer = client.post(f"{box('INBOX')}/messages/{uid}/forward", json={"addresses": ["b@example.net"]})
    assert (answer.status_code, answer.json["code"], queue(store)) == (400, "ELOOP", [])


def test_forwards_are_limited(
    client: Any, store: Store, ada: str, put: Callable[..., int], box: Callable[[str], str]
) -> None:
    client.put(f"/users/{ada}", json={"forwards": 1})
    path = f"{box('INBOX')}/messages/{put()}/forward"
    refused = client.post(path, json={"addresses": ["b@example.net", "c@example.net"]})
    assert (refused.status_code, refused.json["code"], queue(store)) == (403, "RateLimitedError", [])
    bad = client.post(path, json={"addresses": ["nobody"], "target": 0})
    assert set(bad.json["details"]) == {"addresses,0", "target"}
    assert client.post(f"{box('INBOX')}/messages/99/forward", json={}).json["code"] == "MessageNotFound"


def test_a_message_is_taken_back(client: Any, store: Store, ada: str, make_user: Callable[..., Any]) -> None:
    later = (store.clock() + timedelta(days=1)).isoformat()
    body = {"to": [GRACE, {"address": "b@example.net"}], "text": "x", "sendTime": later}
    queue_id = client.post(f"/users/{ada}/submit", json=body).json["message"]["queueId"]
    store.databases.sender["zone-queue"].update_one({"seq": "001"}, {"$set": {"locked": True}})
    bob = make_user("bob")
    for path in (f"/users/{bob}/outbound/{queue_id}", f"/users/{ada}/outbound/{'0' * 18}"):
        other = client.delete(path)
        assert (other.status_code, other.json["code"]) == (404, "NoSuchQueueEntry")
    answer = client.delete(f"/users/{ada}/outbound/{queue_id.upper()}")
    assert answer.json == {"success": True, "queueId": queue_id, "deleted": 1}
    assert [row["seq"] for row in queue(store)] == ["001"]
    store.databases.sender["zone-queue"].update_one({}, {"$set": {"locked": False}})
    assert client.delete(f"/users/{ada}/outbound/{queue_id}").json["deleted"] == 1
    assert store.databases.sender["mail.files"].count_documents({}) == 0
    assert client.delete(f"/users/{ada}/outbound/xyz").json["details"].keys() == {"queueId"}


def test_a_sent_copy_reads_as_mail(client: Any, box: Callable[[str], str], draft: Callable[..., str]) -> None:
    uid = client.post(f"{draft(html='<b>Hello</b>')}/submit", json={}).json["message"]["id"]
    source = client.get(f"{box('Sent Mail')}/messages/{uid}/message.eml").data
    mail = message_from_bytes(source, policy=policy.default)
    assert (mail["Subject"], mail.get_body(("plain",)).get_content().strip()) == ("Plan", "Hello")
    assert isinstance(mail["Date"].datetime, datetime)

"""uploadMessage: whole, or made of fields."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy
from typing import Any

import pytest
from bson import Binary, ObjectId

from storage.store import Store
from tests.conftest import Client
from tests.handlers.conftest import RAW
from tests.rows import Row

Box = Callable[[str], str]
Put = Callable[..., int]
MESSAGE = b"From: g@x.org\r\nTo: ada@example.com, b@x.org\r\nSubject: Hi\r\n\r\nDear Ada\r\n"
GRACE = {"name": "Grace", "address": "grace@example.org"}


@pytest.fixture
def upload(client: Any, box: Box) -> Callable[..., Any]:
    """`upload(text="x")`: uploads to INBOX."""
    return lambda **body: client.post(f"{box('INBOX')}/messages", json=body)


def source(client: Any, box: Box, answer: Any) -> bytes:
    assert answer.status_code == 200, answer.json
    return bytes(client.get(f"{box('INBOX')}/messages/{answer.json['message']['id']}/message.eml").data)


def parsed(client: Any, box: Box, answer: Any) -> Any:
    return message_from_bytes(source(client, box, answer), policy=policy.default)


def last(store: Store) -> Row:
    return next(iter(store.databases.main["messages"].find().sort("_id", -1)))


def failure(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


@pytest.mark.parametrize("kind", ["message/rfc822", "application/octet-stream", "text/plain", None])
def test_whole_as_the_body(client: Any, store: Store, box: Box, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    query = "?unseen=true&flagged=1&date=2026-01-01&metaData=%7B%22a%22:1%7D"
    answer = client.post(f"{box('INBOX')}/messages{query}", data=MESSAGE, headers=headers)
    assert answer.json == {
        "success": True, "message": {"id": 1, "mailbox": box("INBOX")[-24:], "size": len(MESSAGE)}
    }  # fmt: skip
    assert source(client, box, answer) == MESSAGE
    stored = last(store)
    assert stored["flags"] == ["\\Flagged"]
    meta = stored["meta"]
    assert meta.pop("time") == stored["idate"]
    assert meta == {
        "source": "API", "from": "", "origin": "127.0.0.1", "transtype": "UPLOAD", "custom": '{"a":1}',
        "reference": False, "envelope": {"from": "g@x.org", "to": ["ada@example.com", "b@x.org"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    "raw", [MESSAGE.decode(), b64encode(MESSAGE).decode(), b64encode(MESSAGE).decode() + "\r\n"]
)
def test_whole_as_text(client: Any, box: Box, upload: Callable[..., Any], raw: str) -> None:
    assert source(client, box, upload(raw=raw)) == MESSAGE


def test_the_stored_document_field_by_field(client: Any, store: Store, ada: str, box: Box) -> None:
    part = "Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <c>\r\n\r\niVBORw0="
    raw = (
        "From: =?utf-8?q?=C3=84da?= <ada@example.com>\r\nSubject: Ü\r\nMessage-ID: <1@x>\r\nX-A: 1\r\nX-A: 2\r\n"
        "Date: Tue, 24 Nov 2026 10:00:00 +0100\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHällo\r\n--b\r\n{part}\r\n--b--\r\n"
    ).encode()
    client.post(f"{box('Junk')}/messages?ip=192.0.2.1", data=raw, headers=RAW)
    fields = {
        "_id": "objectId", "root": "objectId", "user": "objectId", "mailbox": "objectId", "thread": "objectId",
        "v": "string", "uid": "int", "modseq": "int", "size": "int", "magic": "int", "idate": "date", "hdate": "date",
        "flags": "array", "unseen": "bool", "undeleted": "bool", "flagged": "bool", "draft": "bool",
        "searchable": "bool", "junk": "bool", "ha": "bool", "exp": "bool", "rdate": "long", "retention": "long",
        "retentionTime": "long", "userDeleted": "bool", "copied": "bool", "filters": "array", "meta": "object",
        "headers": "array", "envelope": "array", "bodystructure": "array", "mimeTree": "object",
        "attachments": "array", "msgid": "string", "subject": "string", "intro": "string", "text": "string",
        "html": "array", "textFooter": "missing", "outbound": "missing", "verificationResults": "missing",
        "forwardTargets": "missing",
    }  # fmt: skip
    kinds = {name: {"$type": f"${name}"} for name in fields}
    found = next(
        store.databases.main["messages"].aggregate([{"$project": {**kinds, "_id": {"$type": "$_id"}}}])
    )
    assert found == fields
    document = last(store)
    assert set(document) - set(fields) <= {"mallard"}
    assert document["envelope"] == [
        "Tue, 24 Nov 2026 10:00:00 +0100", "Ü".encode(), *[[["Äda".encode(), None, b"ada", b"example.com"]]] * 3,
        None, None, None, None, "<1@x>",
    ]  # fmt: skip
    assert document["bodystructure"] == [
        ["TEXT", "PLAIN", ["CHARSET", b"utf-8"], None, None, "7BIT", 6, 0, None, None, None, None],
        ["IMAGE", "PNG", ["NAME", b"a.png"], "<c>", None, "BASE64", 8, None, None, None, None],
        "MIXED", ["BOUNDARY", b"b"], None, None, None,
    ]  # fmt: skip
    tree = document["mimeTree"]
    assert list(tree["attachmentMap"]) == ["ATT00001"]
    assert isinstance(tree["attachmentMap"]["ATT00001"], Binary | bytes)
    assert len(tree["attachmentMap"]["ATT00001"]) == 32
    assert (tree["parsedHeader"]["x-a"], tree["multipart"], tree["boundary"]) == (["1", "2"], "mixed", "b")
    assert [(leaf["body"] or None, leaf.get("attachmentId")) for leaf in tree["childNodes"]] == [
        ("Hällo".encode(), None), (None, "ATT00001"),
    ]  # fmt: skip
    assert document["attachments"][0] | {"fileContentHash": ""} == {
        "id": "ATT00001", "filename": "a.png", "contentType": "image/png", "disposition": False,
        "transferEncoding": "base64", "cid": "<c>", "related": False, "sizeKb": 1, "size": 8, "fileContentHash": "",
    }  # fmt: skip
    assert document["rdate"] == document["retentionTime"] + document["retention"]
    assert document["headers"][:2] == [
        {"key": "from", "value": "äda <ada@example.com>"}, {"key": "subject", "value": "ü"},
    ]  # fmt: skip
    assert document["meta"]["origin"] == "192.0.2.1"
    thread = store.databases.main["threads"].find_one({"_id": document["thread"]})
    assert thread
    assert (thread["subject"], len(thread["ids"]), thread["user"]) == ("Ü", 1, ObjectId(ada))
    assert store.databases.main["addressregister"].count_documents({}) == 0
    assert store.users.get(ObjectId(ada))["storageUsed"] == document["size"]


def test_made_of_fields(client: Any, store: Store, box: Box, upload: Callable[..., Any]) -> None:
    answer = upload(
        to=[GRACE, {"address": "no address"}, {"address": "a@b.de, c@d.de"}, {"name": "x"}],
        cc=[{"address": "c@x.org"}],
        replyTo={"address": "r@x.org"}, bcc=[{"address": "secret@x.org"}], subject="Ümläut\r\nBcc: evil@x.org",
        text="Hällo", html="<b>Hällo</b>", date=1_767_225_600_000, bimi={"domain": "example.com"},
        headers=[{"key": "X-A", "value": "1\r\nX-Evil: 2"}, {"key": "From", "value": "evil"},
                 {"value": "x"}],
        attachments=[{"content": "68690a", "encoding": "hex", "filename": "ä\r\nX-Evil: 1.txt",
                      "contentDisposition": " INLINE "},
                     {"content": "iVBORw0=", "contentType": "image/png", "cid": "p"}],
    )  # fmt: skip
    mail = parsed(client, box, answer)
    assert (mail["To"], mail["Cc"], mail["Reply-To"]) == ("Grace <grace@example.org>", "c@x.org", "r@x.org")
    assert (mail["Subject"], mail["From"]) == ("Ümläut Bcc: evil@x.org", "Ada Lovelace <ada@example.com>")
    assert (mail["X-A"], mail["X-Evil"], mail["Bcc"]) == ("1 X-Evil: 2", None, None)
    assert mail["Date"] == "Thu, 01 Jan 2026 00:00:00 +0000"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
        "text/plain",
    ]  # fmt: skip
    assert last(store)["meta"]["envelope"] == {
        "from": "ada@example.com", "to": ["grace@example.org", "c@x.org", "secret@x.org"],
    }  # fmt: skip


def test_pictures_in_data_urls_become_parts(client: Any, box: Box, upload: Callable[..., Any]) -> None:
    html = "<IMG data-filename='a.png' alt=x SRC='data:image/png;base64,iVBORw0='> <p data-filename='b'>"
    mail = parsed(client, box, upload(html=html))
    picture = next(part for part in mail.walk() if part.get_content_type() == "image/png")
    shown = next(part for part in mail.walk() if part.get_content_type() == "text/html").get_content()
    assert (picture.get_filename(), picture.get_content()) == ("a.png", b"\x89PNG\r")
    assert f'SRC="cid:{picture["Content-ID"].strip("<>")}"' in shown
    assert "data:" not in shown
    assert "<p data-filename='b'>" in shown


@pytest.mark.parametrize("action", ["reply", "replyAll", "forward"])
def test_drafts_that_refer(
    client: Any, store: Store, box: Box, put: Put, upload: Callable[..., Any], action: str
) -> None:
    pdf = {"content": "JVBERi0=", "filename": "a.pdf"}
    first = upload(
        subject="Plan", attachments=[pdf], to=[{"address": "ada@example.com"}, {"address": "b@x.org"}],
        cc=[{"address": "c@x.org"}],
        headers=[{"key": "Message-ID", "value": "<1@x>"}, {"key": "References", "value": "<0@x>"}],
        **{"from": GRACE},
    ).json["message"]  # fmt: skip
    before = last(store)
    reference = {
        "mailbox": first["mailbox"],
        "id": first["id"],
        "action": action,
        "attachments": action == "forward",
    }
    answer = upload(reference=reference, raw="", text="Yes")
    mail, stored = parsed(client, box, answer), last(store)
    assert (stored["draft"], stored["thread"]) == (True, before["thread"])
    assert stored["meta"]["reference"] == {"action": action, "mailbox": first["mailbox"], "id": first["id"]}
    assert mail["References"] == "<0@x> <1@x>"
    assert mail["Subject"] == ("Fwd: Plan" if action == "forward" else "Re: Plan")
    to = {
        "reply": "Grace <grace@example.org>",
        "replyAll": "Grace <grace@example.org>, b@x.org",
        "forward": None,
    }
    assert (mail["To"], mail["Cc"]) == (to[action], "c@x.org" if action == "replyAll" else None)
    assert mail["In-Reply-To"] == (None if action == "forward" else "<1@x>")
    assert [part.get_filename() for part in mail.iter_attachments()] == (
        ["a.pdf"] if action == "forward" else []
    )


def test_a_draft_takes_the_place_of_another(
    client: Any, store: Store, box: Box, upload: Callable[..., Any]
) -> None:
    first = upload(draft=True, text="one").json["message"]["id"]
    second = upload(draft=True, text="two", replacePrevious={"id": first}).json
    assert second["previousDeleted"] is True
    again = upload(draft=True, text="two", replacePrevious={"id": first}).json
    assert (again["success"], "previousDeleted" in again) == (True, False)
    assert again["previousDeleteError"] == "This message does not exist"
    assert client.get(box("INBOX")).json["total"] == 2
    assert store.databases.main["archived"].count_documents({}) == 0


def test_a_message_never_takes_its_own_place(client: Any, box: Box, upload: Callable[..., Any]) -> None:
    answer = upload(text="x", replacePrevious={"id": 1}).json
    assert "previousDeleteError" in answer
    assert client.get(f"{box('INBOX')}/messages/{answer['message']['id']}").status_code == 200


def test_kept_files(
    client: Any, store: Store, ada: str, box: Box, upload: Callable[..., Any], make_user: Any
) -> None:
    def keep(user: Any) -> ObjectId:
        file_id = ObjectId()
        row = {
            "_id": file_id,
            "filename": "a.txt",
            "contentType": "text/plain",
            "length": 5,
            "metadata": {"user": user},
        }
        store.databases.gridfs["storage.files"].insert_one(row)
        store.databases.gridfs["storage.chunks"].insert_one({"files_id": file_id, "n": 0, "data": b"hello"})
        return file_id

    mine, foreign = keep(ObjectId(ada)), keep(make_user("bob"))
    mail = parsed(client, box, upload(text="x", files=[str(mine)]))
    assert [part.get_filename() for part in mail.iter_attachments()] == ["a.txt"]
    assert last(store)["meta"]["files"] == [
        {"id": str(mine), "filename": "a.txt", "contentType": "text/plain", "size": 5, "cid": None}
    ]
    assert source(client, box, upload(raw=MESSAGE.decode(), files=[str(mine)])) == MESSAGE
    assert failure(upload(text="x", files=[str(mine), str(foreign)])) == (404, "FileNotFound")


def test_drafts_are_written_in_ones_own_name(client: Any, box: Box, upload: Callable[..., Any]) -> None:
    foreign = {"from": {"name": "Boss", "address": "boss@example.net"}, "text": "x"}
    assert parsed(client, box, upload(**foreign, draft=True))["From"] == "Boss <ada@example.com>"
    assert parsed(client, box, upload(**foreign))["From"] == "Boss <boss@example.net>"


def test_the_quota_holds_for_many_at_once(app: Any, store: Store, ada: str, box: Box) -> None:
    store.databases.users["users"].update_one(
        {"_id": ObjectId(ada)}, {"$set": {"quota": 5 * len(MESSAGE) + 1}}
    )
    path = f"{box('INBOX')}/messages"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: Client(app).post(path, data=MESSAGE, headers=RAW), range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [400] * 7
    assert {answer.json["code"] for answer in answers if answer.status_code == 400} == {"OverQuotaError"}
    assert store.users.get(ObjectId(ada))["storageUsed"] == 5 * len(MESSAGE)


@pytest.mark.parametrize(
    ("body", "at_fault"),
    [
        ({"from": "x", "to": "y", "unseen": "perhaps", "foo": 1}, {"from", "to", "unseen", "foo"}),
        ({"from": {"address": "no address"}}, {"from,address"}),
        ({"cc": [{"address": "no address"}], "bcc": [{}]}, {"cc,0,address", "bcc,0,address"}),
        ({"to": [None]}, {"to,0"}),
        ({"to": [{"address": {"$ne": ""}}]}, {"to,0,address"}),
        ({"attachments": [{"content": "!!!"}]}, {"attachments,0,content"}),
        ({"attachments": [{"content": ""}, {"encoding": "rot13", "content": "x"}]},
         {"attachments,0,content", "attachments,1,encoding"}),
        ({"headers": {"x": 1}}, {"headers"}),
        ({"headers": [{"key": "no name", "value": "x"}]}, {"headers"}),
        ({"subject": "x" * 2049, "metaData": "nonsense", "date": "soon"}, {"subject", "metaData", "date"}),
        ({"date": 8_640_000_000_000_000}, {"date"}),
        ({"reference": {"id": 1}}, {"reference,mailbox", "reference,action"}),
        ({"replacePrevious": {"id": 0}, "files": ["x"]}, {"replacePrevious,id", "files,0"}),
        ({"html": "x" * 1_048_577}, {"html"}),
    ],
)  # fmt: skip
def test_bad_input_names_the_fields(
    store: Store, upload: Callable[..., Any], body: dict[str, Any], at_fault: set[str]
) -> None:
    answer = upload(**body)
    assert failure(answer) == (400, "InputValidationError"), answer.json
    assert set(answer.json["details"]) == at_fault
    assert store.databases.main["messages"].count_documents({}) == 0
    assert store.databases.gridfs["attachments.files"].count_documents({}) == 0


def test_what_is_refused(client: Any, store: Store, ada: str, box: Box, upload: Callable[..., Any]) -> None:
    inbox = box("INBOX")
    assert failure(client.post(f"{inbox}/messages", data=b" \r\n", headers=RAW)) == (400, "EmptyMessage")
    assert failure(client.post(f"{inbox}/messages", data=b"", headers=RAW)) == (400, "EmptyMessage")
    assert failure(upload(raw=" ")) == (400, "EmptyMessage")
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    assert failure(client.post(f"{inbox}/messages", data=b"--b--", headers=form)) == (
        415,
        "UnsupportedMediaType",
    )
    missing = {"mailbox": inbox[-24:], "id": 9, "action": "reply"}
    assert failure(upload(reference=missing)) == (404, "MessageNotFound")
    for path in (f"/users/{ada}/mailboxes/{ObjectId()}", f"/users/{ObjectId()}/mailboxes/{inbox[-24:]}"):
        assert failure(client.post(f"{path}/messages", data=MESSAGE, headers=RAW)) == (404, "NoSuchMailbox")
    store.databases.users["users"].update_one({"_id": ObjectId(ada)}, {"$set": {"suspended": True}})
    assert failure(upload(text="x")) == (403, "UserDisabled")


def test_who_may(
    as_caller: Callable[..., Any], client: Any, ada: str, box: Box, make_user: Callable[..., Any]
) -> None:
    path = f"{box('INBOX')}/messages"
    assert failure(as_caller(None).post(path, data=MESSAGE, headers=RAW)) == (403, "InvalidToken")
    for caller in (as_caller("downloader"), as_caller("auth"), as_caller("user", str(make_user("bob")))):
        assert failure(caller.post(path, data=MESSAGE, headers=RAW)) == (403, "MissingPrivileges")
    assert as_caller("user", ada).post(path, data=MESSAGE, headers=RAW).status_code == 200

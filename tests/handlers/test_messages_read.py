"""getMessage, getMessageSource, getMessageAttachment."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store
from tests.handlers.conftest import RAW

Box = Callable[[str], str]
Put = Callable[..., int]


@pytest.fixture
def store_raw(client: Any, box: Box) -> Callable[[bytes], str]:
    """Stores bytes as a message of INBOX; gives its path."""

    def put_raw(raw: bytes) -> str:
        answer = client.post(f"{box('INBOX')}/messages", data=raw, headers=RAW)
        assert answer.status_code == 200, answer.json
        return f"{box('INBOX')}/messages/{answer.json['message']['id']}"

    return put_raw


def with_part(kind: str, content: bytes = b"x", disposition: str = "inline", more: str = "") -> bytes:
    part = f"Content-Type: {kind}\r\nContent-Disposition: {disposition}\r\nContent-Transfer-Encoding: base64\r\n{more}"
    return (
        b"From: g@x.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + part.encode() + b"\r\n" + b64encode(content) + b"\r\n--b--\r\n"
    )  # fmt: skip


def failure(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def test_what_a_message_shows(
    client: Any, store: Store, ada: str, box: Box, store_raw: Callable[[bytes], str]
) -> None:
    path = store_raw(
        b"From: =?utf-8?q?Gr=C3=A4ce?= <grace@xn--e1aybc.example>\r\nTo: ada@example.com\r\nReply-To: r@example.com\r\n"
        b"Cc: Team: a@example.com, b@example.com;\r\nSubject: Minutes\r\nMessage-ID: <1@x>\r\nReferences: <0@x>\r\n"
        b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nList-ID: Cats <cats.example.org>\r\n"
        b"List-Unsubscribe: <https://example.org/out>, <mailto:out@example.org>\r\n\r\nDear Ada"
    )
    stored = store.databases.main["messages"].find_one({})
    assert stored
    shown = client.get(path).json
    idate = shown.pop("idate")
    assert idate.endswith("Z")
    assert shown == {
        "success": True, "id": 1, "mailbox": box("INBOX")[-24:], "thread": str(stored["thread"]), "user": ada,
        "envelope": {"from": "", "rcpt": []}, "from": {"name": "Gräce", "address": "grace@тест.example"},
        "replyTo": [{"name": "", "address": "r@example.com"}], "to": [{"name": "", "address": "ada@example.com"}],
        "cc": [{"name": "Team", "group": [{"name": "", "address": "a@example.com"},
                                          {"name": "", "address": "b@example.com"}]}],
        "messageId": "<1@x>", "subject": "Minutes", "date": "2026-11-24T10:00:00.000Z", "size": stored["size"],
        "seen": True, "deleted": False, "flagged": False, "draft": False, "answered": False, "forwarded": False,
        "text": "Dear Ada", "html": ["<p>Dear Ada</p>"], "attachments": [], "references": ["<0@x>"], "metaData": {},
        "contentType": {"value": "text/plain", "params": {}},
        "list": {"id": {"name": "Cats", "address": "cats.example.org"},
                 "unsubscribe": [{"name": "", "address": "https://example.org/out"},
                                 {"name": "", "address": "mailto:out@example.org"}]},
    }  # fmt: skip


def test_read_is_only_what_was_marked(client: Any, store: Store, box: Box, put: Put) -> None:
    path = f"{box('INBOX')}/messages/{put(unseen=True)}"
    assert client.get(path).json["seen"] is False
    assert client.get(f"{path}?markAsSeen=yes").json["seen"] is True
    told = store.databases.main["journal"].count_documents({"command": "FETCH"})
    assert client.get(f"{path}?markAsSeen=yes").json["seen"] is True
    assert store.databases.main["journal"].count_documents({"command": "FETCH"}) == told == 1
    assert client.get(box("INBOX")).json["unseen"] == 0


def test_links_to_parts(client: Any, box: Box, store_raw: Callable[[bytes], str]) -> None:
    picture = {"content": "iVBORw0=", "contentType": "image/png", "cid": "logo@x", "filename": "logo.png"}
    body = {"html": '<img src="cid:logo@x">', "attachments": [picture]}
    uid = client.post(f"{box('INBOX')}/messages", json=body).json["message"]["id"]
    path = f"{box('INBOX')}/messages/{uid}"
    assert 'src="attachment:ATT00001"' in client.get(path).json["html"][0]
    html = client.get(f"{path}?replaceCidLinks=1").json["html"][0]
    empty = store_raw(b"From: g@x.org\r\n\r\n")
    assert client.get(f"{empty}?replaceCidLinks=1").json["html"] == []
    assert "html" not in client.get(empty).json
    assert f'src="{path}/attachments/ATT00001"' in html
    assert client.get(f"{path}/attachments/ATT00001").data == b"\x89PNG\r"


def test_html_is_safe_to_show(client: Any, store_raw: Callable[[bytes], str]) -> None:
    path = store_raw(
        b"Content-Type: text/html\r\n\r\n<p onclick=x()>Hi<script>x()</script><a href=javascript:x()>y</a>"
    )
    assert client.get(path).json["html"] == ['<p>Hi<a rel="noopener noreferrer nofollow">y</a></p>']


def test_the_source_comes_back(client: Any, store_raw: Callable[[bytes], str]) -> None:
    raw = with_part("application/pdf", b"%PDF" * 100) + b"epilogue without an end"
    answer = client.get(f"{store_raw(raw)}/message.eml")
    assert (answer.data, answer.content_type) == (raw, "message/rfc822")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("kind", ["image/png", "text/plain", "application/pdf", "video/mp4"])
def test_what_runs_nothing_stays_inline(client: Any, store_raw: Callable[[bytes], str], kind: str) -> None:
    path = store_raw(with_part(kind, disposition="inline; filename=a") + b"")
    if kind == "text/plain":
        path = store_raw(with_part(kind, b"x" * 310_000, "inline"))
    answer = client.get(f"{path}/attachments/ATT00001")
    assert (answer.status_code, answer.content_type) == (200, kind)
    assert answer.headers["Content-Disposition"].startswith("inline;")


@pytest.mark.parametrize(
    "kind",
    [
        "text/xml", "application/xhtml+xml", "image/svg+xml", "IMAGE/SVG+XML", "application/xml", "text/javascript",
        "multipart/related", "application/x-shockwave-flash", "text/html;charset=utf-7", "application/atom+xml",
    ],
)  # fmt: skip
def test_what_could_run_is_only_downloaded(client: Any, store_raw: Callable[[bytes], str], kind: str) -> None:
    content = b"<script>" * 40_000 if kind.startswith("text/html") else b"<script>"
    answer = client.get(f"{store_raw(with_part(kind, content))}/attachments/att00001")
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.data == content


@pytest.mark.parametrize(
    "kind",
    [
        "тест/тест",
        "text",
        "a/b/c",
        "text/pl ain",
        "",
        ";",
        "te\x00xt/html",
        "text/html\r\n\tX: y/z",
        "x" * 5000,
    ],
)
def test_a_type_that_is_none(client: Any, store_raw: Callable[[bytes], str], kind: str) -> None:
    answer = client.get(f"{store_raw(with_part(kind, disposition='attachment'))}/attachments/ATT00001")
    assert (answer.status_code, answer.data) == (200, b"x")
    assert answer.content_type in ("application/octet-stream", "text/plain")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('"a\r\n\tSet-Cookie: x=1"', 'attachment; filename="a Set-Cookie: x=1"'),
        ('"a\\"; filename=b.html"', 'attachment; filename="a_; filename=b.html"'),
        ('"../../etc/passwd"', 'attachment; filename=".._.._etc_passwd"'),
        ("=?utf-8?q?a=0D=0ASet-Cookie:_x?=", 'attachment; filename="a_Set-Cookie: x"'),
        ("=?utf-8?b?0YLQtdGB0YI=?=", "attachment; filename=\"____\"; filename*=UTF-8''%D1%82%D0%B5%D1%81%D1%82"),
        ("=?utf-8?q?gnp=E2=80=AEexe=2Ea?=", 'attachment; filename="gnp_exe.a"'),
        ("=?utf-8?q?a=00b?=", 'attachment; filename="ab"'),
    ],
)  # fmt: skip
def test_file_names_inject_nothing(
    client: Any, store_raw: Callable[[bytes], str], name: str, shown: str
) -> None:
    raw = with_part("application/pdf", disposition=f"attachment; filename={name}")
    answer = client.get(f"{store_raw(raw)}/attachments/ATT00001")
    assert answer.headers["Content-Disposition"].startswith(shown)
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Content-Disposition"].isascii()


def test_text_of_another_charset(client: Any, store_raw: Callable[[bytes], str]) -> None:
    path = store_raw(with_part("text/plain; charset=koi8-r", "тест".encode("koi8-r"), "attachment"))
    assert client.get(f"{path}/attachments/ATT00001").data == "тест".encode("koi8-r")
    converted = client.get(f"{path}/attachments/ATT00001?sendAsString=true&sess=s&ip=::1")
    assert (converted.data.decode(), converted.content_type) == ("тест", "text/plain; charset=utf-8")


def test_a_content_that_is_lost(client: Any, store: Store, store_raw: Callable[[bytes], str]) -> None:
    path = store_raw(with_part("application/pdf"))
    store.databases.gridfs["attachments.files"].delete_many({})
    assert failure(client.get(f"{path}/attachments/ATT00001")) == (404, "FileNotFound")


def test_what_is_not_there(client: Any, ada: str, box: Box, put: Put, make_user: Callable[..., Any]) -> None:
    put()
    inbox = box("INBOX")
    elsewhere = f"/users/{make_user('bob')}/mailboxes/{inbox[-24:]}"
    for path in (
        f"{inbox}/messages/2",
        f"{elsewhere}/messages/1",
        f"/users/{ada}/mailboxes/{ObjectId()}/messages/1",
    ):
        for rest in ("", "/message.eml", "/attachments/ATT00001"):
            assert failure(client.get(path + rest)) == (404, "MessageNotFound")
        assert failure(client.delete(path)) == (404, "MessageNotFound")
    assert failure(client.get(f"{inbox}/messages/1/attachments/ATT00001")) == (404, "AttachmentNotFound")


@pytest.mark.parametrize(
    ("rest", "at_fault"),
    [
        ("0", "message"), ("-1", "message"), ("1.5", "message"), ("x", "message"), ("%00", "message"),
        ("1:2", "message"),
        ("4294967296", "message"), ("99999999999999999999", "message"), ("%ff", "message"), ("NaN", "message"),
        ("1?markAsSeen=perhaps", "markAsSeen"), ("1?replaceCidLinks[$ne]=1", "replaceCidLinks.$ne"), ("1?foo=1", "foo"),
        ("1/attachments/SOURCE", "attachment"), ("1/attachments/ATT1x", "attachment"), ("1/message.eml?foo=1", "foo"),
        ("1/attachments/ATT00001?sendAsString=2", "sendAsString"),
    ],
)  # fmt: skip
def test_bad_input_names_the_field(client: Any, box: Box, put: Put, rest: str, at_fault: str) -> None:
    put()
    answer = client.get(f"{box('INBOX')}/messages/{rest}")
    assert failure(answer) == (400, "InputValidationError"), answer.json
    assert set(answer.json["details"]) == {at_fault}


def test_who_may(
    as_caller: Callable[..., Any], client: Any, ada: str, box: Box, store_raw: Callable[[bytes], str]
) -> None:
    path = store_raw(with_part("application/pdf"))
    for rest, roles in (
        ("", {"downloader"}),
        ("/message.eml", {"downloader"}),
        ("/attachments/ATT00001", {"attachments"}),
    ):
        assert failure(as_caller(None).get(path + rest)) == (403, "InvalidToken")
        for role in ("downloader", "attachments", "auth", "export"):
            answer = as_caller(role).get(path + rest)
            assert answer.status_code == (200 if role in roles else 403), (role, rest)
        assert as_caller("user", ada).get(path + rest).status_code == 200

"""Input written to break mailboxes and messages: refused, or stored as what it is; never a fault of the server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.handlers.conftest import RAW

Box = Callable[[str], str]
Put = Callable[..., int]
MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}

OPERATIONS = [
    ("GET", "/mailboxes"), ("POST", "/mailboxes"), ("GET", "/mailboxes/{box}"), ("PUT", "/mailboxes/{box}"),
    ("DELETE", "/mailboxes/{box}"), ("GET", "/mailboxes/resolve"), ("GET", "/mailboxes/{box}/messages"),
    ("POST", "/mailboxes/{box}/messages"), ("PUT", "/mailboxes/{box}/messages"), ("GET", "/mailboxes/{box}/messages/1"),
    ("PUT", "/mailboxes/{box}/messages/1"), ("DELETE", "/mailboxes/{box}/messages/1"),
    ("GET", "/mailboxes/{box}/messages/1/message.eml"), ("GET", "/mailboxes/{box}/messages/1/attachments/ATT00001"),
    ("GET", "/search"),
]  # fmt: skip
WITH_BODY = [operation for operation in OPERATIONS if operation[0] in ("POST", "PUT")]

BODIES = [
    b"{", b"[]", b'"x"', b"5", b"{\"a\":}", b"\xff\xfe", b'{"path":"\xc3\x28"}', b'{"path":"\\ud800"}', b"\0", b"{} {}",
    b'{"$where":"1"}', b'{"path":{"$gt":""}}', b'{"message":{"$ne":null},"seen":true}', b'{"a.b":1}', b'{"":1}',
    b'{"message":"1","metaData":{"$set":{"a.b":"\\u0000"}}}', b'{"constructor":1,"__proto__":{"x":1}}',
    b'{"metaData":' + b'{"a":' * 990 + b"1" + b"}" * 991, b"[" * 5000 + b"]" * 5000, b'{"message":1e999,"seen":true}',
    b'{"message":123456789012345678901234567890,"retention":-0.0}', b'{"metaData":{"a":1e999}}', b"NaN", b"{'a':1}",
]  # fmt: skip


@pytest.fixture
def path_of(ada: str, box: Box, put: Put) -> Callable[[str], str]:
    """An operation's path of an account that has a message."""
    put()
    return lambda path: f"/users/{ada}" + path.replace("{box}", box("INBOX")[-24:])


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_bodies(client: Any, path_of: Callable[[str], str], method: str, path: str) -> None:
    where = path_of(path)
    for body in BODIES:
        stored = b"metaData" in body or (path.endswith("/1") and b'"message"' in body)  # there the path wins
        answer = client.request(method, where, data=body, headers=JSON)
        assert 400 <= answer.status_code < 500 or (answer.status_code == 200 and stored), body[:80]
        assert answer.json.get("code") or answer.status_code == 200


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_paths_and_queries(client: Any, path_of: Callable[[str], str], method: str, path: str) -> None:
    where = path_of(path)
    queries = [
        "%ff=%fe", "path=%ff", "path=%00", "a[$ne]=x", "path[$ne]=x", "user[$gt]=", "from[$regex]=.*",
        "$where=1", "or[$ne]=1",
        "limit[]=1", "next=%00", "=&&==&", "order[a][b][c]=1", "x" * 4000, "&".join(f"a{n}=1" for n in range(2000)),
        "sess[$ne]=1", "ip=1.2.3.4%0d%0aX:1", "accessToken[$ne]=x", "unseen=%EF%BF%BF", "query=%22%22-%22",
    ]  # fmt: skip
    for query in queries:
        assert client.request(method, f"{where}?{query}").status_code < 500, query
    for user in ("{}", "%00", "%ff", "[object Object]", "$ne", "..%2f..", "ѐ" * 24, "f" * 23, "f" * 25, "me"):
        answer = client.request(method, f"/users/{user}" + path.replace("{box}", "f" * 24))
        assert 400 <= answer.status_code < 500, user


class Endless:
    """A body without end, which counts what is read of it."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "asked for all of it"
        self.given += size
        return b"x" * size


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_hundred_megabytes(client: Any, path_of: Callable[[str], str], method: str, path: str) -> None:
    limit = 90 * MIB if path.endswith("/messages") and method == "POST" else 4 * MIB
    kind = RAW if limit > 4 * MIB else JSON
    body = Endless()
    known = {"wsgi.input": body, "CONTENT_LENGTH": str(100 * MIB)}
    answer = client.request(method, path_of(path), headers=kind, environ_overrides=known)
    assert (answer.status_code, answer.json["code"], body.given) == (413, "RequestTooLarge", 0)
    chunked = {"wsgi.input": body, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    answer = client.request(method, path_of(path), headers=kind, environ_overrides=chunked)
    assert (answer.status_code, answer.json["code"]) == (413, "RequestTooLarge")
    assert body.given == limit + 1


def test_without_a_token_nothing_is_read(
    as_caller: Callable[..., Any], path_of: Callable[[str], str]
) -> None:
    body = Endless()
    chunked = {"wsgi.input": body, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    answer = as_caller(None).post(
        path_of("/mailboxes/{box}/messages"), headers=RAW, environ_overrides=chunked
    )
    assert (answer.status_code, body.given) == (403, 0)


MESSAGES = {
    "no MIME": bytes(range(256)) * 20,
    "NUL": b"From: a\0b@x\r\nSubject: a\0b\r\n\r\na\0b",
    "invalid UTF-8": b"From: \xff\xfe <\xff@x>\r\nSubject: \xc3\x28\r\n\r\n\xff",
    "a header without a body": b"Subject: x",
    "a body without a header": b"\r\n\r\nx",
    "names that are operators": b"$where: 1\r\na.b: 2\r\n__proto__: 3\r\nconstructor: 4\r\n: 5\r\n\r\nx",
    "parameters that are operators": b"Content-Type: text/plain; $ne=1; a.b=2; boundary=\"$\"\r\n\r\nx",
    "a thousand multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1000)
    ),
    "a thousand messages": b"Content-Type: message/rfc822\r\n\r\n" * 1000 + b"Subject: x\r\n\r\nx",
    "a header of a megabyte": b"Subject: " + b"a" * MIB + b"\r\nFrom: " + b"b" * MIB + b"\r\n\r\nx",
    "100,000 fields": b"To: a@x\r\n" * 100_000 + b"\r\nx",
    "addresses that are none": b"From: <@>, @, <a>, a@, a@b@c, <a@\xff>, \"\r\nTo: ;:,<>\r\n\r\nx",
    "a date of no calendar": b"Date: Mon, 99 Foo 99999 99:99:99 +9999\r\n\r\nx",
    "a date before all": b"Date: Mon, 1 Jan 0001 00:00:00 +2359\r\n\r\nx",
}  # fmt: skip


@pytest.mark.parametrize("name", list(MESSAGES))
def test_any_bytes_are_a_message(client: Any, box: Box, name: str) -> None:
    raw, path = MESSAGES[name], f"{box('INBOX')}/messages"
    answer = client.post(path, data=raw, headers=RAW)
    assert answer.status_code == 200, answer.json
    shown = f"{path}/{answer.json['message']['id']}"
    assert client.get(shown).status_code == 200
    assert client.get(f"{path}?includeHeaders=true").status_code == 200
    sent = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if name == "no MIME" else raw
    assert client.get(f"{shown}/message.eml").data == sent
    assert client.delete(shown).status_code == 200


def test_operators_in_data_are_data(client: Any, box: Box) -> None:
    data = {"$where": "1", "a.b": {"$ne": None}, "": 1, "\0": "\0", "__proto__": {"x": 1}}
    path = f"{box('INBOX')}/messages"
    uid = client.post(path, json={"text": "x", "metaData": data}).json["message"]["id"]
    assert client.get(f"{path}/{uid}").json["metaData"] == data
    assert client.put(f"{path}/{uid}", json={"metaData": json.dumps(data)}).status_code == 200
    assert client.get(f"{path}/{uid}").json["metaData"] == data


NAMES = st.sampled_from(
    ["path", "hidden", "retention", "subscribed", "message", "moveTo", "seen", "flagged", "draft", "expires",
     "metaData",
     "raw", "from", "to", "cc", "bcc", "replyTo", "subject", "text", "html", "headers", "attachments", "files",
     "date",
     "reference", "replacePrevious", "limit", "next", "order", "unseen", "query", "or.from", "or[query]", "datestart",
     "minSize", "id", "mailbox", "thread", "includeHeaders", "user", "sess", "ip", "address", "name", "key", "value",
     "content", "encoding", "cid", "filename", "contentType", "action"]
) | st.text(max_size=5)  # fmt: skip
WORDS = st.sampled_from(
    ["1", "1:*", "true", "2026-01-01", "false", "-1", "5d48a1f5fd1a4d1be0d4a1c1", "ada@example.com", "reply", "asc",
     "data:image/png;base64,AA==", "<img src='data:,x'>", "$ne", "\0", "W10", "a\r\nb: c", "{}", "9" * 30]
) | st.text(max_size=20)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@given(query=st.dictionaries(NAMES, WORDS, max_size=4), body=st.dictionaries(NAMES, VALUES, max_size=6))
def test_anything(
    client: Any, ada: str, box: Box, method: str, path: str, query: dict[str, str], body: dict[str, Any]
) -> None:
    if method == "DELETE" and path.endswith("{box}"):
        path = f"/mailboxes/{ObjectId()}"
    where = f"/users/{ada}" + path.replace("{box}", box("INBOX")[-24:])
    data = json.dumps(body).encode("utf-8", "replace")
    options = {"data": data, "headers": JSON} if method in ("POST", "PUT") else {}
    answer = client.request(method, where, query_string=query, **options)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.data

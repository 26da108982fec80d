"""getFiles, uploadFile, getFile, deleteFile."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from handlers.call import Call
from handlers.storage import upload_file
from mail.encodings import from_base64, from_hex
from problems import Problem
from storage.messages.files import Files
from storage.store import Store
from tests.rows import Row

CHUNK = 261_120


def keep(client: Any, user: str, **fields: Any) -> Any:
    return client.post(f"/users/{user}/storage", json={"content": "hello", **fields})


def stored(store: Store, file: str) -> Row:
    found = store.databases.gridfs["storage.files"].find_one({"_id": ObjectId(file)})
    assert found
    return found


def leftovers(store: Store) -> int:
    return sum(store.databases.gridfs[f"storage.{part}"].count_documents({}) for part in ("files", "chunks"))


def test_a_file_is_kept_as_wildduck_keeps_it(client: Any, store: Store, ada: str) -> None:
    answer = keep(
        client, ada, filename=" minutes.pdf ", contentType="application/pdf", encoding="base64", cid="logo@x",
        content="aGVs\r\nbG8", sess="s", ip="1.2.3.4",
    )  # fmt: skip
    assert answer.status_code == 200, answer.json
    file = answer.json["id"]
    assert answer.json == {"success": True, "id": file}
    document = stored(store, file)
    assert document == {
        "_id": ObjectId(file), "length": 5, "chunkSize": CHUNK, "uploadDate": document["uploadDate"],
        "filename": "minutes.pdf", "contentType": "application/pdf",
        "metadata": {"user": ObjectId(ada), "cid": "logo@x"},
    }  # fmt: skip
    chunks = list(store.databases.gridfs["storage.chunks"].find({}, {"_id": 0}))
    assert chunks == [{"files_id": ObjectId(file), "n": 0, "data": b"hello"}]
    assert client.get(f"/users/{ada}/storage").json["results"] == [
        {
            "id": file, "filename": "minutes.pdf", "contentType": "application/pdf", "cid": "logo@x", "size": 5,
            "created": document["uploadDate"].isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "name", "kind"),
    [
        ({}, "upload-{day}.bin", "application/octet-stream"),
        ({"filename": "a.html"}, "a.html", "text/html"),
        ({"filename": "a.xyzzy"}, "a.xyzzy", "application/octet-stream"),
        ({"filename": "README"}, "README", "text/plain"),
        ({"contentType": "application/pdf"}, "upload-{day}.pdf", "application/pdf"),
        ({"contentType": "text/plain; charset=x"}, "upload-{day}.bin", "text/plain; charset=x"),
        ({"filename": "a.pdf", "contentType": "x/y"}, "a.pdf", "x/y"),
    ],
)
def test_missing_names_are_made(
    client: Any, store: Store, ada: str, fields: dict[str, str], name: str, kind: str
) -> None:
    document = stored(store, keep(client, ada, **fields).json["id"])
    day = document["uploadDate"].strftime("%Y-%m-%d")
    assert (document["filename"], document["contentType"]) == (name.format(day=day), kind)


BYTES = (
    bytes(range(256)) * 1040
)  # more than a chunk; forms above 500 KiB make the test client leave files open
URLENCODED = "application/x-www-form-urlencoded"
FORM = "multipart/form-data; boundary=b"
CONTENT = b'--b\r\nContent-Disposition: form-data; name="content"\r\n\r\n'
CID = b'--b\r\nContent-Disposition: form-data; name="cid"\r\n\r\n'


@pytest.mark.parametrize(
    "options",
    [
        {"data": BYTES, "headers": {"Content-Type": "image/png"}},
        {"data": BYTES, "headers": {"Content-Type": "text/plain"}},
        {"data": BYTES},
        {"data": gzip.compress(BYTES), "headers": {"Content-Type": "application/binary", "Content-Encoding": "gzip"}},
        {"data": {"content": (BytesIO(BYTES), "ignored.txt", "text/html"), "filename": "a b.bin"}},
        {"data": {"filename": "a b.bin", "content": (BytesIO(b64encode(BYTES)), "x"), "encoding": "base64"}},
        {"data": {"content": b64encode(BYTES).decode(), "encoding": "base64"}},
        {"json": {"content": BYTES.hex(), "encoding": "hex"}},
        {"data": {"content": BYTES.hex(), "encoding": "hex"}, "content_type": URLENCODED},
    ],
)  # fmt: skip
def test_every_form_of_a_body_comes_back_byte_for_byte(
    client: Any, ada: str, options: dict[str, Any]
) -> None:
    if "content_type" not in options and isinstance(options.get("data"), dict):
        options["content_type"] = "multipart/form-data"
    answer = client.post(f"/users/{ada}/storage", **options)
    assert answer.status_code == 200, answer.json
    shown = client.get(f"/users/{ada}/storage/{answer.json['id']}")
    assert shown.data == BYTES
    assert shown.headers["Content-Length"] == str(len(BYTES))
    listed = client.get(f"/users/{ada}/storage").json["results"][0]
    assert listed["filename"] == ("a b.bin" if "a b.bin" in str(options) else listed["filename"])


def test_fields_of_a_raw_body_come_in_the_query(client: Any, store: Store, ada: str) -> None:
    query = {"filename": "x.png", "contentType": "image/png", "cid": "c", "encoding": "base64"}
    answer = client.post(f"/users/{ada}/storage", data=b"aGVsbG8=", query_string=query)
    document = stored(store, answer.json["id"])
    assert (document["filename"], document["contentType"], document["length"]) == ("x.png", "image/png", 5)


def test_an_empty_text_makes_an_empty_file(client: Any, ada: str) -> None:
    file = keep(client, ada, content="").json["id"]
    shown = client.get(f"/users/{ada}/storage/{file}")
    assert (shown.status_code, shown.data) == (200, b"")


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"content": None}, {"content"}),
        ({"content": 5}, {"content"}),
        ({"content": "a*b", "encoding": "base64"}, {"content"}),
        ({"content": "ab=c", "encoding": "base64"}, {"content"}),
        ({"content": "abc", "encoding": "hex"}, {"content"}),
        ({"encoding": "latin1", "filename": "x" * 256, "foo": 1}, {"encoding", "filename", "foo"}),
        ({"cid": "a\nb"}, {"cid"}),
        ({"filename": "a\r\nSet-Cookie: x"}, {"filename"}),
        ({"contentType": "text/plain\r\nX: y"}, {"contentType"}),
        ({"ip": "1.2.3"}, {"ip"}),
    ],
)  # fmt: skip
def test_bad_input_names_the_fields_and_keeps_nothing(
    client: Any, store: Store, ada: str, fields: dict[str, Any], at_fault: set[str]
) -> None:
    answer = keep(client, ada, **fields)
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    assert set(answer.json["details"]) == at_fault
    assert leftovers(store) == 0


def test_without_content(client: Any, ada: str) -> None:
    for options in ({}, {"json": {}}, {"data": {"filename": "x"}, "content_type": "multipart/form-data"}):
        answer = client.post(f"/users/{ada}/storage", **options)
        assert (answer.status_code, set(answer.json["details"])) == (400, {"content"})


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (CONTENT + b"half", FORM, 400, "InvalidContent"),
        (b"nothing", FORM, 400, "InvalidContent"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", FORM, 400, "InvalidContent"),
        ((CONTENT + b"x\r\n") * 2 + b"--b--", FORM, 400, "InvalidContent"),
        (CONTENT.replace(b"content", b"foo") + b"x\r\n--b--", FORM, 400, "InputValidationError"),
        (CONTENT + b"x\r\n" + CID + b"a\nb\r\n--b--", FORM, 400, "InputValidationError"),
        (CID + b"x" * 70_000 + b"\r\n--b--", FORM, 400, "InvalidContent"),
        (b"--b\r\nX: " + b"x" * 2_000_000, FORM, 400, "InvalidContent"),
        (b"x", "multipart/form-data", 400, "InvalidContent"),
        (b"{", "application/json", 400, "InvalidContent"),
    ],
)  # fmt: skip
def test_broken_bodies(
    client: Any, store: Store, ada: str, data: bytes, kind: str, status: int, code: str
) -> None:
    answer = client.post(f"/users/{ada}/storage", data=data, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    assert leftovers(store) == 0


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"x" * 1000, mtime=0)[:-9]])
def test_broken_compression(client: Any, store: Store, ada: str, data: bytes) -> None:
    answer = client.post(f"/users/{ada}/storage", data=data, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json["code"]) == (400, "InvalidContent")
    assert leftovers(store) == 0
    answer = client.post(f"/users/{ada}/storage", data=data, headers={"Content-Encoding": "br"})
    assert (answer.status_code, answer.json["code"]) == (415, "UnsupportedMediaType")


def test_a_compression_bomb(client: Any, store: Store, ada: str) -> None:
    bomb = gzip.compress(bytes(70 * 1024 * 1024))
    answer = client.post(f"/users/{ada}/storage", data=bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json["code"]) == (413, "RequestTooLarge")
    assert leftovers(store) == 0


class Endless(BytesIO):
    """A body that would fill any memory; counts what was taken of it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size, "only bounded pieces may be read"
        assert 0 < size < 1_000_000
        self.taken += size
        return bytes(size)


@pytest.mark.parametrize("content_type", ["application/octet-stream", FORM])
def test_an_endless_body_is_cut_off(client: Any, store: Store, ada: str, content_type: str) -> None:
    body = Endless()
    answer = client.post(
        f"/users/{ada}/storage",
        input_stream=body,
        headers={"Content-Type": content_type, "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code in (400, 413)
    assert body.taken < 100_000_000
    assert leftovers(store) == 0


def test_who_may_not_send_is_told_before_the_body_is_read(
    app: Any, client: Any, store: Store, ada: str
) -> None:
    token = store.tokens.provision("scanner", "audit", secret="a secret cat")
    for headers, path, code in (
        ({"X-Access-Token": "f" * 40}, ada, "InvalidToken"),
        ({"X-Access-Token": token}, ada, "MissingPrivileges"),
        ({}, "nobody", "InputValidationError"),
        ({}, str(ObjectId()), "UserNotFound"),
    ):
        body = Endless()
        answer = client.post(
            f"/users/{path}/storage", input_stream=body, headers=headers, content_length=10**7
        )
        assert answer.json["code"] == code
        assert body.taken == 0


def test_a_body_that_ends_early(client: Any, store: Store, ada: str) -> None:
    answer = client.post(
        f"/users/{ada}/storage", input_stream=BytesIO(b"half"), environ_overrides={"CONTENT_LENGTH": "8"}
    )
    assert (answer.status_code, answer.json["code"]) == (400, "InvalidContent")
    assert leftovers(store) == 0


def test_files_count_against_the_quota(client: Any, store: Store, make_user: Callable[..., ObjectId]) -> None:
    user = str(make_user("grace", quota=1000))
    assert keep(client, user, content="x" * 600).status_code == 200
    store.databases.users["users"].update_one({"_id": ObjectId(user)}, {"$set": {"storageUsed": 300}})
    answer = keep(client, user, content="x" * 101)
    assert (answer.status_code, answer.json["code"]) == (400, "OverQuotaError")
    assert keep(client, user, content="x" * 100).status_code == 200
    assert leftovers(store) == 4
    assert store.users.get(ObjectId(user))["storageUsed"] == 300


def test_20_at_once_never_pass_the_quota_together(store: Store, make_user: Callable[..., ObjectId]) -> None:
    user = make_user("grace", quota=1000)

    def one(number: int) -> str:
        try:
            upload_file(call=Call(store=store), user=user, body={"content": "x" * 300})
        except Problem as problem:
            return problem.code
        return "kept"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(one, range(20)))
    assert set(outcomes) <= {"kept", "OverQuotaError"}
    assert outcomes.count("kept") <= 3
    assert store.files.usage(user) == (300 * outcomes.count("kept"), outcomes.count("kept"))


def test_a_failure_in_the_middle_leaves_nothing(store: Store, ada: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(CHUNK * 20)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.files.create(ObjectId(ada), pieces(), filename="x", content_type="x/y", cid=None)
    assert leftovers(store) == 0


def test_listing_visits_each_file_once_in_both_directions(client: Any, ada: str) -> None:
    made = [keep(client, ada, filename=name).json["id"] for name in ("b", "a", "b", "C", "a.*", "ä", "b")]
    order = [made[n] for n in (3, 1, 4, 0, 2, 6, 5)]
    pages = [client.get(f"/users/{ada}/storage?limit=3").json]
    while pages[-1]["nextCursor"]:
        query = {"limit": 3, "next": pages[-1]["nextCursor"]}
        pages.append(client.get(f"/users/{ada}/storage", query_string=query).json)
    assert [row["id"] for page in pages for row in page["results"]] == order
    assert [page["page"] for page in pages] == [1, 2, 3]
    query = {"limit": 3, "previous": pages[2]["previousCursor"]}
    assert client.get(f"/users/{ada}/storage", query_string=query).json["results"] == pages[1]["results"]
    found = client.get(f"/users/{ada}/storage?query=.*&unknown=1").json
    assert (found["query"], found["total"], [row["filename"] for row in found["results"]]) == (
        ".*",
        1,
        ["a.*"],
    )
    assert client.get(f"/users/{ada}/storage?query=B").json["total"] == 0


def test_an_old_file_shows_its_md5(client: Any, store: Store, ada: str) -> None:
    file = keep(client, ada).json["id"]
    store.databases.gridfs["storage.files"].update_one({"_id": ObjectId(file)}, {"$set": {"md5": "0" * 32}})
    assert client.get(f"/users/{ada}/storage").json["results"][0]["md5"] == "0" * 32


def stages(plan: Any) -> Iterator[str]:
    if isinstance(plan, dict):
        if "stage" in plan:
            yield plan["stage"]
        for part in plan.values():
            yield from stages(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from stages(part)


def test_a_listing_is_answered_from_its_index(store: Store, ada: str) -> None:
    for number in range(30):
        store.files.create(ObjectId(ada), [b"x"], filename=f"f{number}", content_type="x/y", cid=None)
    user = {"metadata.user": ObjectId(ada)}
    wanted = {"$and": [{**user, "filename": {"$regex": "f"}}, {"$or": [{"filename": {"$gt": "f1"}}]}]}
    rows = store.files._files.find(wanted).hint("user_files_paging").sort({"filename": 1, "_id": 1}).limit(3)
    found = set(stages(rows.explain()["queryPlanner"]["winningPlan"]))
    assert found == {"LIMIT", "FETCH", "IXSCAN"}


@pytest.mark.parametrize(
    ("name", "kind", "sent", "disposition"),
    [
        ("a.html", "text/html", "text/html", "attachment"),
        ("a.svg", "image/svg+xml", "image/svg+xml", "attachment"),
        ("a.xml", "application/xhtml+xml", "application/xhtml+xml", "attachment"),
        ("a.png", "image/png", "image/png", "inline"),
        ("a.txt", "TEXT/Plain; charset=utf-8", "TEXT/Plain; charset=utf-8", "inline"),
        ("a", "nonsense", "application/octet-stream", "attachment"),
        ("a", "text/html\r\nX: y", "application/octet-stream", "attachment"),
    ],
)
def test_active_content_is_never_shown_in_place(
    client: Any, store: Store, ada: str, name: str, kind: str, sent: str, disposition: str
) -> None:
    file = store.files.create(ObjectId(ada), [b"x"], filename=name, content_type=kind, cid=None)
    shown = client.get(f"/users/{ada}/storage/{file}")
    assert shown.headers["Content-Type"] == sent
    assert shown.headers["Content-Disposition"].startswith(f"{disposition}; filename=")
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert shown.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ('x"; evil="\r\nSet-Cookie: a=b', "attachment; filename=\"x_; evil=_Set-Cookie: a=b\"; "
         "filename*=UTF-8''x_%3B%20evil%3D_Set-Cookie%3A%20a%3Db"),
        ("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\"; filename*=UTF-8''.._.._etc_passwd"),
        ("protokoll ü.bin", "attachment; filename=\"protokoll _.bin\"; filename*=UTF-8''protokoll%20%C3%BC.bin"),
    ],
)  # fmt: skip
def test_a_hostile_name_stays_in_its_header(
    client: Any, store: Store, ada: str, name: str, header: str
) -> None:
    """Names that others wrote into the shared database have passed no check of ours."""
    file = store.files.create(ObjectId(ada), [b"x"], filename=name, content_type="a/b", cid=None)
    shown = client.get(f"/users/{ada}/storage/{file}")
    assert shown.headers["Content-Disposition"] == header
    assert "Set-Cookie" not in shown.headers


def test_deleting(client: Any, store: Store, ada: str) -> None:
    file = keep(client, ada).json["id"]
    path = f"/users/{ada}/storage/{file}"
    assert client.delete(path).json == {"success": True}
    assert leftovers(store) == 0
    for method in ("GET", "DELETE"):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json["code"]) == (404, "FileNotFound")


def test_two_delete_at_once(store: Store, ada: str) -> None:
    file = store.files.create(ObjectId(ada), [b"x"], filename="x", content_type="a/b", cid=None)

    def one(_: int) -> str:
        try:
            store.files.delete(ObjectId(ada), file)
        except Problem as problem:
            return problem.code
        return "deleted"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(8))) == ["FileNotFound"] * 7 + ["deleted"]


def test_files_of_others_cannot_be_reached(
    client: Any, store: Store, ada: str, make_user: Callable[..., ObjectId]
) -> None:
    bob = make_user("bob")
    file = keep(client, ada, filename="secret.txt").json["id"]
    token = store.tokens.issue(store.users.get(bob), secret="a secret cat", ttl=1000)
    headers = {"X-Access-Token": token}
    for method, path, code in (
        ("GET", f"/users/{ada}/storage/{file}", "MissingPrivileges"),
        ("DELETE", f"/users/{ada}/storage/{file}", "MissingPrivileges"),
        ("GET", f"/users/{ada}/storage", "MissingPrivileges"),
        ("POST", f"/users/{ada}/storage", "MissingPrivileges"),
        ("GET", f"/users/me/storage/{file}", "FileNotFound"),
        ("DELETE", f"/users/me/storage/{file}", "FileNotFound"),
    ):
        options = {"json": {"content": "x"}} if method == "POST" else {}
        assert client.request(method, path, headers=headers, **options).json["code"] == code
    assert client.get("/users/me/storage", headers=headers).json["results"] == []
    assert client.get(f"/users/{ada}/storage/{file}").data == b"hello"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_accounts_and_wrong_roles(client: Any, store: Store, method: str) -> None:
    options: dict[str, Any] = {"json": {"content": "x"}} if method == "POST" else {}
    path = f"/users/{ObjectId()}/storage" + (f"/{ObjectId()}" if method == "DELETE" else "")
    answer = client.request(method, path, **options)
    assert (answer.status_code, answer.json["code"]) == (404, "UserNotFound")
    for headers, code in (
        (
            {"X-Access-Token": store.tokens.provision("p", "manager", secret="a secret cat")},
            "MissingPrivileges",
        ),
        ({"X-Access-Token": "0" * 40}, "InvalidToken"),
    ):
        answer = client.request(method, path, headers=headers, **options)
        assert (answer.status_code, answer.json["code"]) == (403, code)


def test_a_disabled_account_keeps_nothing_new(client: Any, make_user: Callable[..., ObjectId]) -> None:
    user = str(make_user("grace"))
    file = keep(client, user).json["id"]
    client.put(f"/users/{user}", json={"disabled": True})
    answer = keep(client, user)
    assert (answer.status_code, answer.json["code"]) == (403, "UserDisabled")
    assert client.get(f"/users/{user}/storage/{file}").data == b"hello"


def test_the_count_of_files_is_bounded(
    client: Any, ada: str, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    monkeypatch.setattr(Files, "usage", lambda self, user: (0, 10_000))
    assert keep(client, ada).json["code"] == "OverQuotaError"
    assert leftovers(store) == 0


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@given(st.binary(max_size=200), st.lists(st.integers(0, 500), max_size=8), st.booleans())
def test_text_becomes_bytes_however_it_is_cut(data: bytes, cuts: list[int], padded: bool) -> None:
    text = b64encode(data) if padded else b64encode(data).rstrip(b"=")
    lines = b"\r\n".join(text[n : n + 7] for n in range(0, len(text), 7))
    assert b"".join(from_base64(pieces_of(lines, cuts))) == data
    assert b"".join(from_hex(pieces_of(data.hex(" ").encode(), cuts))) == data

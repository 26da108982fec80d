"""Bodies: what is read, in which forms, how much of it, and before or after which question."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import Any

import orjson
import pytest

ACCOUNT = {"username": "ada", "password": "correct horse battery"}
LIMIT = 4 * 1024 * 1024


def post(client: Any, data: bytes, content_type: str | None = "application/json", **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/users", data=data, headers=given, content_type=content_type)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json.get("code")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.api+json",
        None,
    ],
)
def test_json_is_read(client: Any, kind: str | None) -> None:
    """A missing media type is read as JSON: scripts that forget it do not send something else."""
    assert post(client, orjson.dumps(ACCOUNT), kind).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "text/xml", "application/jsonp", "multipart/form-data", "x"])
def test_other_media_types_are_refused(client: Any, kind: str) -> None:
    assert code(post(client, orjson.dumps(ACCOUNT), kind)) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"[]", b'"text"', b"1", b"true", b"{'a': 1}", b'{"a": NaN}', b"\xff\xfe{}", b'{"a": "\xe9"}',
        b'{"a": "\\ud800"}', b'{"username": "ada"} trailing', b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_object_is_refused(client: Any, data: bytes) -> None:
    assert code(post(client, data)) == (400, "InvalidContent")


@pytest.mark.parametrize("data", [b"", b"  \r\n", b"null", b"{}"])
def test_an_empty_body_has_no_fields(client: Any, data: bytes) -> None:
    answer = post(client, data)
    assert code(answer) == (400, "InputValidationError")
    assert answer.json["details"] == {
        "username": '"username" is required',
        "password": '"password" is required',
    }


def test_another_charset_is_not_guessed(client: Any) -> None:
    data = '{"name": "José"}'.encode("latin-1")
    assert code(post(client, data, "application/json; charset=iso-8859-1")) == (400, "InvalidContent")


def test_a_form_is_read(client: Any) -> None:
    data = b"username=ada&password=correct+horse+battery&tags[]=a&tags[]=b&mailboxes[sent]=Gesendet&emptyAddress=yes"
    answer = post(client, data, "application/x-www-form-urlencoded")
    assert answer.status_code == 200
    user = answer.json["id"]
    assert client.get(f"/users/{user}").json["tags"] == ["a", "b"]
    boxes = client.get(f"/users/{user}/mailboxes").json["results"]
    assert "Gesendet" in [box["path"] for box in boxes]


def test_a_form_of_a_million_fields_is_cut_before_it_is_parsed(client: Any) -> None:
    answer = post(client, b"a=&" * 1_000_000, "application/x-www-form-urlencoded")
    assert code(answer) == (400, "InputValidationError")
    assert answer.json["details"]["a"] == '"a" is not allowed'


def test_gzip_is_read(client: Any) -> None:
    data = gzip.compress(orjson.dumps(ACCOUNT), mtime=0)
    assert post(client, data, Content_Encoding="gzip").status_code == 200
    assert (
        post(client, orjson.dumps({**ACCOUNT, "username": "b"}), Content_Encoding="identity").status_code
        == 200
    )


def test_a_gzip_bomb_is_stopped_at_the_limit(client: Any) -> None:
    packer = zlib.compressobj(9, wbits=31)
    chunks = [packer.compress(b" " * 1_000_000) for _ in range(500)]
    bomb = b"".join([*chunks, packer.flush()])
    assert len(bomb) < LIMIT
    assert code(post(client, bomb, Content_Encoding="gzip")) == (413, "RequestTooLarge")


@pytest.mark.parametrize(
    "data",
    [
        b"no gzip",
        gzip.compress(b"{}", mtime=0)[:-4],
        gzip.compress(b"{}", mtime=0) + b"more",
        gzip.compress(b"{}" * 999, mtime=0)[:-12],
    ],
)
def test_gzip_that_is_not_one_whole_stream_is_refused(client: Any, data: bytes) -> None:
    assert code(post(client, data, Content_Encoding="gzip")) == (400, "InvalidContent")


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
def test_other_encodings_are_refused(client: Any, encoding: str) -> None:
    answer = post(client, b"{}", Content_Encoding=encoding)
    assert code(answer) == (415, "UnsupportedMediaType")
    assert answer.json["error"] == "content encoding not supported"


class Unread(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the body was read before its length was looked at")


def test_what_is_too_large_is_refused_before_it_is_read(client: Any) -> None:
    answer = client.post(
        "/users",
        content_type="application/json",
        environ_overrides={"wsgi.input": Unread(), "CONTENT_LENGTH": str(LIMIT + 1)},
    )
    assert code(answer) == (413, "RequestTooLarge")


def test_what_is_too_large_without_saying_so_is_cut_off(client: Any) -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = b" " * len(buffer)
            self.taken += len(buffer)
            return len(buffer)

    stream = Endless()
    answer = client.post(
        "/users",
        headers={"Transfer-Encoding": "chunked"},
        content_type="application/json",
        environ_overrides={"wsgi.input": io.BufferedReader(stream)},
    )
    assert code(answer) == (413, "RequestTooLarge")
    assert stream.taken < LIMIT + 1024 * 1024


def test_the_largest_body_that_is_taken(client: Any) -> None:
    data = orjson.dumps(ACCOUNT)
    assert post(client, data + b" " * (LIMIT - len(data))).status_code == 200
    assert code(post(client, data + b" " * (LIMIT - len(data) + 1))) == (413, "RequestTooLarge")


def test_the_body_of_a_get_is_passed_over(client: Any) -> None:
    answer = client.request("GET", "/users", data=b"{ no json", headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


def test_the_body_of_a_delete_is_read(client: Any, make_user: Any) -> None:
    user = make_user("ada")
    path = f"/users/{user}/mailboxes/{'0' * 24}"
    assert code(client.delete(path, json={"sess": "x" * 256})) == (400, "InputValidationError")
    assert code(client.delete(path, json={"sess": "mine"})) == (404, "NoSuchMailbox")

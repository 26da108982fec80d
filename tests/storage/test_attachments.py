"""The bucket of attachments: one file per content, references counted."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from bson import Binary, ObjectId
from gridfs import GridFSBucket
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import WriteError

from mail.attachment import decode, decoded_pieces, encode, encoded_pieces
from mail.content import Body
from problems import Problem
from storage.base.chunks import CHUNK_SIZE
from storage.store import Store
from tests.storage.conftest import together

LINE = 76


def body(content: bytes, *, decoded: bool = True) -> Body:
    encoded = encode(content, LINE) if decoded else content
    return Body(
        id="ATT00001",
        hash=hashlib.sha256(encoded).digest(),
        content=content,
        content_hash=hashlib.sha256(content).digest(),
        content_type="application/pdf",
        transfer_encoding="base64" if decoded else "8bit",
        encoded_size=len(encoded),
        line_length=LINE if decoded else None,
    )


def fresh(size: int = 100) -> Body:
    return body(ObjectId().binary + bytes(size))


def counts(store: Store, file_id: bytes) -> tuple[int, int]:
    metadata = store.attachments.file(file_id)["metadata"]
    return metadata["c"], metadata["m"]


def test_the_layout_is_that_of_gridfs(store: Store) -> None:
    wanted = fresh(CHUNK_SIZE * 34 + 1)
    hashes = store.attachments.store([wanted], 7)
    file = store.attachments.file(wanted.hash)
    content_hash = b64encode(hashlib.sha256(wanted.content).digest()).decode()
    assert hashes == {wanted.hash: content_hash}
    assert file.pop("uploadDate").tzinfo
    assert file["metadata"].pop("cu").tzinfo
    assert file == {
        "_id": wanted.hash, "length": len(wanted.content), "chunkSize": 261_120, "filename": None,
        "contentType": "application/pdf",
        "metadata": {"m": 7, "c": 1, "esize": wanted.encoded_size, "transferEncoding": "base64", "decoded": True,
                     "lineLen": LINE, "fileContentHash": content_hash},
    }  # fmt: skip
    chunk = store.databases.gridfs["attachments.chunks"].find_one({"files_id": Binary(wanted.hash)})
    assert chunk
    assert set(chunk) == {"_id", "files_id", "n", "data"}
    bucket = GridFSBucket(store.databases.gridfs, "attachments")
    assert bucket.open_download_stream(Binary(wanted.hash)).read() == wanted.content


@pytest.mark.parametrize("size", [1, CHUNK_SIZE - 12, CHUNK_SIZE, 3 * CHUNK_SIZE + 5])
def test_both_forms_come_back_in_pieces(store: Store, size: int) -> None:
    wanted = fresh(size)
    store.attachments.store([wanted], 1)
    pieces = list(store.attachments.encoded(wanted.hash))
    assert b"".join(pieces) == encode(wanted.content, LINE)
    assert max(map(len, pieces)) < 2 * CHUNK_SIZE
    assert b"".join(store.attachments.decoded(store.attachments.file(wanted.hash))) == wanted.content


def test_what_could_not_be_decoded_exactly_is_decoded_when_it_is_read(store: Store) -> None:
    wanted = body(b"aGVs\r\n\r\nbG8=" + ObjectId().binary.hex().encode()[:0], decoded=False)
    store.attachments.store([wanted], 1)
    files = store.databases.gridfs["attachments.files"]
    files.update_one({"_id": Binary(wanted.hash)}, {"$set": {"metadata.transferEncoding": "base64"}})
    assert b"".join(store.attachments.encoded(wanted.hash)) == wanted.content
    assert b"".join(store.attachments.decoded(store.attachments.file(wanted.hash))) == b"hello"


def test_references_are_counted_per_occurrence(store: Store) -> None:
    wanted = fresh()
    store.attachments.store([wanted, wanted], 10)
    store.attachments.store([wanted], 5)
    assert counts(store, wanted.hash) == (3, 25)
    store.attachments.release([wanted.hash, wanted.hash], 10)
    assert counts(store, wanted.hash) == (1, 5)
    store.attachments.release([wanted.hash], 5)
    assert counts(store, wanted.hash) == (0, 0)


@pytest.mark.parametrize("size", [100, 6 * CHUNK_SIZE])
def test_many_store_the_same_at_once(store: Store, size: int) -> None:
    wanted = fresh(size)
    results = together(16, lambda number: store.attachments.store([wanted], number))
    assert all(isinstance(result, dict) for result in results), results
    assert counts(store, wanted.hash) == (16, sum(range(16)))
    chunks = store.databases.gridfs["attachments.chunks"]
    assert chunks.count_documents({"files_id": Binary(wanted.hash)}) == -(-len(wanted.content) // CHUNK_SIZE)
    assert b"".join(store.attachments.decoded(store.attachments.file(wanted.hash))) == wanted.content


def test_what_a_dead_writer_left_is_cleared(store: Store) -> None:
    wanted = fresh(2 * CHUNK_SIZE)
    long_ago = ObjectId.from_datetime(datetime.now(UTC) - timedelta(minutes=31))
    left = {"_id": long_ago, "files_id": Binary(wanted.hash), "n": 0, "data": Binary(b"half")}
    store.databases.gridfs["attachments.chunks"].insert_one(left)
    store.attachments.store([wanted], 1)
    assert b"".join(store.attachments.decoded(store.attachments.file(wanted.hash))) == wanted.content


def test_what_is_being_written_is_not_cleared(store: Store) -> None:
    wanted = fresh()
    young = {"_id": ObjectId(), "files_id": Binary(wanted.hash), "n": 0, "data": Binary(b"half")}
    chunks = store.databases.gridfs["attachments.chunks"]
    chunks.insert_one(young)
    store.attachments._clear_abandoned(wanted.hash)
    assert chunks.find_one({"_id": young["_id"]})


def test_a_failed_upload_leaves_nothing_in_the_way(store: Store) -> None:
    wanted, database = fresh(CHUNK_SIZE), store.databases.gridfs
    database.command("collMod", "attachments.files", validator={"length": {"$lt": 0}})
    try:
        with pytest.raises(WriteError):
            store.attachments.store([wanted], 1)
    finally:
        database.command("collMod", "attachments.files", validator={})
    assert not database["attachments.chunks"].find_one({"files_id": Binary(wanted.hash)})
    assert store.attachments.store([wanted], 1)


def test_if_one_fails_the_others_are_given_back(store: Store) -> None:
    good = fresh()
    store.attachments.store([good], 3)
    bad = fresh(50)
    database = store.databases.gridfs
    database.command("collMod", "attachments.files", validator={"length": {"$ne": len(bad.content)}})
    try:
        with pytest.raises(WriteError):
            store.attachments.store([good, bad], 9)
    finally:
        database.command("collMod", "attachments.files", validator={})
    assert counts(store, good.hash) == (1, 3)


def test_a_file_without_its_hash_does_not_invent_one(store: Store) -> None:
    """Files of older versions."""
    wanted = fresh()
    store.attachments.store([wanted], 1)
    files = store.databases.gridfs["attachments.files"]
    files.update_one({"_id": Binary(wanted.hash)}, {"$unset": {"metadata.fileContentHash": ""}})
    assert store.attachments.store([wanted], 1) == {wanted.hash: None}


def test_a_lost_file(store: Store) -> None:
    assert list(store.attachments.encoded(b"x" * 32)) == []
    with pytest.raises(Problem, match="FileNotFound"):
        store.attachments.file(b"x" * 32)


@given(st.lists(st.binary(max_size=200), max_size=6), st.integers(1, 120))
def test_base64_in_pieces_is_base64_in_one(pieces: list[bytes], line: int) -> None:
    assert b"".join(encoded_pieces(pieces, line)) == encode(b"".join(pieces), line)


ENCODED = st.lists(
    st.one_of(st.sampled_from([b"=", b"=\r", b"\n", b"QUJD", b" ", b"=3"]), st.binary(max_size=9))
)


@given(ENCODED, st.sampled_from(["base64", "Quoted-Printable", "8bit", ""]))
def test_a_body_decoded_in_pieces_is_that_decoded_in_one(pieces: list[bytes], encoding: str) -> None:
    assert b"".join(decoded_pieces(pieces, encoding)) == decode(b"".join(pieces), encoding)

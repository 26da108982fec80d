"""What comes in is what goes out, byte for byte, whatever messages hypothesis invents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import HealthCheck, given, settings

from mail import attachment, source
from mail.message import Indexed, index
from mail.mime_tree import normalize
from storage.messages.documents import own_fields
from storage.store import Store
from tests.conftest import Client
from tests.mail.messages import MESSAGES
from tests.rows import Row

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ODD_ONES = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def stored_forms(indexed: Indexed) -> list[Row]:
    """The document through BSON: as we store bytes (subtype 0), and with each of them as a Binary of subtype 2."""
    document = {**indexed.document, "mallard": own_fields(indexed)}
    encoded = bson.encode(document)
    return [
        bson.decode(encoded),
        bson.decode(bson.encode(_as_binaries(document)), CodecOptions(tz_aware=True)),
    ]


def _as_binaries(value: Any) -> Any:
    """The old form of the same, which old drivers wrote and which reads as a class of its own."""
    if isinstance(value, bytes):
        return bson.Binary(value, 2)
    if isinstance(value, dict):
        return {name: _as_binaries(item) for name, item in value.items()}
    return [_as_binaries(item) for item in value] if isinstance(value, list) else value


@settings(ODD_ONES, max_examples=700)
@given(MESSAGES)
def test_bytes_are_kept(raw: bytes) -> None:
    indexed = index(raw, NOW)
    bodies: dict[str, bytes | memoryview] = {
        body.id: attachment.encode(body.content, body.line_length) if body.line_length else body.content
        for body in indexed.bodies
    }
    for document in stored_forms(indexed):
        layout = document["mallard"].get("layout")
        pieces = source.stream(document["mimeTree"], layout, lambda body_id: [bytes(bodies[body_id])])
        assert b"".join(pieces) == normalize(raw)


def test_bytes_are_kept_by_the_service(store: Store, client: Client, user: Row) -> None:
    """The same with the document in the database and the attachments in GridFS, in and out through the API."""
    inbox = store.mailboxes.by_path(user["_id"], "INBOX")
    messages = f"/users/{user['_id']}/mailboxes/{inbox['_id']}/messages"

    @settings(ODD_ONES, max_examples=60)
    @given(MESSAGES.filter(bytes.strip))
    def check(raw: bytes) -> None:
        answer = client.post(messages, data=raw, headers={"Content-Type": "message/rfc822"})
        assert answer.status_code == 200, answer.json
        uid = answer.json["message"]["id"]
        assert client.get(f"{messages}/{uid}/message.eml").data == normalize(raw)
        assert client.get(f"{messages}/{uid}").status_code == 200

    check()
    assert_attachments_are_counted(store)


def assert_attachments_are_counted(store: Store) -> None:
    """Each file has as many references as there are places that name it."""
    wanted: dict[bytes, list[int]] = {}
    for message in store.databases.main["messages"].find({}, {"mimeTree.attachmentMap": 1, "magic": 1}):
        for file_id in message["mimeTree"]["attachmentMap"].values():
            wanted.setdefault(bytes(file_id), []).append(message["magic"])
    files = store.databases.gridfs["attachments.files"].find()
    found = {bytes(file["_id"]): (file["metadata"]["c"], file["metadata"]["m"]) for file in files}
    assert found == {file_id: (len(magic), sum(magic)) for file_id, magic in wanted.items()}

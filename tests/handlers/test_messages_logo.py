"""The logo of a sender, which WildDuck found when the message came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store
from tests.rows import Row

CERTIFIED = {
    "type": "authority",
    "url": "https://x.example/a.pem",
    "content": b"<svg/>",
    "vmc": {"type": "CMC"},
}
PLAIN = {"type": "location", "url": "https://x.example/a.svg", "content": b"<svg/>", "error": None}
IMAGE = "data:image/svg+xml;base64,PHN2Zy8+"


@pytest.fixture
def with_logo(store: Store, put: Callable[..., int]) -> Callable[[Row], int]:
    """Stores a message whose sender has this logo."""

    def make(logo: dict[str, Any]) -> int:
        uid = put(unseen=True)
        found = store.databases.main["bimi"].insert_one(dict(logo)).inserted_id
        change = {"$set": {"verificationResults": {"spf": "x.example", "bimi": found}}}
        store.databases.main["messages"].update_one({"uid": uid}, change)
        return uid

    return make


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (CERTIFIED, {"certified": True, "url": "https://x.example/a.pem", "image": IMAGE, "type": "CMC"}),
        ({**CERTIFIED, "vmc": None}, {"certified": True, "url": CERTIFIED["url"], "image": IMAGE, "type": "VMC"}),
        (PLAIN, {"certified": False, "url": "https://x.example/a.svg", "image": IMAGE}),
        ({**PLAIN, "error": {"code": "ETIMEDOUT"}}, None),
        ({**PLAIN, "content": None}, None),
    ],
)  # fmt: skip
def test_a_message_has_it_wherever_it_is_shown(
    client: Any, ada: str, box: Callable[[str], str], with_logo: Callable[..., int], stored: Any, shown: Any
) -> None:
    path = f"{box('INBOX')}/messages/{with_logo(stored)}"
    message = client.get(path).json
    assert message.get("bimi") == shown
    assert message["verificationResults"] == {"spf": "x.example"}
    assert [row.get("bimi") for row in client.get(f"{box('INBOX')}/messages").json["results"]] == [shown]
    assert [row.get("bimi") for row in client.get(f"/users/{ada}/search").json["results"]] == [shown]
    client.delete(path)
    assert [row.get("bimi") for row in client.get(f"/users/{ada}/archived/messages").json["results"]] == [
        shown
    ]


def test_one_that_is_gone_is_none(
    client: Any, store: Store, box: Callable[[str], str], with_logo: Callable[..., int]
) -> None:
    with_logo(CERTIFIED)
    with_logo(PLAIN)
    first = store.databases.main["messages"].find_one({"uid": 1})
    assert first
    store.databases.main["bimi"].delete_one({"_id": ObjectId(first["verificationResults"]["bimi"])})
    rows = client.get(f"{box('INBOX')}/messages?order=asc").json["results"]
    assert ["bimi" in row for row in rows] == [False, True]

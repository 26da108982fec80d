"""Every id that an operation takes, unknown or of somebody else: 404 or as the table says, and nothing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from server.contract.operations import Contract
from tests.contract.world import Request, World

OPERATIONS = {operation.operation_id: operation for operation in Contract().operations}

# What stands in a path without being an id of something that must be there.
NO_IDS = {
    ("getAllowedDomain", "tag"): "a tag is there as soon as something has it; a list of none is an answer",
    ("getBlockedDomain", "tag"): "likewise",
    ("createAllowedDomain", "tag"): "likewise",
    ("createBlockedDomain", "tag"): "likewise",
    ("createSetting", "setting"): "a key that there is not is bad input",
}
UNKNOWN: Mapping[str, Any] = {
    "message": 4_000_000_000, "attachment": "ATT99999", "queueId": "0" * 18, "username": "nobody",
    "domain": "unknown.example", "servername": "unknown.example", "alias": "unknown.example", "setting": "unknown",
}  # fmt: skip

AN_ID = "ffffffffffffffffffffffff"
_ANSWERED = {"mailbox": AN_ID, "id": 1, "action": "reply"}

# Ids in other places, with the fields that they ask for beside them.
FIELDS: Mapping[tuple[str, str], Any] = {
    ("createAudit", "user"): {"user": AN_ID},
    ("createFilter", "action.mailbox"): {"action": {"mailbox": AN_ID}},
    ("createWebhook", "user"): {"user": AN_ID},
    ("getUpdates", "Last-Event-ID"): {"Last-Event-ID": AN_ID},
    ("getWebhooks", "user"): {"user": AN_ID},
    ("restoreMessage", "mailbox"): {"mailbox": AN_ID},
    ("searchApplyMessages", "action.moveTo"): {"action": {"moveTo": AN_ID}},
    ("searchApplyMessages", "mailbox"): {"mailbox": AN_ID},
    ("searchApplyMessages", "thread"): {"thread": AN_ID},
    ("searchMessages", "mailbox"): {"mailbox": AN_ID},
    ("searchMessages", "thread"): {"thread": AN_ID},
    ("submitMessage", "draft.mailbox"): {"draft": {"mailbox": AN_ID, "id": 1}},
    ("submitMessage", "mailbox"): {"mailbox": AN_ID},
    ("submitMessage", "reference.mailbox"): {"reference": _ANSWERED},
    ("updateFilter", "action.mailbox"): {"action": {"mailbox": AN_ID}},
    ("updateMessage", "moveTo"): {"moveTo": AN_ID},
    ("uploadMessage", "files"): {"files": [AN_ID]},
    ("uploadMessage", "reference.mailbox"): {"reference": _ANSWERED},
    ("uploadMessage", "replacePrevious.mailbox"): {"replacePrevious": {"mailbox": AN_ID, "id": 1}},
}
GOES_ON = {
    ("getUpdates", "Last-Event-ID"): "an event that is gone: the stream goes on with what there is",
    ("getWebhooks", "user"): "a condition that nothing meets",
    ("restoreMessage", "mailbox"): "the message goes back where it was deleted, as the original does",
    ("searchApplyMessages", "mailbox"): "a condition that nothing meets",
    ("searchApplyMessages", "thread"): "a condition that nothing meets",
    ("searchMessages", "mailbox"): "a condition that nothing meets",
    ("searchMessages", "thread"): "a condition that nothing meets",
    ("submitMessage", "draft.mailbox"): "the message is sent, a draft that is gone needs no deleting",
    (
        "uploadMessage",
        "replacePrevious.mailbox",
    ): "the message is stored, `previousDeleteError` tells of the rest",
}


def ids_in(schema: Mapping[str, Any], name: str) -> Iterator[str]:
    """The names of fields that hold ids, `reference.mailbox`."""
    if schema.get("format") == "object-id":
        yield name
    yield from ids_in(schema.get("items", {}), name) if "items" in schema else ()
    for part, below in schema.get("properties", {}).items():
        yield from ids_in(below, f"{name}.{part}")


def names_in_path(name: str) -> list[str]:
    return [p["name"] for p in OPERATIONS[name].parameters if p["in"] == "path"]


CASES = [
    (name, parameter)
    for name in OPERATIONS
    for parameter in names_in_path(name)
    if (name, parameter) not in NO_IDS
]


def furnished(world: World, name: str) -> Request:
    return next(world.requests(name, world.furnish(name)))


def refused(world: World, request: Request) -> Any:
    """The answer to a request that must not change anything."""
    before = world.disk.hashes()
    answer = world.send(request)
    assert world.disk.hashes() == before
    return answer


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_what_is_unknown_is_not_found(world: World, name: str, parameter: str) -> None:
    request = furnished(world, name)
    is_id = ObjectId.is_valid(request.path[parameter])
    unknown = str(ObjectId()) if is_id else UNKNOWN[parameter]
    answer = refused(world, replace(request, path={**request.path, parameter: unknown}))
    assert answer.status_code == 404, answer.json


@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if len(names_in_path(name)) > 1 and "user" in names_in_path(name)]
)
def test_what_is_somebody_elses_is_not_found(world: World, name: str) -> None:
    request = furnished(world, name)
    other = world.client.post(
        "/users", json={"username": "bob", "password": "", "address": "bob@example.com"}
    ).json["id"]
    answer = refused(world, replace(request, path={**request.path, "user": other}))
    assert answer.status_code == 404, answer.json


def test_every_id_beside_the_path_is_in_the_table() -> None:
    found = {
        (name, field)
        for name, operation in OPERATIONS.items()
        for part, schema in [
            *((p["name"], p["schema"]) for p in operation.parameters if p["in"] != "path"),
            *operation.body_properties.items(),
        ]
        for field in ids_in(schema, part)
    }
    assert sorted(FIELDS) == sorted(found)


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_what_is_unknown_in_a_field_is_not_found_unless_it_does_not_matter(
    world: World, name: str, field: str
) -> None:
    request = furnished(world, name)
    fields = FIELDS[name, field]
    changed = {"query": fields} if request.body is None else {"body": {**request.body, **fields}}
    if (name, field) in GOES_ON:
        answer = world.send(replace(request, **changed))
        answer.close()
        assert answer.status_code == 200
    else:
        assert refused(world, replace(request, **changed)).status_code == 404

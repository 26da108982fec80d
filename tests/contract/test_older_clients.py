"""Clients of WildDuck's own document of version 1.37: what they send is taken, what they expect is answered.

`seed/` has the requests and the schemas of the answers; `seed/make.py` says how they were made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest
from bson import ObjectId

from tests.contract.world import Names, World

Fields = dict[str, Any]

SEED = Path(__file__).with_name("seed")
REQUESTS = [orjson.loads(line) for line in (SEED / "requests.jsonl").read_bytes().splitlines()]
ANSWERS = orjson.loads((SEED / "answers.json").read_bytes())

# Fields that go with others although the older document does not say so; with the value of today's example.
TOGETHER = {
    "searchApplyMessages": ["action"],
    "updateMessage": ["message"],
    "updateTLSCertificate": ["privateKey", "cert"],
}
_CUT_SHORT = "the example is cut short, which is no key and no certificate"
REFUSED = {
    (
        "createASP",
        "address",
    ): "the address of the example is none of the account's; the original refuses it, too",
    (
        "createASP",
        "password",
    ): "sixteen times one letter is no secret; passwords that cannot be guessed are taken",
    ("getTLSCerticates", "next"): "the cursor of the example is one of another listing",
    ("updateMailbox", ""): "nothing to change; the original refuses it, too",
    ("updateMessage", ""): "nothing to change; the original refuses it, too",
    ("updateMessage", "message"): "nothing to change; the original refuses it, too",
    ("updateTLSCertificate", "ca"): _CUT_SHORT,
    ("updateTLSCertificate", "cert"): _CUT_SHORT,
    ("updateTLSCertificate", "privateKey"): _CUT_SHORT,
}
"""(operation, field) that is not taken, and why."""

NOTHING = frozenset(
    {
        "end", "event", "ip", "keyInfo", "nextCursor", "previousCursor", "queueId", "require2fa", "retention", "sess",
        "specialUse", "start", "time", "ttl",
    }
)  # fmt: skip
"""Fields that are false or null where there is nothing, as the original answers them; its document does not say so."""

_LISTS = "a list, as the original answers; its document means the items"
_OF_ACCOUNTS = "forwarded addresses belong to no account, in the original neither"
UNTRUE = {
    ("createASP", "mobileconfig"): "only where a profile is asked for, as the original answers",
    (
        "forwardStoredMessage",
        "queueId",
    ): "nothing was queued where there was no target, as the original answers",
    ("getAddresses", "results.*.user"): _OF_ACCOUNTS,
    ("getMessage", "cc"): _LISTS,
    ("getMessage", "envelope.rcpt"): _LISTS,
    ("getMessage", "list.id"): "the parsed header, as the original answers",
    ("getMessage", "list.unsubscribe"): "only where the message has one, as the original answers",
    ("getMessage", "to"): _LISTS,
    ("getSettings", "settings.*.default"): "switches, which came with a later version",
    ("getSettings", "settings.*.value"): "switches, which came with a later version",
    ("resolveAddress", "user"): _OF_ACCOUNTS,
    ("uploadFile", "id"): "a text, as the original answers",
    ("updateMessage", "id"): "after a move alone, as the original answers",
    ("updateMessage", "id.*"): "pairs of the UID before and after, as the original answers",
}
"""(operation, place) where an answer is not what the older document says, and why."""


def variants(request: Fields, beside: Fields) -> Iterator[tuple[str, Fields, Fields | None]]:
    """(name of the field, query, body): what is needed alone, then with each field that may be left out."""
    query, body = request["query"], request.get("body")
    needed = body and {**beside, **body["needed"]}
    yield "", query["needed"], needed
    for name, value in query["more"].items():
        yield name, {**query["needed"], name: value}, needed
    for name, value in (body["more"] if body else {}).items():
        yield name, query["needed"], {**needed, name: value}


def filled(value: Any, names: Names) -> Any:
    """With `<mailbox>` and the like replaced."""
    match value:
        case dict():
            return {name: filled(part, names) for name, part in value.items()}
        case list():
            return [filled(part, names) for part in value]
        case str() if value.startswith("<") and value[1:-1] in names:
            return names[value[1:-1]]
    return value


def untrue(operation: str, answer: Any) -> Iterator[str]:
    """The places where an answer is not as the older document says; places in lists are `*`."""
    schema = {**ANSWERS["answers"].get(operation, {}), "components": ANSWERS["components"]}
    for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(answer):
        path = ["*" if isinstance(part, int) else part for part in error.instance_path]
        missing = (
            [error.kind.property]
            if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required)
            else []
        )
        if not (error.instance in (False, None) and path[-1] in NOTHING):
            yield ".".join([*path, *missing])


def furnished(world: World, name: str) -> Names:
    """With all that the values of the requests refer to."""
    also = ["account", *(["mail", "file"] if "{user}" in world.operations[name].path else [])]
    names = world.furnish(name, also=also)
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="milliseconds")
    return {**names, "thread": str(ObjectId()), "soon": soon}


@pytest.mark.parametrize("kept", REQUESTS, ids=lambda kept: kept["operation"])
def test_what_older_clients_send_is_taken_and_answered_as_they_expect(world: World, kept: Fields) -> None:
    name = kept["operation"]
    names = furnished(world, name)
    request = next(world.requests(name, names))
    beside = {field: request.body[field] for field in TOGETHER.get(name, ())}
    before = world.disk.keep()
    refused, wrong = {}, set()
    for field, query, body in variants(filled(kept, names), beside):
        answer = world.send(replace(request, query=query, body=body, content_type=kept.get("type")))
        if answer.status_code != 200:
            refused[name, field] = answer.json
        elif answer.mimetype == "application/json":
            wrong |= {(name, place) for place in untrue(name, answer.json)}
        answer.close()
        world.disk.restore(before)
    assert refused.keys() == {key for key in REFUSED if key[0] == name}, refused
    assert wrong == {key for key in UNTRUE if key[0] == name}

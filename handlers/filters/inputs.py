"""What a request says about a filter, checked beyond what the contract can say, and as it is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from handlers.call import Body, Call
from problems import InvalidInput
from security.targets import same_target, without_password
from storage.accounts.documents import Filter
from storage.accounts.filters import FilterChange
from storage.addresses.documents import Target
from storage.addresses.targets import own_targets, stored_target

_HEADERS = ("from", "to", "subject", "listId")
_CONDITIONS = ("text", "ha", "size")
# The order of WildDuck's own filters, which decides there what wins.
_ACTIONS = ("seen", "flag", "delete", "spam", "targets", "mailbox")
_MOST_TARGET_TEXT = 16_384
_SPACES = re.compile(r"\s+")


def new_filter(call: Call, user: ObjectId, body: Body) -> dict[str, Any]:
    """The fields of a new filter. Raises InvalidInput, and MailboxNotFound."""
    fields, _ = changed_filter(call, user, {"query": {}, "action": {}}, body)
    return dict(fields)


def changed_filter(call: Call, user: ObjectId, before: Filter, body: Body) -> FilterChange:
    """What is to be set and unset of a filter: query and action are merged, of the rest what is empty goes.

    Raises InvalidInput, and MailboxNotFound.
    """
    given = {"name": body.get("name"), "metaData": _json(body.get("metaData"))}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value}
    unset = {name: "" for name in given if name in body and name not in fields}
    if "query" in body:
        fields["query"] = _query(before["query"], body["query"])
    if "action" in body:
        fields["action"] = _action(call, user, before["action"], body["action"])
    if "query" in body or "action" in body:
        _refuse_losing_all({**before, **fields})
    if "disabled" in body:
        fields["disabled"] = body["disabled"]
    return fields, unset


def _json(data: Body | None) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False) if data else ""


def _query(before: Mapping[str, Any], given: Body) -> dict[str, Any]:
    flat = {**(before.get("headers") or {}), **{n: before[n] for n in _CONDITIONS if n in before}}
    for name, value in given.items():
        flat[name] = _SPACES.sub(" ", value) if isinstance(value, str) else value
    kept = {name: value for name, value in flat.items() if value or value is False}
    headers = {name: kept[name] for name in _HEADERS if name in kept}
    return {"headers": headers, **{name: kept[name] for name in _CONDITIONS if name in kept}}


def _action(call: Call, user: ObjectId, before: Mapping[str, Any], given: Body) -> dict[str, Any]:
    merged = {**before, **given}
    if given.get("mailbox"):
        merged["mailbox"] = call.store.mailboxes.get(user, given["mailbox"])["_id"]
    if given.get("targets"):
        merged["targets"] = _targets(call, user, before.get("targets") or (), given["targets"])
    return {name: merged[name] for name in _ACTIONS if merged.get(name) not in (None, "")}


def _targets(call: Call, user: ObjectId, before: Sequence[Target], given: Sequence[str]) -> list[Target]:
    """A password that comes back as it was shown, masked, is the one that is stored."""
    known = {without_password(target["value"]): target["value"] for target in before}
    values = [known.get(value, value) for value in given]
    if sum(map(len, values)) > _MOST_TARGET_TEXT:
        text = f'"action.targets" must have at most {_MOST_TARGET_TEXT} characters together'
        raise InvalidInput({"action,targets": text})
    if places := own_targets(call.store.addresses, user, values):
        raise InvalidInput({f"action,targets,{n}": f"Cannot forward to self {values[n]}" for n in places})
    once: dict[object, str] = {}
    for value in values:
        once.setdefault(same_target(value), value)
    return [stored_target(value) for value in once.values()]


def _refuse_losing_all(merged: Mapping[str, Any]) -> None:
    query = merged["query"]
    if merged["action"].get("delete") and not query.get("headers") and not query.keys() - {"headers"}:
        raise InvalidInput({"query": '"query" must name what to look for where "action.delete" is true'})

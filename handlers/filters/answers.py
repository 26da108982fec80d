"""Filters as the API shows them: as they are stored, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers.call import Answer
from mail.custom_data import custom_data
from security.targets import without_password
from storage.accounts.documents import Filter

Words = list[list[Any]]

_DOES = {
    "seen": ("mark as read", "do not mark as read"),
    "flag": ("flag it", "do not flag it"),
    "spam": ("mark it as spam", "do not mark it as spam"),
    "delete": ("delete it", "do not delete it"),
}


def single(row: Filter) -> Answer:
    """A filter by itself. Query and action are fit to be sent back, so passwords are in it."""
    return {
        **_common(row),
        "query": _flat_query(row["query"]),
        "action": _flat_action(row["action"], masked=False),
    }


def listed(row: Filter, path: str | None) -> Answer:
    """A filter of a listing; `path` names the mailbox it files into, None without one."""
    return {
        **_common(row),
        "query": _query_words(row["query"]),
        "action": _action_words(row["action"], path),
        "originalQuery": _flat_query(row["query"]),
        "originalAction": _flat_action(row["action"], masked=True),
    }


def of_all(row: Filter, path: str | None) -> Answer:
    """A filter of a listing over all accounts."""
    targets = _targets(row["action"], masked=True)
    return {**listed(row, path), "user": row["user"], **({"targets": targets} if targets else {})}


def _common(row: Filter) -> Answer:
    return {
        "id": row["_id"],
        "name": row.get("name") or "",
        "disabled": bool(row.get("disabled")),
        "created": row.get("created") or row["_id"].generation_time,
        **({"metaData": custom_data(row["metaData"])} if row.get("metaData") else {}),
    }


def _flat_query(query: Mapping[str, Any]) -> Answer:
    flat = {
        **(query.get("headers") or {}),
        **{name: query[name] for name in ("text", "size") if query.get(name)},
    }
    has = _attachments(query)
    return flat if has is None else {**flat, "ha": has}


def _attachments(query: Mapping[str, Any]) -> bool | None:
    """Old documents have numbers: 1 for attachments, -1 for none, 0 for no matter."""
    has = query.get("ha")
    return has if isinstance(has, bool) else has > 0 if has else None


def _flat_action(action: Mapping[str, Any], *, masked: bool) -> Answer:
    flat = {name: value for name, value in action.items() if value not in (None, "")}
    return {**flat, "targets": _targets(action, masked=masked)} if "targets" in flat else flat


def _targets(action: Mapping[str, Any], *, masked: bool) -> list[str]:
    values = [target["value"] for target in action.get("targets") or ()]
    return [without_password(value) for value in values] if masked else values


def _query_words(query: Mapping[str, Any]) -> Words:
    words: Words = [[name, f"({value})"] for name, value in (query.get("headers") or {}).items() if value]
    has, size = _attachments(query), query.get("size") or 0
    if has is not None:
        words.append(["has attachment" if has else "no attachments"])
    if query.get("text"):
        words.append(["text", f'"{query["text"]}"'])
    if size:
        words.append(["larger", size] if size > 0 else ["smaller", -size])
    return words


def _action_words(action: Mapping[str, Any], path: str | None) -> Words:
    words: Words = []
    for name, value in action.items():
        if name in _DOES and value is not None:
            words.append([_DOES[name][0 if value else 1]])
        elif name == "mailbox":
            words.append(["move to folder", f'"{path or value}"'] if value else ["keep in INBOX"])
        elif name == "targets" and value:
            words.append(["forward to", ", ".join(_targets(action, masked=True))])
    return words

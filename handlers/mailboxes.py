"""Mailboxes of an account."""

from __future__ import annotations

import unicodedata
from typing import cast

from bson import ObjectId

from handlers.call import Answer, Body, Call
from problems import InvalidInput, NoUpdates
from storage.mailboxes.documents import Mailbox, MailboxSettings
from storage.mailboxes.names import LIMITS, is_within_limits

_SETTINGS = frozenset({"hidden", "retention", "subscribed", "encryptMessages"})
_PUNCTUATION, _DIGIT, _LETTER = range(3)


def get_mailboxes(
    call: Call,
    user: ObjectId,
    special_use: bool = False,
    show_hidden: bool = False,
    counters: bool = False,
    sizes: bool = False,
) -> Answer:
    """List mailboxes: INBOX first, then what is below it, then those subscribed to, by path."""
    store = call.store
    store.users.require(user)
    rows = [m for m in store.mailboxes.of_user(user) if _is_wanted(m, special_use, show_hidden)]
    counts = store.mailbox_counts.of(rows)
    used = store.mailbox_counts.sizes([m["_id"] for m in rows]) if sizes else {}
    results = [
        {**_shown(m, counts[m["_id"]]), **({"size": used.get(m["_id"], 0)} if sizes else {})}
        for m in sorted(rows, key=_rank)
    ]
    return {"success": True, "results": results}


def _is_wanted(mailbox: Mailbox, special_use: bool, show_hidden: bool) -> bool:
    if special_use and mailbox["path"] != "INBOX" and not mailbox.get("specialUse"):
        return False
    return show_hidden or not mailbox.get("hidden")


def _rank(mailbox: Mailbox) -> tuple[bool, bool, bool, list[tuple[int, str]], str]:
    path = mailbox["path"]
    folded = unicodedata.normalize("NFKD", path).casefold()
    plain = [(_kind(c), c) for c in folded if not unicodedata.combining(c)]
    return (
        path != "INBOX",
        not path.startswith("INBOX/"),
        not mailbox.get("subscribed", True),
        plain,
        path.swapcase(),
    )


def _kind(character: str) -> int:
    """Punctuation sorts before digits, these before letters."""
    if character.isdigit():
        return _DIGIT
    return _LETTER if character.isalpha() else _PUNCTUATION


def _shown(mailbox: Mailbox, counts: tuple[int, int]) -> Answer:
    shown: Answer = {
        "id": mailbox["_id"],
        "name": mailbox["path"].rpartition("/")[2],
        "path": mailbox["path"],
        "specialUse": mailbox.get("specialUse"),
        "modifyIndex": mailbox["modifyIndex"],
        "subscribed": mailbox.get("subscribed", True),
        "hidden": bool(mailbox.get("hidden")),
        "encryptMessages": bool(mailbox.get("encryptMessages")),
        "total": counts[0],
        "unseen": counts[1],
    }
    if mailbox.get("retention"):
        shown["retention"] = mailbox["retention"]
    return shown


def create_mailbox(call: Call, user: ObjectId, body: Body) -> Answer:
    """Make a mailbox; those above it in its path need not be there."""
    _check_path(body["path"])
    account = call.store.users.get(user, {"retention": 1})
    fields = _settings(body)
    fields.setdefault("retention", account.get("retention") or 0)
    limit = int(call.store.settings.get("const:max:mailboxes"))
    return {"success": True, "id": call.store.mailboxes.create(user, body["path"], fields, limit)}


def _settings(body: Body) -> MailboxSettings:
    """What a request says about a mailbox besides its path; the contract has checked its form."""
    return cast("MailboxSettings", {name: body[name] for name in _SETTINGS if name in body})


def _check_path(path: str) -> None:
    if not is_within_limits(path):
        raise InvalidInput({"path": f'"path" must have {LIMITS}'})


def get_mailbox(call: Call, user: ObjectId, mailbox: str, path: str | None = None) -> Answer:
    """One mailbox by its id, or by its path where the id is the word `resolve`."""
    mailboxes = call.store.mailboxes
    call.store.users.require(user)
    if mailbox != "resolve":
        found = mailboxes.get(user, ObjectId(mailbox))
    elif path is None:
        raise InvalidInput({"path": '"path" is required'})
    else:
        found = mailboxes.by_path(user, path)
    return {"success": True, **_shown(found, call.store.mailbox_counts.of([found])[found["_id"]])}


def update_mailbox(call: Call, user: ObjectId, mailbox: ObjectId, body: Body) -> Answer:
    """Rename a mailbox or change its settings; mailboxes below it keep their paths."""
    fields = _settings(body)
    if not fields and "path" not in body:
        raise NoUpdates
    _check_path(body.get("path", ""))
    found = call.store.mailboxes.get(user, mailbox)
    call.store.retention_changes.apply(found, body.get("path"), fields)
    return {"success": True}


def delete_mailbox(call: Call, user: ObjectId, mailbox: ObjectId) -> Answer:
    """Remove a mailbox and the filters that file into it; its messages expire at once.

    They are marked before and after, so that a crash at any moment leaves none that nobody would collect.
    """
    store = call.store
    found = store.mailboxes.get(user, mailbox)
    store.mailboxes.allow_delete(found)
    store.expiry.expire_all(mailbox)
    store.transactions.run(lambda session: store.mailboxes.delete(found, session))
    store.expiry.expire_all(mailbox)
    return {"success": True}

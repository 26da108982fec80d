"""Mailboxes by what people call them in a search."""

from __future__ import annotations

from collections.abc import Sequence

from bson import ObjectId

from storage.mailboxes.documents import Mailbox

SPAM_AND_TRASH = ("\\Junk", "\\Trash")
_USES = {
    "spam": "\\Junk",
    "junk": "\\Junk",
    "sent": "\\Sent",
    "trash": "\\Trash",
    "deleted": "\\Trash",
    "drafts": "\\Drafts",
}


def find_named(mailboxes: Sequence[Mailbox], name: str) -> ObjectId | None:
    """By id, by path, `inbox` in any case, or by the beginning of a special use: `sent`, `/Trash`, `spam` …"""
    by_id = {str(mailbox["_id"]): mailbox["_id"] for mailbox in mailboxes}
    by_path = {mailbox["path"]: mailbox["_id"] for mailbox in mailboxes}
    by_use = {mailbox.get("specialUse"): mailbox["_id"] for mailbox in reversed(mailboxes)}
    plain = name.lower().removeprefix("/")
    if plain == "inbox":
        return by_path.get("INBOX")
    found = by_id.get(plain) or by_path.get(name) or by_path.get(name.removeprefix("/"))
    use = next((use for word, use in _USES.items() if plain.startswith(word)), None)
    return found or (by_use.get(use) if use else None)

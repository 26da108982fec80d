"""Messages that a new account finds: templates in a folder, filled in for the account.

`<name>.json` describes a message (`from`, `to`, `subject`, `text`, `html`, `attachments`, and `disabled`, `flag`,
`seen`, `mailbox`); `<name>.html` and `<name>.txt` next to it are its bodies, other `<name>.<file>` its attachments.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import structlog

from delivery.sending.compose import Extras, build, mailbox_of
from problems import Problem, summary
from security.offload import run_here
from storage.accounts.documents import User
from storage.base.database import DatabaseError
from storage.mailboxes.documents import Mailbox
from storage.messages.intake import NewMessage
from storage.store import Store

log = structlog.get_logger()

_BODIES = {"html": "html", "htm": "html", "text": "text", "txt": "text"}
_PLACES = {
    "sent": "\\Sent",
    "trash": "\\Trash",
    "junk": "\\Junk",
    "drafts": "\\Drafts",
    "archive": "\\Archive",
}
_OF_BODY = ("subject", "text", "html", "attachments")
_PERSON = re.compile(r"([^<>]*)<([^<>]+)>")
_TAG = re.compile(r"\[([A-Z]+)\]")
_FAULTS = (Problem, DatabaseError, LookupError, TypeError, ValueError, AttributeError)

Template: TypeAlias = Mapping[str, Any]
"""A message as its files describe it."""
Person: TypeAlias = Mapping[str, str]
"""`name` and `address`."""


@lru_cache
def load(folder: Path) -> tuple[Template, ...]:
    """The templates of a folder, in the order of their names; read once per process."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    groups = groupby(files, key=lambda path: path.name.partition(".")[0])
    templates = [_template(name, list(paths)) for name, paths in groups]
    return tuple(template for template in templates if template and not template.get("disabled"))


def _template(name: str, paths: list[Path]) -> Template | None:
    """One template, None where it has no JSON or one that cannot be read."""
    parts = {path.name.removeprefix(f"{name}.").lower(): path for path in paths}
    if "json" not in parts:
        return None
    try:
        return _read(name, orjson.loads(parts.pop("json").read_bytes()), parts)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.error("a welcome message cannot be read", template=name, reason=summary(error))
        return None


def _read(name: str, given: Template, parts: Mapping[str, Path]) -> Template:
    """Whom it goes to is read before it is filled in: a name cannot add an address."""
    people = {place: _people(given.get(place)) for place in ("from", "to", "cc")}
    bodies = {_BODIES[end]: path.read_text("utf-8") for end, path in parts.items() if end in _BODIES}
    files = [path for end, path in parts.items() if end not in _BODIES]
    return _with_files({**given, **bodies, **people}, name, files)


def _with_files(template: Template, name: str, files: list[Path]) -> Template:
    """Files that the HTML names in quotes are shown where it does so."""
    attachments = [{"encoding": "utf8", **given} for given in template.get("attachments") or ()]
    page = template.get("html")
    for number, path in enumerate(files, 1):
        filename = path.name.removeprefix(f"{name}.")
        attachment = {
            "filename": filename,
            "content": b64encode(path.read_bytes()).decode(),
            "encoding": "base64",
        }
        quoted = re.compile(rf"([\"']){re.escape(filename)}\1")
        if page and quoted.search(page):
            attachment["cid"] = f"{number}.{name}@welcome"
            page = quoted.sub(rf'"cid:{attachment["cid"]}"', page)
        attachments.append(attachment)
    return {**template, **({"html": page} if page else {}), "attachments": attachments}


def fill_in(value: Any, tags: Mapping[str, str], key: str = "") -> Any:
    """Replace `[TAG]` in all texts but the content of attachments; tags that are unknown stay."""
    if isinstance(value, dict):
        return {
            name: part if name == "content" else fill_in(part, tags, name) for name, part in value.items()
        }
    if isinstance(value, list):
        return [fill_in(part, tags, key) for part in value]
    if not isinstance(value, str):
        return value
    shown = html.escape if "html" in key.lower() else str
    return _TAG.sub(lambda match: shown(tags[match[1]]) if match[1] in tags else match[0], value)


def tags_of(user: User, now: datetime) -> dict[str, str]:
    """What stands for the tags in messages to an account."""
    address = user["address"]
    name = (user.get("name") or "").strip() or user["username"]
    words = name.split()
    domain = address.rpartition("@")[2]
    return {
        "NAME": name,
        "FNAME": words[0],
        "LNAME": words[-1] if len(words) > 1 else "",
        "DOMAIN": domain,
        "EMAIL": address,
        "USERNAME": user["username"],
        "TIMESTAMP": str(int(now.timestamp() * 1000)),
        "HOSTNAME": domain,
    }


def greet(store: Store, user: User, folder: Path) -> int:
    """Store the welcome messages of a new account; how many. One that fails is logged and stops nothing."""
    try:
        templates = load(folder)
    except OSError as error:
        log.error("welcome messages cannot be read", folder=str(folder), reason=summary(error))
        return 0
    tags = tags_of(user, store.clock())
    return sum(_store(store, user, fill_in(template, tags)) for template in templates)


def _store(store: Store, user: User, message: Template) -> bool:
    try:
        raw = _compose(store, user, message)
        names = (("seen", "\\Seen"), ("flag", "\\Flagged"))
        flags = [flag for name, flag in names if message.get(name)]
        store.intake.add(
            NewMessage(
                user=user, mailbox=_place(store, user, message), raw=raw, meta={"source": "AUTO"}, flags=flags
            )
        )
    except _FAULTS as error:
        log.error("a welcome message was not stored", user=str(user["_id"]), reason=summary(error))
        return False
    return True


def _place(store: Store, user: User, message: Template) -> Mailbox:
    use = _PLACES.get(str(message.get("mailbox") or "").lower())
    if use:
        return store.mailboxes.by_special_use(user["_id"], use)
    return store.mailboxes.by_path(user["_id"], "INBOX")


def _compose(store: Store, user: User, message: Template) -> bytes:
    domain = user["address"].rpartition("@")[2]
    sender = mailbox_of(next(iter(message["from"]), {"address": f"postmaster@{domain}"}))
    to = message["to"] or [{"name": user.get("name") or "", "address": user["address"]}]
    assert sender
    composed = build(
        {**{name: message.get(name) for name in _OF_BODY}, "to": to, "cc": message["cc"]},
        sender=sender,
        date=store.clock(),
        keep_bcc=False,
        source=None,
        extras=Extras(),
        offload=run_here,
    )
    return composed.raw


def _people(given: Any) -> list[Person]:
    """`"Ada <ada@example.com>"`, `{name, address}` or a list of these, one person in each."""
    entries = given if isinstance(given, list) else [given] if given else []
    return [_person(entry) if isinstance(entry, str) else dict(entry) for entry in entries]


def _person(text: str) -> Person:
    match = _PERSON.fullmatch(text.strip())
    return (
        {"name": match[1].strip(' "'), "address": match[2]}
        if match
        else {"name": "", "address": text.strip()}
    )

"""What `mallard audits` shows: which audits there are, and what was done with one by whom."""

from __future__ import annotations

from contextlib import closing

from bson import ObjectId

from problems import AuditNotFound
from server.http.json import date_text
from server.processes.store import open_store
from server.settings.table import Settings
from storage.base.database import Document


def listing(settings: Settings) -> list[Document]:
    """The newest audits."""
    store = open_store(settings)
    with closing(store.databases.client):
        return [_shown(audit) for audit in store.audits.all()]


def show(settings: Settings, audit: str) -> Document | None:
    """One audit, None where there is none with this id."""
    if not ObjectId.is_valid(audit):
        return None
    store = open_store(settings)
    with closing(store.databases.client):
        try:
            return _shown(store.audits.get(ObjectId(audit)))
        except AuditNotFound:
            return None


def _shown(audit: Document) -> Document:
    own = audit.get("mallard") or {}
    plain = {name: value for name, value in audit.items() if name not in ("_id", "mallard")}
    return {"id": audit["_id"], **plain, "history": own.get("history") or []}


def as_line(audit: Document) -> str:
    """Id, account, state, how many were copied and how many could not be, when it ends."""
    state = "ended" if audit["deleted"] else audit["import"]["status"]
    counts = f"{audit['audited']} copied  {audit['import']['failed']} failed"
    return f"{audit['id']}  {audit['user']}  {state}  {counts}  {date_text(audit['expires'])}"


def as_text(audit: Document) -> str:
    """The same, and a line for each thing that was done."""
    return "\n".join([as_line(audit), *map(_done, audit["history"])])


def _done(entry: Document) -> str:
    labels = "".join(f"  {name} {entry[name]}" for name in ("ip", "sess") if name in entry)
    return f"{date_text(entry['time'])}  {entry['action']}  by {entry['by']} ({entry['role']}){labels}"

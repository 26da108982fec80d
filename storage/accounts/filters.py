"""Filters of accounts. Ours have a slot beside WildDuck's fields, `mallard.slot`, see `create`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, cast

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from problems import FilterNotFound
from security.targets import same_target, without_password
from storage.accounts.documents import Filter
from storage.accounts.user_fields import free_slot
from storage.base.database import (
    Change,
    Clock,
    Condition,
    Databases,
    Document,
    Session,
    delete_rows_of,
    holding,
)
from storage.base.listing import literal, page_of
from storage.base.paging import Order, Page, Paging
from storage.events.events import Events

_READ_MS = 3000
_ACTED_ON = dict.fromkeys(("query", "action", "created"), 1)
_SHOWN = dict.fromkeys(("user", "name", "query", "action", "disabled", "created"), 1)
_BY_TARGET = [("action.targets.value", 1)]
_BY_USER = [("user", 1), ("_id", 1)]

FilterChange = tuple[Mapping[str, Any], Mapping[str, str]]
"""What is set of a filter, and what is unset."""


class Filters:
    """Repository of filters."""

    def __init__(self, databases: Databases, clock: Clock, events: Events) -> None:
        self._collection = holding(databases.main["filters"], Filter)
        self._mailboxes = databases.main["mailboxes"]
        self._clock = clock
        self._events = events

    def create(self, user: ObjectId, fields: Mapping[str, Any], limit: int) -> ObjectId:
        """Add a filter. Raises TooManyItems beyond `limit` of the account.

        Each takes the lowest free slot of the account, and slots are unique: of several callers that see the last
        free one, one gets it and the others look again.
        """
        while True:
            slot = self._free_slot(user, limit)
            document = cast("Filter", {"_id": ObjectId(), "user": user, **fields, "created": self._clock()})
            row: Filter = {**document, "mallard": {"slot": slot}}
            try:
                self._events.in_transaction(user, partial(self._insert, row))
            except DuplicateKeyError:
                continue
            return ObjectId(document["_id"])

    def _insert(self, row: Filter, session: Session) -> None:
        self._collection.insert_one(row, session=session)
        self._emit_forwards(row, {"action": {}}, row, session)
        self._events.emit("filter.created", user=row["user"], filter=row["_id"], session=session)

    def _emit_forwards(
        self, row: Filter, before: Mapping[str, Any], fields: Mapping[str, Any], session: Session
    ) -> None:
        told = [
            {"type": "filter", "filter": row["_id"], "target": target}
            for target in new_targets(before, fields)
        ]
        self._events.emit_all("forward added", row["user"], told, session)

    def _free_slot(self, user: ObjectId, limit: int) -> int:
        rows = self._collection.find({"user": user}, {"mallard.slot": 1}, max_time_ms=_READ_MS)
        slots = [(row.get("mallard") or {}).get("slot") for row in rows]
        return free_slot(slots, limit, too_many="Maximum filters count reached")

    def get(self, user: ObjectId, filter_id: ObjectId) -> Filter:
        """One filter of an account. Raises FilterNotFound."""
        wanted = {"_id": filter_id, "user": user}
        found = self._collection.find_one(wanted, _shown(meta_data=True), max_time_ms=_READ_MS)
        if not found:
            raise FilterNotFound
        return found

    def of_user(self, user: ObjectId, *, meta_data: bool = False) -> list[Filter]:
        """All of an account, in the order in which they were made."""
        found = self._collection.find({"user": user}, _shown(meta_data), hint=_BY_USER, max_time_ms=_READ_MS)
        return list(found.sort("_id", 1))

    def enabled(self, user: ObjectId) -> list[Filter]:
        """What a delivery needs of those that are not disabled, in the order in which they were made."""
        wanted = {"user": user, "disabled": {"$ne": True}}
        found = self._collection.find(wanted, _ACTED_ON, hint=_BY_USER, max_time_ms=_READ_MS)
        return list(found.sort("_id", 1))

    def page(
        self, own_only: ObjectId | None, forward: str | None, paging: Paging, *, meta_data: bool
    ) -> tuple[Page[Filter], int]:
        """A page by id of those of one account or all whose targets contain a text, and how many there are."""
        wanted: Document = {"user": own_only} if own_only else {}
        if forward:
            wanted["action.targets.value"] = {"$regex": literal(forward), "$options": "i"}
        hint = _BY_USER if own_only else _BY_TARGET if forward else None

        return page_of(self._collection, wanted, _shown(meta_data), paging, Order(), hint=hint)

    def update(
        self, user: ObjectId, filter_id: ObjectId, change: Callable[[Filter], FilterChange]
    ) -> tuple[Filter, Mapping[str, Any]]:
        """Set and unset what `change` makes of a filter; returns it as it was, and what was set.

        Raises FilterNotFound.

        Query and action are replaced as a whole, if they still are what was looked at; else it looks again. So what
        was checked together is stored together.
        """
        while True:
            before = self.get(user, filter_id)
            fields, unset = change(before)
            update = {name: part for name, part in (("$set", fields), ("$unset", unset)) if part}
            same = {"_id": filter_id, "user": user, "query": before["query"], "action": before["action"]}
            if not update or self._events.in_transaction(
                user, partial(self._change, same, update, before, fields)
            ):
                return before, fields

    def _change(
        self,
        same: Condition,
        update: Change,
        before: Filter,
        fields: Mapping[str, Any],
        session: Session,
    ) -> bool:
        """Whether it still was what was looked at."""
        if not self._collection.update_one(same, update, session=session).matched_count:
            return False
        self._emit_forwards(before, before, fields, session)
        return True

    def delete(self, user: ObjectId, filter_id: ObjectId) -> None:
        """Remove a filter. Raises FilterNotFound."""
        self._events.in_transaction(user, lambda session: self._delete(user, filter_id, session))

    def _delete(self, user: ObjectId, filter_id: ObjectId, session: Session) -> None:
        wanted = {"_id": filter_id, "user": user}
        if not self._collection.delete_one(wanted, session=session).deleted_count:
            raise FilterNotFound
        self._events.emit("filter.deleted", user=user, filter=filter_id, session=session)

    def delete_of_mailbox(self, user: ObjectId, mailbox: ObjectId, session: Session = None) -> None:
        """Remove the filters of an account that file into a mailbox."""
        condition = {"user": user, "action.mailbox": mailbox}
        ids = [row["_id"] for row in self._collection.find(condition, {"_id": 1}, session=session)]
        if ids:
            self._collection.delete_many({"_id": {"$in": ids}}, session=session)
            self._events.emit_all("filter.deleted", user, [{"filter": row_id} for row_id in ids], session)

    def delete_some(self, user: ObjectId, limit: int) -> int:
        """Delete at most `limit` filters of a deleted account, and return how many there were."""
        return delete_rows_of(self._collection, user, limit)

    def mailbox_paths(self, filters: Iterable[Filter]) -> dict[ObjectId, str]:
        """By the id of the filter, the path of the mailbox it files into, if that is there and the account's."""
        named = {f["_id"]: (f["action"]["mailbox"], f["user"]) for f in filters if f["action"].get("mailbox")}
        if not named:
            return {}
        wanted = {"_id": {"$in": list({mailbox for mailbox, _ in named.values()})}}
        rows = self._mailboxes.find(wanted, {"path": 1, "user": 1}, max_time_ms=_READ_MS)
        paths = {(row["_id"], row["user"]): row["path"] for row in rows}
        return {found: paths[place] for found, place in named.items() if place in paths}


def new_targets(before: Mapping[str, Any], fields: Mapping[str, Any]) -> list[str]:
    """Targets that an action has now and did not have before, fit to be shown."""
    known = {same_target(target["value"]) for target in before["action"].get("targets") or ()}
    values = [target["value"] for target in fields.get("action", {}).get("targets") or ()]
    return [without_password(value) for value in values if same_target(value) not in known]


def _shown(meta_data: bool) -> dict[str, int]:
    return {**_SHOWN, "metaData": 1} if meta_data else _SHOWN

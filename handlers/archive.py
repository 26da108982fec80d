"""Archive: deleted messages, listed and brought back."""

from __future__ import annotations

from bson import ObjectId

from handlers.call import Answer, Body, Call
from handlers.messages.answers import Rows, add_logos
from mail.listing import entry
from problems import InvalidInput
from storage.base.paging import Paging
from storage.messages.messages import LISTED, LISTED_WITH_HEADERS

_OF_ARCHIVE = {"archived": 1, "rdate": 1}


def get_archived_messages(
    call: Call,
    user: ObjectId,
    paging: Paging,
    order: str = "desc",
    meta_data: bool = False,
    thread_counters: bool = False,
    include_headers: str | bool = False,
) -> Answer:
    """A page of the archive, by the time that the messages came to their last mailbox."""
    options = Rows(
        meta_data=meta_data,
        thread_counters=thread_counters,
        has_drafts=False,
        collapsed=False,
        headers=include_headers,
    )
    projection = {**(LISTED_WITH_HEADERS if options.with_headers else LISTED), **_OF_ARCHIVE}
    direction = 1 if order == "asc" else -1
    page, total = call.store.archive.page(user, paging, direction, projection)
    if not total:
        call.store.users.require(user)
    results = [
        {
            **entry(row, with_meta_data=meta_data, with_headers=options.header_names),
            "id": row["_id"],
            "archived": row["archived"],
        }
        for row in page.rows
    ]
    add_logos(call, page.rows, results)
    if thread_counters and results:
        counts = call.store.archive.thread_counts(user, [row["thread"] for row in page.rows])
        for row in results:
            row["threadMessageCount"] = counts.get(row["thread"], 0)
    return page.answer(results, total=total)


def restore_message(call: Call, user: ObjectId, message: ObjectId, body: Body) -> Answer:
    """Bring one message back."""
    place, uid = call.store.restoring.restore(user, message, body.get("mailbox"))
    return {"success": True, "mailbox": place["_id"], "id": uid}


def restore_messages(call: Call, user: ObjectId, body: Body) -> Answer:
    """Have a job bring back what was deleted in a span of time."""
    call.store.users.require(user)
    start, end = body["start"], body["end"]
    for name, date in (("start", start), ("end", end)):
        if not date:
            raise InvalidInput({name: f'"{name}" must be a valid date'})
    return {
        "success": True,
        "task": call.store.tasks.add("restore", {"user": user, "start": start, "end": end}),
    }

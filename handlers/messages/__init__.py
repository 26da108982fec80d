"""Messages of an account: stored, listed, read, changed, deleted, searched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from delivery.sending.enqueue import deliveries_to
from handlers.answers import Stream
from handlers.call import Answer, Body, Call
from handlers.messages.answers import Rows, add_logos, attachment_stream, rows, safe_html
from handlers.messages.inputs import as_wildduck, checked_action, forward_targets
from handlers.messages.upload import upload
from mail.display import replace_links, shown
from problems import InvalidInput, MessageNotDraft, NoRecipients, QueueEntryNotFound
from storage.accounts.user_fields import require_active
from storage.base.paging import Paging
from storage.messages.messages import OF_ATTACHMENT, OF_SENDING, OF_SOURCE, SHOWN, Listing
from storage.messages.uid_set import UidSet
from storage.search.condition import condition
from storage.search.message_search import search_order

_CHANGES = ("seen", "deleted", "flagged", "draft", "expires", "metaData")


def get_messages(
    call: Call,
    user: ObjectId,
    mailbox: ObjectId,
    paging: Paging,
    unseen: bool | None = None,
    meta_data: bool = False,
    thread_counters: bool = False,
    include_has_drafts: bool = False,
    collapse_threads: bool = False,
    include_headers: str | bool = False,
    order: str = "desc",
) -> Answer:
    """A page of a mailbox, by the date of arrival."""
    options = Rows(
        meta_data=meta_data,
        thread_counters=thread_counters,
        has_drafts=include_has_drafts,
        collapsed=collapse_threads,
        headers=include_headers,
    )
    direction = 1 if order == "asc" else -1
    listing = Listing(paging, direction, unseen, collapse_threads, options.with_headers)
    box, page, total = call.store.messages.page(user, mailbox, listing)
    return page.answer(rows(call, user, page.rows, options), total=total, specialUse=box.get("specialUse"))


def get_message(
    call: Call,
    user: ObjectId,
    mailbox: ObjectId,
    message: int,
    mark_as_seen: bool = False,
    replace_cid_links: bool = False,
) -> Answer:
    """One message in full; its HTML is safe to show."""
    found = call.store.messages.find(user, mailbox, message, SHOWN)
    if mark_as_seen and "\\Seen" not in found["flags"]:
        call.store.message_changes.update(user, mailbox, UidSet((message,)), {"seen": True})
        found["flags"] = [*found["flags"], "\\Seen"]
    html = safe_html(call, found.get("html") or [])
    if replace_cid_links:
        html = replace_links(html, f"/users/{user}/mailboxes/{mailbox}/messages/{message}")
    answer = {"success": True, **({"html": []} if replace_cid_links else {}), **shown(found, html)}
    add_logos(call, [found], [answer])
    if queued := call.store.outbound_queue.entries(found.get("outbound") or ()):
        answer["outbound"] = queued
    return answer


def update_message(call: Call, user: ObjectId, mailbox: ObjectId, body: Body) -> Answer:
    """Change flags, expiry or data of messages, or move them."""
    if "message" not in body:
        raise InvalidInput({"message": '"message" is required'})
    return _update(call, user, mailbox, UidSet.parse(body["message"]), body)


def _update(call: Call, user: ObjectId, mailbox: ObjectId, uids: UidSet, body: Body) -> Answer:
    changer = call.store.message_changes
    changes = {name: body[name] for name in _CHANGES if name in body}
    if body.get("markHam") and not changes and "moveTo" not in body:
        return {"success": True, "updated": changer.mark_ham(user, mailbox, uids)}
    if body.get("markHam"):
        changes["markHam"] = True
    if "moveTo" in body:
        moved = changer.move(user, mailbox, body["moveTo"], uids, changes)
        return {"success": True, "mailbox": body["moveTo"], "id": moved, "updated": len(moved)}
    return {"success": True, "updated": changer.update(user, mailbox, uids, changes)}


def delete_message(call: Call, user: ObjectId, mailbox: ObjectId, message: int) -> Answer:
    """Delete a message into the archive; a draft for good."""
    call.store.removal.delete(user, mailbox, message)
    return {"success": True}


def delete_messages_in_mailbox(
    call: Call, user: ObjectId, mailbox: ObjectId, skip_archive: bool = False, **more: Any
) -> Answer:
    """Delete all messages of a mailbox, now or, with `async`, by a job."""
    if not more.get("async"):
        deleted, errors = call.store.removal.delete_all(user, mailbox, skip_archive=skip_archive)
        return {"success": True, "deleted": deleted, "errors": errors}
    call.store.mailboxes.get(user, mailbox)
    which = {"user": user, "mailbox": mailbox}
    match = {f"data.{name}": value for name, value in which.items()}
    task, existing = call.store.tasks.add_once("clear-folder", match, {**which, "skipArchive": skip_archive})
    return {"success": True, "deleted": 0, "existing": existing, "scheduled": task}


def upload_message(call: Call, user: ObjectId, mailbox: ObjectId, body: Body) -> Answer:
    """Store a message, given whole or in fields."""
    return upload(call, user, mailbox, body)


def submit_stored_message(call: Call, user: ObjectId, mailbox: ObjectId, message: int, body: Body) -> Answer:
    """Send a draft: it is enqueued, gone, and in Sent."""
    account = require_active(call.store.users.get(user))
    draft = call.store.messages.find(user, mailbox, message, OF_SENDING)
    if "\\Draft" not in draft["flags"]:
        raise MessageNotDraft
    sent = call.outbox.send_draft(
        account, draft, body.get("sendTime"), delete_files=bool(body.get("deleteFiles"))
    )
    assert sent.copy, "a draft is not sent without one"
    return {
        "success": True,
        "queueId": sent.queue_id,
        "message": {"id": sent.copy["uid"], "mailbox": sent.mailbox["_id"], "size": sent.copy["size"]},
    }


def forward_stored_message(call: Call, user: ObjectId, mailbox: ObjectId, message: int, body: Body) -> Answer:
    """Send a stored message on as it came."""
    account = require_active(call.store.users.get(user))
    stored = call.store.messages.find(user, mailbox, message, OF_SENDING)
    targets = forward_targets(stored.get("forwardTargets") or [], body)
    if not targets:
        return {"success": True, "forwarded": []}
    to = (stored.get("meta") or {}).get("to") or []
    going = deliveries_to(targets, [to] if isinstance(to, str) else to, account)
    if not going:
        raise NoRecipients
    queue_id = call.outbox.forward(account, stored, [delivery for _, delivery in going])
    forwarded = [
        {"seq": f"{number:03x}", "type": target["type"], "value": target["value"]}
        for number, (target, _) in enumerate(going, 1)
    ]
    return {"success": True, "queueId": queue_id, "forwarded": forwarded}


def delete_outbound_message(call: Call, user: ObjectId, queue_id: str) -> Answer:
    """Take back what has not been claimed for delivery. A message of somebody else is as good as none."""
    queue_id = queue_id.lower()
    if call.store.outbound_queue.owner(queue_id) != str(user):
        raise QueueEntryNotFound
    return {"success": True, "queueId": queue_id, "deleted": call.store.outbound_queue.remove(queue_id)}


def get_message_source(call: Call, user: ObjectId, mailbox: ObjectId, message: int) -> Stream:
    """The message as it came in."""
    found = call.store.messages.find(user, mailbox, message, OF_SOURCE)
    return Stream(call.store.messages.source(found), "message/rfc822")


def get_message_attachment(
    call: Call, user: ObjectId, mailbox: ObjectId, message: int, attachment: str, send_as_string: bool = False
) -> Stream:
    """The content of an attachment."""
    row = call.store.messages.find(user, mailbox, message, OF_ATTACHMENT)
    return attachment_stream(call, row, attachment.upper(), as_text=send_as_string)


def search_messages(
    call: Call,
    user: ObjectId,
    paging: Paging,
    mailbox: ObjectId | None = None,
    id: str | None = None,
    thread: ObjectId | None = None,
    query: str | None = None,
    datestart: datetime | None = None,
    dateend: datetime | None = None,
    to: str | None = None,
    subject: str | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    attachments: bool = False,
    flagged: bool = False,
    unseen: bool = False,
    seen: bool = False,
    searchable: bool = False,
    use_and_search: bool = False,
    order: str | None = None,
    meta_data: bool = False,
    thread_counters: bool = False,
    include_has_drafts: bool = False,
    collapse_threads: bool = False,
    include_headers: str | bool = False,
    **terms: Any,
) -> Answer:
    """Search messages of an account. `terms` holds `from`, which is no name in Python, and the `or_` group."""
    fields = {
        "mailbox": mailbox, "id": id, "thread": thread, "query": query, "datestart": datestart, "dateend": dateend,
        "from": terms.get("from"), "to": to, "subject": subject, "minSize": min_size, "maxSize": max_size,
        "attachments": attachments, "flagged": flagged, "unseen": unseen, "seen": seen, "searchable": searchable,
        "useAndSearch": use_and_search, "or": _or_group(terms),
    }  # fmt: skip
    call.store.users.require(user)
    options = Rows(
        meta_data=meta_data,
        thread_counters=thread_counters,
        has_drafts=include_has_drafts,
        collapsed=collapse_threads,
        headers=include_headers,
    )
    page, total = call.store.message_search.search(
        user,
        condition(call.store.message_search.places(user), user, {**fields, "q": terms.get("q")}),
        paging,
        search_order(order),
        collapse_threads=collapse_threads,
        with_headers=options.with_headers,
    )
    more = {"query": asked} if (asked := terms.get("q") or query) else {}
    return page.answer(rows(call, user, page.rows, options), total=total, **more)


def _or_group(terms: Mapping[str, Any]) -> Body:
    names = ("query", "from", "to", "subject")
    return {**(terms.get("or") or {}), **{n: terms[f"or_{n}"] for n in names if terms.get(f"or_{n}")}}


def search_apply_messages(call: Call, user: ObjectId, body: Body) -> Answer:
    """Check all that can be checked now, and leave the change of what a search finds to a job."""
    store = call.store
    action = checked_action(body)
    store.users.require(user)
    condition(store.message_search.places(user), user, body)
    if "moveTo" in action:
        store.mailboxes.get(user, action["moveTo"])
    data = {**{name: value for name, value in body.items() if name != "action"}, "user": str(user)}
    task = store.tasks.add("search-apply", as_wildduck({**data, "action": action}))
    return {"success": True, "scheduled": task, "existing": False}

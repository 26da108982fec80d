"""Submission: compose a message, enqueue it, keep a copy."""

from __future__ import annotations

from bson import ObjectId

from delivery.sending.send import Sent
from handlers.call import Answer, Body, Call
from storage.accounts.user_fields import require_active


def submit_message(call: Call, user: ObjectId, body: Body) -> Answer:
    """Send a message and keep a copy, or only keep it."""
    account = require_active(call.store.users.get(user))
    return {"success": True, "message": _as_api(call.outbox.submit(account, body))}


def _as_api(sent: Sent) -> Answer:
    """Where the copy is, False for want of room, and the queue id of what was sent, False for what was only kept."""
    queue_id = sent.queue_id or False
    if sent.copy is None:
        return {"id": False, "mailbox": False, "queueId": queue_id, "overQuota": True}
    return {"id": sent.copy["uid"], "mailbox": sent.mailbox["_id"], "queueId": queue_id}

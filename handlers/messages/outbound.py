"""Stored messages that go out: drafts that are sent, messages that are forwarded, and those taken back."""

from __future__ import annotations

from bson import ObjectId

from delivery.sending.enqueue import deliveries_to
from delivery.sending.send import Outbox
from handlers.call import Answer, Body, Call
from problems import MessageNotDraft, NoRecipients, QueueEntryNotFound
from storage.accounts.user_fields import require_active
from storage.addresses.documents import Target
from storage.messages.messages import OF_SENDING


def submit_stored_message(call: Call, user: ObjectId, mailbox: ObjectId, message: int, body: Body) -> Answer:
    """Send a draft: it is enqueued, gone, and in Sent."""
    account = require_active(call.store.users.get(user))
    draft = call.store.messages.find(user, mailbox, message, OF_SENDING)
    if "\\Draft" not in draft["flags"]:
        raise MessageNotDraft
    sent = _outbox(call).send_draft(
        account, draft, body.get("sendTime"), delete_files=bool(body.get("deleteFiles"))
    )
    assert sent.copy, "a draft is not sent without one"
    return {
        "success": True,
        "queueId": sent.queue_id,
        "message": {"id": sent.copy["uid"], "mailbox": sent.mailbox["_id"], "size": sent.copy["size"]},
    }


def _outbox(call: Call) -> Outbox:
    return Outbox(call.store, ip=call.ip, sess=call.sess, offload=call.offload)


def forward_stored_message(call: Call, user: ObjectId, mailbox: ObjectId, message: int, body: Body) -> Answer:
    """Send a stored message on as it came."""
    account = require_active(call.store.users.get(user))
    stored = call.store.messages.find(user, mailbox, message, OF_SENDING)
    targets = _targets(stored.get("forwardTargets") or [], body)
    if not targets:
        return {"success": True, "forwarded": []}
    to = (stored.get("meta") or {}).get("to") or []
    going = deliveries_to(targets, [to] if isinstance(to, str) else to, account)
    if not going:
        raise NoRecipients
    queue_id = _outbox(call).forward(account, stored, [delivery for _, delivery in going])
    forwarded = [
        {"seq": f"{number:03x}", "type": target["type"], "value": target["value"]}
        for number, (target, _) in enumerate(going, 1)
    ]
    return {"success": True, "queueId": queue_id, "forwarded": forwarded}


def _targets(recorded: list[Target], body: Body) -> list[Target]:
    """The addresses given; and of the targets recorded when it came the chosen one, or all where nothing is given."""
    given: list[Target] = [
        {"type": "mail", "value": address} for address in dict.fromkeys(body.get("addresses") or ())
    ]
    if "target" in body:
        return given + recorded[body["target"] - 1 : body["target"]]
    return given or list(recorded)


def delete_outbound_message(call: Call, user: ObjectId, queue_id: str) -> Answer:
    """Take back what has not been claimed for delivery. A message of somebody else is as good as none."""
    queue_id = queue_id.lower()
    if call.store.outbound_queue.owner(queue_id) != str(user):
        raise QueueEntryNotFound
    return {"success": True, "queueId": queue_id, "deleted": call.store.outbound_queue.remove(queue_id)}

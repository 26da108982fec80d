"""Webhooks: URLs that events are sent to."""

from __future__ import annotations

from bson import ObjectId

from handlers.call import Answer, Body, Call
from problems import WebhookNotFound
from security.webhooks import hook_secret
from storage.base.paging import Paging
from storage.events.documents import WebhookRow


def get_webhooks(call: Call, paging: Paging, type: str | None = None, user: ObjectId | None = None) -> Answer:
    """List hooks by id. Callers who may only see their own get only these."""
    account = call.own_only or user
    page, total = call.store.webhooks.page(type, account, paging)
    asked = {"type": type} if type else {}
    return page.answer([_row(hook) for hook in page.rows], total=total, user=account, **asked)


def _row(hook: WebhookRow) -> Answer:
    """Hooks of old WildDucks do not say when they were made, and other documents may lack more."""
    return {
        "id": hook["_id"],
        "type": hook.get("type") or [],
        "user": hook.get("user"),
        "url": hook.get("url") or "",
        "created": hook.get("created") or hook["_id"].generation_time,
    }


def create_webhook(call: Call, body: Body) -> Answer:
    """Have events sent to a URL, in force everywhere after some seconds."""
    user = body.get("user")
    if user:
        call.store.users.require(user)
    hook = call.store.webhooks.create(body["type"], body["url"], user)
    secret = call.rules.webhook_secret
    return {
        "success": True,
        "id": hook,
        **({"secret": hook_secret(secret, str(hook))} if secret else {}),
    }


def delete_webhook(call: Call, webhook: ObjectId) -> Answer:
    """Send nothing there any more, not even what is queued."""
    if not call.store.webhooks.delete(webhook):
        raise WebhookNotFound
    call.store.webhook_queue.drop_pending(webhook)
    return {"success": True}

"""searchApplyMessages: what a search finds is changed by a job."""

from __future__ import annotations

from bson import ObjectId

from handlers.call import Answer, Body, Call
from problems import InvalidInput
from storage.search.condition import condition, is_restricted

_CHANGES = ("moveTo", "seen", "flagged")


def search_apply_messages(call: Call, user: ObjectId, body: Body) -> Answer:
    """Check all that can be checked now, and leave the work to a job."""
    store = call.store
    action = _action(body)
    store.users.require(user)
    condition(store.message_search.places(user), user, body)
    if "moveTo" in action:
        store.mailboxes.get(user, action["moveTo"])
    data = {**{name: value for name, value in body.items() if name != "action"}, "user": str(user)}
    task = store.tasks.add("search-apply", _as_wildduck({**data, "action": action}))
    return {"success": True, "scheduled": task, "existing": False}


def _action(body: Body) -> Body:
    """What is to be done. Raises InvalidInput for nothing, and for a delete beside other things or of everything."""
    given = body.get("action") or {}
    action = {name: given[name] for name in (*_CHANGES, "delete") if given.get(name) is not None}
    if not action.get("delete"):
        action.pop("delete", None)
        if not action:
            raise InvalidInput({"action": '"action" must say what to do'})
        return action
    if len(action) > 1:
        raise InvalidInput({"action": '"action" cannot delete and do something else'})
    if not is_restricted(body):
        raise InvalidInput({"action,delete": '"action.delete" needs a condition, or every message would go'})
    return action


def _as_wildduck(fields: Body) -> dict[str, object]:
    """Ids as text, as WildDuck's runners expect them."""
    return {name: _as_text(value) for name, value in fields.items()}


def _as_text(value: object) -> object:
    if isinstance(value, dict):
        return _as_wildduck(value)
    return str(value) if isinstance(value, ObjectId) else value

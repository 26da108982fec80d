"""What a request says about messages, checked beyond what the contract can say."""

from __future__ import annotations

from bson import ObjectId

from handlers.call import Body
from problems import InvalidInput
from storage.addresses.documents import Target
from storage.search.condition import is_restricted

_CHANGES = ("moveTo", "seen", "flagged")


def checked_action(body: Body) -> Body:
    """What to do with the messages found.

    Raises InvalidInput for no change, and for a delete together with other changes or of everything.
    """
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


def as_wildduck(fields: Body) -> dict[str, object]:
    """Ids as text, as WildDuck's runners expect them."""
    return {name: _as_text(value) for name, value in fields.items()}


def _as_text(value: object) -> object:
    if isinstance(value, dict):
        return as_wildduck(value)
    return str(value) if isinstance(value, ObjectId) else value


def forward_targets(recorded: list[Target], body: Body) -> list[Target]:
    """The addresses given, and the chosen one of the targets recorded on arrival; all of these if nothing is given."""
    given: list[Target] = [
        {"type": "mail", "value": address} for address in dict.fromkeys(body.get("addresses") or ())
    ]
    if "target" in body:
        return given + recorded[body["target"] - 1 : body["target"]]
    return given or list(recorded)

"""What the spam filter of the MTA thought of a message, and what an account's level makes of that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SCORES = {"reject": 75, "rewrite subject": 50, "soft reject": 50, "greylist": 50, "add header": 25}
_YES = ("yes", "true", "spam")
_MARKED = "rewrite subject"
_NEVER = 100


def spam_action(fields: Iterable[tuple[str, str]], names: Sequence[str]) -> str:
    """The filter's action, in the words of rspamd, from header fields such as `X-Spam-Flag: YES`; empty for none.

    A plain mark is as much as a changed subject: spam for accounts with the usual level. Only what speaks against a
    message counts, so nothing is won by forging these fields.
    """
    wanted = {name.lower() for name in names}
    actions = [_action(value.lower().strip()) for name, value in fields if name in wanted]
    return max(actions, key=lambda action: _SCORES.get(action, 0), default="")


def _action(value: str) -> str:
    if value in _SCORES:
        return value
    return _MARKED if value.replace(",", " ").split(" ")[0] in _YES else ""


def level_says(level: object, action: str) -> bool | None:
    """Spam, no spam, or nothing: 0 means that all is spam, 100 that nothing is."""
    if isinstance(level, bool) or not isinstance(level, int | float) or level < 0:
        return None
    if level == 0:
        return True
    if level >= _NEVER:
        return False
    return True if _SCORES.get(action, 0) >= level else None

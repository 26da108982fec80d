"""The spam filter's mark, and the account's level."""

from __future__ import annotations

import pytest

from delivery.inbound.arrival import spam_action
from delivery.inbound.decision import level_says

NAMES = ("X-Spam-Flag", "X-Rspamd-Action")


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        ([], ""),
        ([("x-spam-flag", "YES")], "rewrite subject"),
        ([("x-spam-flag", "Yes, score=9.1 required=5")], "rewrite subject"),
        ([("x-spam-flag", "NO")], ""),
        ([("x-spam-flag", "")], ""),
        ([("x-other", "YES")], ""),
        ([("x-rspamd-action", "add header")], "add header"),
        ([("x-rspamd-action", "no action")], ""),
        ([("x-rspamd-action", "Reject")], "reject"),
        (
            [("x-spam-flag", "NO"), ("x-rspamd-action", "add header"), ("x-spam-flag", "yes")],
            "rewrite subject",
        ),
    ],
)
def test_actions(fields: list[tuple[str, str]], action: str) -> None:
    assert spam_action(fields, NAMES) == action


@pytest.mark.parametrize(
    ("level", "action", "says"),
    [
        (0, "", True), (100, "reject", False), (50, "", None), (50, "add header", None), (50, "rewrite subject", True),
        (50, "soft reject", True), (51, "greylist", None), (25, "add header", True), (26, "add header", None),
        (75, "reject", True), (76, "reject", None), (99, "reject", None), (1, "no action", None), (-1, "reject", None),
        (None, "reject", None), ("0", "reject", None), (True, "reject", None), (0.5, "add header", True),
    ],
)  # fmt: skip
def test_levels(level: object, action: str, says: bool | None) -> None:
    assert level_says(level, action) is says

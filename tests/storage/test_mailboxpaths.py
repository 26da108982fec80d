"""Paths of mailboxes."""

from __future__ import annotations

import pytest

from problems import Problem
from storage.mailboxes.names import checked_path, normalize_path


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("inbox", "INBOX"),
        ("/Inbox/x", "INBOX/x"),
        ("/Work/", "Work"),
        ("Work/inbox", "Work/inbox"),
        ("inboxes", "inboxes"),
        (" inbox", " inbox"),
    ],
)
def test_normal_form(path: str, normal: str) -> None:
    assert normalize_path(path) == normal
    assert normalize_path(normal) == normal


@pytest.mark.parametrize("path", ["/".join("a" * 128), "x" * 512, "😀" * 256])
def test_the_longest_paths(path: str) -> None:
    assert checked_path(path) == path


@pytest.mark.parametrize("path", ["/".join("a" * 129), "x" * 513, "a/" + "😀" * 257])
def test_paths_too_deep_or_too_long(path: str) -> None:
    with pytest.raises(Problem, match="DisallowedMailboxMethod"):
        checked_path(path)

"""Names of the mailboxes that an account starts with."""

from __future__ import annotations

import pytest

from storage.mailboxes.names import _NAMES, SPECIAL_USES, checked_path, mailbox_names

ENGLISH = {"\\Sent": "Sent Mail", "\\Trash": "Trash", "\\Drafts": "Drafts", "\\Junk": "Junk"}


@pytest.mark.parametrize("language", [None, "", "en", "en_GB", "tlh", "ber", "kn"])
def test_english_where_the_language_is_unknown(language: str | None) -> None:
    assert mailbox_names(language, {}) == ENGLISH


@pytest.mark.parametrize("language", ["de", "DE", "de_AT"])
def test_the_language_is_what_stands_before_the_underscore(language: str) -> None:
    assert mailbox_names(language, {})["\\Drafts"] == "Entwürfe"


def test_given_names_win_and_empty_ones_do_not() -> None:
    names = mailbox_names("de", {"sent": "Raus", "junk": ""})
    assert (names["\\Sent"], names["\\Junk"]) == ("Raus", "Spam")


@pytest.mark.parametrize("language", sorted(_NAMES))
def test_each_language_has_four_different_usable_names(language: str) -> None:
    names = mailbox_names(language, {})
    assert list(names) == list(SPECIAL_USES)
    assert len({*names.values(), "INBOX"}) == 5
    assert all(checked_path(name) == name == name.strip() and "/" not in name for name in names.values())

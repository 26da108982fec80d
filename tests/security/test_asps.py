"""Application passwords as values."""

from __future__ import annotations

import pytest

from security.asps import as_asp, is_weak, new_asp, opens, selector, shown_scopes, stored_scopes


@pytest.mark.parametrize(("password", "mark"), [("abcdefghijklmnop", "c"), ("aaaaaaaaaaaaaaaa", "1b")])
def test_the_selector_is_the_one_of_wildduck(password: str, mark: str) -> None:
    assert selector(password) == mark


def test_new_ones_are_16_letters_never_the_same_and_never_weak() -> None:
    made = {new_asp() for _ in range(200)}
    assert len(made) == 200
    assert all(as_asp(password) == password and not is_weak(password) for password in made)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("\tABCDefgh\nijklmnop ", "abcdefghijklmnop"),
        ("abcdefghijklmno", None),
        ("abcdefghijklmnopq", None),
        ("abcdefghijklmno1", None),
        ("äbcdefghijklmnop", None),
        ("", None),
    ],
)
def test_what_a_person_types(given: str, meant: str | None) -> None:
    assert as_asp(given) == meant


@pytest.mark.parametrize(
    ("given", "stored", "shown"),
    [
        (["smtp", "imap"], ["imap", "smtp"], ["imap", "smtp"]),
        (["imap", "*"], ["*"], ["imap", "pop3", "smtp"]),
        (["smtp", "pop3", "imap"], ["*"], ["imap", "pop3", "smtp"]),
        (["pop3"], ["pop3"], ["pop3"]),
    ],
)
def test_scopes(given: list[str], stored: list[str], shown: list[str]) -> None:
    assert stored_scopes(given) == stored
    assert shown_scopes(stored) == shown
    assert [scope for scope in ("imap", "pop3", "smtp", "master") if opens(stored, scope)] == shown

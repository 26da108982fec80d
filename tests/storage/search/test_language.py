"""The `q` language: what a text stands for."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from storage.messages.uid_set import UidSet
from storage.search.language import QuerySyntaxError, parse_query
from storage.search.terms import (
    All,
    Arrived,
    Flagged,
    HasAttachments,
    Header,
    InMailbox,
    InThread,
    Named,
    Not,
    NotSpamOrTrash,
    Phrase,
    Size,
    Some,
    Uids,
    Unseen,
    Word,
)

ID = "5d48a1f5fd1a4d1be0d4a1c1"
TO = ("to", "cc", "bcc")


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("", None),
        ("  \t\n", None),
        ('""', None),
        ("foo", Word("foo")),
        ("Foo bar", All((Word("Foo"), Word("bar")))),
        ("foo and bar", All((Word("foo"), Word("bar")))),
        ("android", Word("android")),
        ("or-else", Word("or-else")),
        (r"\or", Word("or")),
        (r"a\ b", Phrase("a b")),
        (r"\(x", Word("(x")),
        ('"two  words"', Phrase("two words")),
        ('"one"', Word("one")),
        ('"not closed', Phrase("not closed")),
        ('"a and (b"', Phrase("a and (b")),
        ('foo"bar baz"', All((Word("foo"), Phrase("bar baz")))),
        ("a or b", Some((Word("a"), Word("b")))),
        ("a OR b c", Some((Word("a"), All((Word("b"), Word("c")))))),
        ("(a or b) c", All((Some((Word("a"), Word("b"))), Word("c")))),
        ("((a))b", All((Word("a"), Word("b")))),
        ("-foo", Not(Word("foo"))),
        ("- foo", Not(Word("foo"))),
        ("--foo", Word("foo")),
        ('-"one two"', Not(Phrase("one two"))),
        ("-(a or from:b)", Not(Some((Word("a"), Header(("from",), "b"))))),
        ("foo-bar", Word("foo-bar")),
        ("from:Amy", Header(("from",), "amy")),
        ('FROM:"Amy Lee"', Header(("from",), "amy lee")),
        ("from:'amy'", Header(("from",), "amy")),
        ("from: amy", Header(("from",), "amy")),
        ('from: "amy lee" x', All((Header(("from",), "amy lee"), Word("x")))),
        ("subject:a:b", Header(("subject",), "a:b")),
        ("to:x", Header(TO, "x")),
        ("cc:x bcc:y", All((Header(("cc",), "x"), Header(("bcc",), "y")))),
        ("from:", None),
        ("from: subject:x", Header(("subject",), "x")),
        ('in:"Work/2024"', Named("Work/2024")),
        ("in: Sent", Named("Sent")),
        (f"mailbox:{ID}", InMailbox(ObjectId(ID))),
        ("mailbox:x", None),
        (f"thread:{ID.upper()}", InThread(ObjectId(ID))),
        ("id:1,2,3", Uids(UidSet.parse("1,2,3"))),
        ("id:3:*", Uids(UidSet.parse("3:*"))),
        ("id:x", None),
        ("after:2024-01-02", Arrived(since=datetime(2024, 1, 2, tzinfo=UTC))),
        ("before:2020/1/2", Arrived(until=datetime(2020, 1, 2, tzinfo=UTC))),
        ("older:2020", Arrived(until=datetime(2020, 1, 1, tzinfo=UTC))),
        ('newer:"1 jan 2020"', Arrived(since=datetime(2020, 1, 1, tzinfo=UTC))),
        ("datestart:2024-01-02T03:04:05+02:00", Arrived(since=datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC))),
        ("after:7d", None),
        ("after:9999-12-31T23:59:59-10:00", None),
        ("after:2024-13-01", None),
        ("minsize:10 maxsize:20", All((Size(least=10), Size(most=20)))),
        ("minsize:x", None),
        ("attachments:yes", HasAttachments()),
        ("attachments:no", None),
        ("has:attachment", HasAttachments()),
        ("has:fun", None),
        ("flagged:1", Flagged()),
        ("seen:true unseen:ON", All((Unseen(False), Unseen(True)))),
        ("is:starred", Flagged()),
        ("is:read", Unseen(False)),
        ("is:unread", Unseen(True)),
        ("searchable:y", NotSpamOrTrash()),
        ("http://x", Word("http://x")),
        (":foo", Word(":foo")),
        (r"from\:amy", Word("from:amy")),
    ],
)
def test_what_a_text_stands_for(text: str, term: Any) -> None:
    assert parse_query(text) == term


@pytest.mark.parametrize(
    "text",
    ["(", ")", "a)", "(a", "()", "( )", "and", "or", "a and", "a or", "or a", "a or or b", "a and or b", "-", "a -",
     "(a or)", "- or b", "(" * 60 + "a" + ")" * 60],
)  # fmt: skip
def test_what_is_no_query(text: str) -> None:
    with pytest.raises(QuerySyntaxError):
        parse_query(text)


@given(st.text(alphabet="ab:()-\"\\ '\t,ornd", max_size=60) | st.text(max_size=60))
def test_any_text_is_a_query_or_is_refused(text: str) -> None:
    with suppress(QuerySyntaxError):
        parse_query(text)

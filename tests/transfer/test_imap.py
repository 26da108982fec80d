"""Import from an account on an IMAP server, over a real socket."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.transfer.conftest import Mover, message
from tests.transfer.imapserver import Box, Mail, serving
from transfer.imap import ImapAccount
from transfer.source import SourceError

RAW_WITH_BRACKETS = message(3, text=") 1 FETCH (UID 9 {3}\r\nBODY[] abc")


def boxes() -> dict[str, Box]:
    return {
        "INBOX": Box(
            [
                Mail(1, message(1), "\\Seen $Forwarded"),
                Mail(700, message(2), "\\Recent", date=" 5-Mar-2024 01:02:03 +0000"),
                Mail(70_001, RAW_WITH_BRACKETS, "\\Flagged"),
            ]
        ),
        "Gesendet": Box([Mail(4, message(4), "\\Answered")], attributes="\\Sent"),
        "Arbeit/Entw&APw-rfe": Box([Mail(5, message(5))], subscribed=False),
        'Say "hi"': Box([Mail(6, message(6))]),
        "[Gmail]": Box(attributes="\\Noselect"),
        "[Gmail]/All": Box([Mail(1, message(1))], attributes="\\All"),
    }


@pytest.mark.parametrize("flags_last", [False, True])
def test_folders_flags_dates_and_bytes(ada: Mover, flags_last: bool) -> None:
    with serving(boxes()) as server:
        server.flags_last = flags_last
        report = ada.take(ImapAccount(server.url, "secret"))
        assert all(b"BODY[]" not in command for command in server.commands), "reading must not set flags"
        assert not any(command.startswith(b"SELECT") for command in server.commands)
    assert (report.stored, report.duplicates, report.refused_count, report.folders) == (6, 0, 0, 4)
    first, second, third = ada.folder("INBOX")
    assert (first["raw"], first["flags"]) == (message(1), {"\\Seen", "$Forwarded"})
    assert first["date"] == datetime(2024, 2, 1, 9, 20, 30, tzinfo=UTC)
    assert (second["flags"], second["date"]) == (set(), datetime(2024, 3, 5, 1, 2, 3, tzinfo=UTC))
    assert (third["raw"], third["flags"]) == (RAW_WITH_BRACKETS, {"\\Flagged"})
    assert [row["raw"] for row in ada.folder("Sent Mail")] == [message(4)]
    assert [row["raw"] for row in ada.folder('Say "hi"')] == [message(6)]
    assert not ada.store.mailboxes.by_path(ada.user, "Arbeit/Entwürfe")["subscribed"]


def test_levels_with_dots_below_inbox_as_courier_has_them(ada: Mover) -> None:
    tree = {"INBOX": Box([Mail(1, message(1))]), "INBOX.Work.a/b": Box([Mail(1, message(2))])}
    with serving(tree, delimiter=".") as server:
        ada.take(ImapAccount(server.url, "secret"))
    assert {path: len(rows) for path, rows in ada.everything().items() if rows} == {"INBOX": 1, "Work/a_b": 1}


def test_a_connection_that_breaks_is_taken_up_where_it_stood(ada: Mover) -> None:
    many = {"INBOX": Box([Mail(n, message(n, text="x" * 900_000)) for n in range(1, 13)])}
    with serving(many) as server:
        server.breaks_after = 5
        with pytest.raises(SourceError, match="IMAP"):
            ada.take(ImapAccount(server.url, "secret"))
        before = len(ada.folder("INBOX"))
        assert 0 < before < 12
        server.breaks_after = None
        server.fetched.clear()
        report = ada.take(ImapAccount(server.url, "secret"))
        assert server.fetched == list(range(before + 1, 13)), "nothing is fetched twice"
    assert (report.stored, report.duplicates) == (12 - before, 0)
    assert [row["raw"] for row in ada.folder("INBOX")] == [mail.raw for mail in many["INBOX"].mails]


def test_uids_that_became_others_are_read_anew(ada: Mover) -> None:
    tree = boxes()
    with serving(tree) as server:
        ada.take(ImapAccount(server.url, "secret"))
        tree["INBOX"].validity = 8
        tree["INBOX"].mails.append(Mail(70_002, message(9)))
        report = ada.take(ImapAccount(server.url, "secret"))
    assert (report.stored, report.duplicates) == (1, 3)


def test_a_wrong_password_is_told_and_not_shown() -> None:
    with serving(boxes()) as server, pytest.raises(SourceError) as told:
        ImapAccount(server.url, "wrong")
    assert "AUTHENTICATIONFAILED" in str(told.value)
    assert "wrong" not in str(told.value)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="IMAP"):
        ImapAccount("imap://ada@127.0.0.1:1", "secret")

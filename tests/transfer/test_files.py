"""Import from mbox files and Maildirs."""

from __future__ import annotations

import mailbox
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.transfer.conftest import Mover, message
from transfer.maildir import Maildir
from transfer.mbox import MboxFiles
from transfer.source import SourceError

FEBRUARY = datetime(2024, 2, 1, 9, 20, 30, tzinfo=UTC)


def mbox_of(path: Path, *messages: bytes, status: str = "") -> Path:
    """Written by Python's own mailbox module."""
    path.parent.mkdir(parents=True, exist_ok=True)
    box = mailbox.mbox(path)
    for raw in messages:
        entry = mailbox.mboxMessage(raw.replace(b"\r\n", b"\n"))
        entry.set_from("grace@example.com Thu Feb  1 09:20:30 2024")
        entry.set_flags(status)
        box.add(entry)
    box.close()
    return path


def test_an_mbox_comes_in_with_dates_flags_and_line_ends(ada: Mover, tmp_path: Path) -> None:
    path = mbox_of(tmp_path / "old.mbox", message(1), message(2, text="From here on\nto there"), status="RF")
    report = ada.take(MboxFiles(path, "Old mail"))
    assert (report.stored, report.duplicates, report.refused_count, report.folders) == (2, 0, 0, 1)
    first, second = ada.folder("Old mail")
    assert first["flags"] == {"\\Seen", "\\Flagged"}
    assert first["date"] == FEBRUARY
    assert first["raw"].startswith(b"From: Grace <grace@example.com>\r\n")
    assert second["raw"].endswith(b"\r\nFrom here on\r\nto there\r\n")
    assert report.bytes == len(first["raw"]) + len(second["raw"])


def test_a_folder_of_mbox_files_is_a_tree_of_mailboxes(ada: Mover, tmp_path: Path) -> None:
    mbox_of(tmp_path / "mail" / "Work", message(1))
    mbox_of(tmp_path / "mail" / "Work.sbd" / "Projects.mbox", message(2))
    (tmp_path / "mail" / "Work.msf").write_text("an index, no mbox")
    ada.take(MboxFiles(tmp_path / "mail", "INBOX"))
    assert {path: len(rows) for path, rows in ada.everything().items() if rows} == {
        "Work": 1,
        "Work/Projects": 1,
    }


def test_what_came_before_is_skipped_and_what_was_added_comes(ada: Mover, tmp_path: Path) -> None:
    path = mbox_of(tmp_path / "mbox", message(1), message(2))
    assert ada.take(MboxFiles(path, "INBOX")).stored == 2
    assert (ada.take(MboxFiles(path, "INBOX"))).as_json()["stored"] == 0
    again = ada.take(MboxFiles(path, "INBOX"), again=True)
    assert (again.stored, again.duplicates) == (0, 2)
    mbox_of(path, message(3))
    later = ada.take(MboxFiles(path, "INBOX"))
    assert (later.stored, later.duplicates) == (1, 0)
    assert len(ada.folder("INBOX")) == 3


def test_another_file_in_its_place_is_read_from_the_beginning(ada: Mover, tmp_path: Path) -> None:
    path = mbox_of(tmp_path / "mbox", message(1), message(2))
    ada.take(MboxFiles(path, "INBOX"))
    path.unlink()
    mbox_of(path, message(3))
    assert ada.take(MboxFiles(path, "INBOX")).stored == 1


def test_a_message_that_was_delivered_before_is_a_duplicate(ada: Mover, tmp_path: Path) -> None:
    ada.add(message(1))
    ada.add(message(2))
    separator = b"From grace@example.com Thu Feb  1 09:20:30 2024\n"
    known, other = message(1, newline="\n"), message(2, text="Another", newline="\n")
    (tmp_path / "mbox").write_bytes(separator + known + b"\n" + separator + other)
    report = ada.take(MboxFiles(tmp_path / "mbox", "INBOX"))
    assert (report.stored, report.duplicates) == (1, 1)


def test_one_moved_elsewhere_after_an_import_does_not_come_again_without_need(
    ada: Mover, tmp_path: Path
) -> None:
    path = mbox_of(tmp_path / "mbox", *[message(n) for n in range(5)])
    ada.take(MboxFiles(path, "INBOX"))
    ids = {row["_id"] for row in ada.store.databases.main["messages"].find()}
    assert len(ids) == 5
    assert all(row.generation_time == FEBRUARY for row in ids), "ids sort by the date of the message"


def test_what_is_no_mbox_is_refused(ada: Mover, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary")
    with pytest.raises(SourceError, match="this is no mbox"):
        ada.take(MboxFiles(path, "INBOX"))


def test_a_mailbox_that_may_not_be_is_told_and_the_others_come(ada: Mover, tmp_path: Path) -> None:
    mbox_of(tmp_path / "mail" / ("x" * 200) / "a", message(1))
    mbox_of(tmp_path / "mail" / "fine", message(2))
    ada.store.settings.put("const:max:mailboxes", 5)
    report = ada.take(MboxFiles(tmp_path / "mail", "INBOX"))
    assert (report.stored, report.refused_count) == (1, 1)
    assert report.refused[0]["code"] == "DisallowedMailboxMethod"


def maildir(path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    return path


def put(folder: Path, name: str, raw: bytes) -> None:
    (folder / name).write_bytes(raw)
    os.utime(folder / name, (FEBRUARY.timestamp(), FEBRUARY.timestamp()))


def test_a_maildir_with_folders_flags_labels_and_dates(ada: Mover, tmp_path: Path) -> None:
    root = maildir(tmp_path / "Maildir")
    put(root / "new", "1706779230.1.host", message(1, newline="\n"))
    put(root / "cur", "1706779231.2.host:2,FSa", message(2))
    (root / "dovecot-keywords").write_text("0 $Forwarded\n1 todo\n")
    sent = maildir(root / ".Sent")
    put(sent / "cur", "1706779232.3.host:2,RS", message(3))
    put(maildir(root / ".Arbeit.Entw&APw-rfe") / "cur", "1.4.host:2,DT", message(4))
    (root / "subscriptions").write_text("Sent\n")

    report = ada.take(Maildir(root, "INBOX"))
    assert (report.stored, report.refused_count, report.folders) == (4, 0, 3)
    first, second = ada.folder("INBOX")
    assert (first["raw"], first["flags"], first["date"]) == (message(1), set(), FEBRUARY)
    assert second["flags"] == {"\\Flagged", "\\Seen", "$Forwarded"}
    assert [row["flags"] for row in ada.folder("Sent Mail")] == [{"\\Answered", "\\Seen"}]
    assert [row["flags"] for row in ada.folder("Arbeit/Entwürfe")] == [{"\\Draft", "\\Deleted"}]
    assert not ada.store.mailboxes.by_path(ada.user, "Arbeit/Entwürfe")["subscribed"]
    put(root / "cur", "1706779299.9.host:2,", message(9))
    assert ada.take(Maildir(root, "INBOX")).as_json()["stored"] == 1

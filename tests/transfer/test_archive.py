"""Export of an account and import of what it wrote: the same bytes, flags, dates and mailboxes."""

from __future__ import annotations

import gzip
import mailbox
import random
import tarfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.rows import change_user
from tests.transfer.conftest import Mover, message, silent
from transfer.archive import Archive
from transfer.export import export
from transfer.importer import ImportStopped
from transfer.source import SourceError

START = datetime(2024, 1, 1, tzinfo=UTC)
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "\\Draft", "$Forwarded", "todo")
HARD = (
    b"From: a@example.com\r\n\r\nFrom me\r\n>From you\r\n\r\nFrom a@example.com Thu Feb  1 09:20:30 2024\r\n",
    b"From: a@example.com\n\nbare newlines\n\nFrom nobody\n",
    b"From: a@example.com\r\n\r\nno end of line",
    b"From: a@example.com\r\n\r\n\r\n\r\n",
    b"From: a@example.com\r\n\r\n\n",
    b"From: a@example.com\r\n",
    b"From: a@example.com\r\n\r\n\x00\xff\xfe binary\r\rand\rreturns",
    b"From: a@example.com\r\n\r\n" + b"x" * 200_000 + b"\r\nFrom the end",
)


def fill(mover: Mover, count: int, path: str = "INBOX") -> None:
    """Messages with flags by chance, of which some are the same."""
    chance = random.Random(count)
    for number in range(count):
        raw = (
            HARD[number] if number < len(HARD) else message(number // 2, text="x\r\n" * chance.randrange(99))
        )
        flags = [flag for flag in FLAGS if chance.random() < 0.3]
        mover.add(raw, path, flags=flags, date=START + timedelta(minutes=number, milliseconds=number))


def exported(mover: Mover, path: Path) -> dict[str, int]:
    with path.open("wb") as file:
        return export(mover.store, mover.store.users.get(mover.user), file, silent)


def test_an_account_comes_out_and_in_again_as_it_was(
    make_mover: Callable[..., Mover], tmp_path: Path
) -> None:
    ada, bob = make_mover("ada"), make_mover("bob")
    ada.store.mailboxes.create(ada.user, "Projects/Größe", {"subscribed": False, "retention": 9e9}, 99)
    fill(ada, 300)
    fill(ada, 40, "Projects/Größe")
    fill(ada, 9, "Sent Mail")
    totals = exported(ada, tmp_path / "ada.tar")
    assert totals["messages"] == 349

    report = bob.take(Archive(tmp_path / "ada.tar"))
    assert (report.stored, report.duplicates, report.refused_count) == (349, 0, 0)
    assert report.bytes == totals["bytes"]
    assert bob.everything() == ada.everything()
    box = bob.store.mailboxes.by_path(bob.user, "Projects/Größe")
    assert (box["subscribed"], box["retention"]) == (False, 9e9)
    assert bob.store.users.get(bob.user)["storageUsed"] == ada.store.users.get(ada.user)["storageUsed"]


def test_nothing_comes_twice_into_the_other_account_nor_back_into_its_own(
    make_mover: Callable[..., Mover], tmp_path: Path
) -> None:
    ada, bob = make_mover("ada"), make_mover("bob")
    fill(ada, 20)
    exported(ada, tmp_path / "ada.tar")
    bob.take(Archive(tmp_path / "ada.tar"))
    for mover in (ada, bob):
        again = mover.take(Archive(tmp_path / "ada.tar"), again=True)
        assert (again.stored, again.duplicates) == (0, 20)
        assert len(mover.folder("INBOX")) == 20


def test_an_import_that_was_broken_off_goes_on(
    make_mover: Callable[..., Mover], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = make_mover("ada"), make_mover("bob")
    fill(ada, 30)
    exported(ada, tmp_path / "ada.tar")
    plain, calls = bob.store.intake.add, 0

    def breaking(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt
        return plain(*arguments, **options)

    monkeypatch.setattr(bob.store.intake, "add", breaking)
    with pytest.raises(KeyboardInterrupt):
        bob.take(Archive(tmp_path / "ada.tar"))
    report = bob.take(Archive(tmp_path / "ada.tar"))
    assert (report.stored, report.duplicates) == (19, 0)
    assert bob.everything() == ada.everything()


def test_a_full_account_stops_the_import_and_more_quota_lets_it_go_on(
    make_mover: Callable[..., Mover], tmp_path: Path
) -> None:
    ada, bob = make_mover("ada"), make_mover("bob", quota=1_000)
    for number in range(10):
        ada.add(message(number))
    exported(ada, tmp_path / "ada.tar")
    with pytest.raises(ImportStopped, match="quota"):
        bob.take(Archive(tmp_path / "ada.tar"))
    assert 0 < len(bob.folder("INBOX")) < 10
    change_user(bob.store, bob.user, {"quota": 1_000_000})
    bob.take(Archive(tmp_path / "ada.tar"))
    assert bob.folder("INBOX") == ada.folder("INBOX")


def test_other_readers_of_mbox_find_the_same_messages(ada: Mover, tmp_path: Path) -> None:
    fill(ada, 60)
    exported(ada, tmp_path / "ada.tar")
    with tarfile.open(tmp_path / "ada.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    described = orjson.loads((tmp_path / "account.json").read_bytes())
    first = described["mailboxes"][0]
    assert (first["path"], first["messages"]) == ("INBOX", 60)
    with closing(mailbox.mbox(tmp_path / f"{first['files']}.mbox")) as box:
        assert len(box) == 60
    rows = [orjson.loads(line) for line in (tmp_path / f"{first['files']}.jsonl").read_bytes().splitlines()]
    assert [set(row["flags"]) for row in rows] == [row["flags"] for row in ada.folder("INBOX")]
    assert "password" not in (tmp_path / "account.json").read_text()


def test_a_compressed_archive_is_taken_too(make_mover: Callable[..., Mover], tmp_path: Path) -> None:
    ada, bob = make_mover("ada"), make_mover("bob")
    fill(ada, 5)
    exported(ada, tmp_path / "ada.tar")
    (tmp_path / "ada.tar.gz").write_bytes(gzip.compress((tmp_path / "ada.tar").read_bytes()))
    assert bob.take(Archive(tmp_path / "ada.tar.gz")).stored == 5


def test_a_damaged_archive_is_told_and_nothing_wrong_is_stored(
    make_mover: Callable[..., Mover], tmp_path: Path
) -> None:
    ada, bob = make_mover("ada"), make_mover("bob")
    ada.add(message(1, text="the truth"))
    exported(ada, tmp_path / "ada.tar")
    data = (tmp_path / "ada.tar").read_bytes()
    (tmp_path / "ada.tar").write_bytes(data.replace(b"the truth", b"the false"))
    with pytest.raises(SourceError, match="damaged"):
        bob.take(Archive(tmp_path / "ada.tar"))
    assert bob.folder("INBOX") == []
    (tmp_path / "cut.tar").write_bytes(b"no tar at all")
    with pytest.raises(SourceError, match="no export"):
        Archive(tmp_path / "cut.tar")

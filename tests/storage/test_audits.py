"""Copies for audits: made with the message, once, of what is stored; and gone when the audit is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from problems import MailboxNotFound, Problem
from storage.audits.audits import Actor, Span
from storage.base.database import DatabaseError, utc_now
from storage.messages.audit_import import PLACES, AuditOver
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account, message, together, with_attachment
from tests.storage.plans import examined, indexes, plans

ROOT = Actor("root", "root")
LATER = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _bucket(store: Store) -> Iterator[None]:
    yield
    for name in ("audit.files", "audit.chunks", "audits", "tasks"):
        store.databases.main[name].delete_many({})


def begin(account: Account, start: Any = None, end: Any = None, expires: datetime = LATER) -> ObjectId:
    return account.store.audits.create(account.id, Span(start, end), expires, None, {}, ROOT)


def copies(account: Account, audit: ObjectId) -> list[tuple[str, bytes]]:
    """(mailbox path, bytes) of each copy."""
    return [(copy.mailbox, b"".join(copy.pieces)) for copy in account.store.audit_files.export(audit)]


def files(account: Account) -> list[Row]:
    return list(account.store.databases.gridfs["audit.files"].find({}))


def bring_in(account: Account, audit: ObjectId) -> list[ObjectId]:
    """What the job does; ids of what could not be copied."""
    work = account.store.audit_import(account.store.audits.get(audit))
    failed = []
    for place in PLACES:
        if threads := work.threads(place, None):
            failed += [m for batch in work.batches(place, threads) for m in work.copy(place, batch)]
    return failed


def test_new_mail_is_copied_as_it_is_stored(account: Account) -> None:
    audit, other = begin(account), begin(account)
    raw = message(more="Cc: Õie <OIE@xn--mgi-qla.test>, Team: a@x.test, b@x.test;\r\nMessage-ID: <1@x>\r\n")
    row = account.add(raw, meta={"from": "g@example.com", "queueId": ""}, outbound=["18f"])
    assert copies(account, audit) == copies(account, other) == [("INBOX", raw)]
    file = next(file for file in files(account) if file["metadata"]["audit"] == audit)
    header = file["metadata"].pop("header")
    assert header["from"] == [{"address": "grace@example.com", "name": ""}]
    assert file == {
        "_id": file["_id"], "length": len(raw), "chunkSize": 261_120, "uploadDate": file["uploadDate"],
        "filename": None, "contentType": "message/rfc822",
        "metadata": {
            "audit": audit, "date": row["idate"], "msgid": "<1@x>", "subject": "Hello", "ha": False,
            "mailbox": row["mailbox"], "mailboxPath": "INBOX", "mallard": {"message": row["_id"]},
            "info": {"from": "g@example.com", "queueId": "18f"},
            "addresses": [
                {"name": "", "address": "grace@example.com", "type": "from"},
                {"name": "", "address": "ada@example.com", "type": "to"},
                {"name": "Õie", "address": "oie@mägi.test", "type": "cc"},
                {"name": "", "address": "a@x.test", "type": "cc"},
                {"name": "", "address": "b@x.test", "type": "cc"},
            ],
        },
    }  # fmt: skip
    noted = account.store.audits.get(audit)
    assert (noted["audited"], noted["import"]["copied"]) == (1, 0)
    assert noted["lastAuditedMessage"] <= utc_now()


@pytest.mark.parametrize(
    ("start", "end", "expires", "count"),
    [(None, None, LATER, 1), (False, False, LATER, 1), (-1, 1, LATER, 1), (1, None, LATER, 0), (None, -1, LATER, 0),
     (None, None, datetime(2020, 1, 1, tzinfo=UTC), 0)],
)  # fmt: skip
def test_the_time_of_storing_decides(
    ada: Account, start: Any, end: Any, expires: datetime, count: int
) -> None:
    def hours(number: Any) -> Any:
        return utc_now() + timedelta(hours=number) if type(number) is int else number

    audit = begin(ada, hours(start), hours(end), expires)
    ada.add(date=datetime(2001, 1, 1, tzinfo=UTC))
    assert len(copies(ada, audit)) == ada.store.audits.get(audit)["audited"] == count


def test_a_large_message_is_copied_in_chunks(account: Account) -> None:
    audit = begin(account)
    raw = message(text="line\r\n" * 900_000)
    account.add(raw)
    assert copies(account, audit) == [("INBOX", raw)]
    sizes = [len(row["data"]) for row in account.store.databases.gridfs["audit.chunks"].find({}).sort("n", 1)]
    assert set(sizes[:-1]) == {261_120}


@pytest.mark.parametrize("where", ["quota", "place"])
def test_what_is_not_stored_is_not_copied(
    account: Account, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = begin(account)
    if where == "quota":
        account.store.databases.users["users"].update_one({"_id": account.id}, {"$set": {"quota": 1}})
    else:
        monkeypatch.setattr(account.store.mailboxes, "allocate", _raise)
    with pytest.raises(Problem):
        account.add()
    assert files(account) == []
    assert account.store.databases.gridfs["audit.chunks"].count_documents({}) == 0
    assert account.store.audits.get(audit)["audited"] == 0


def _raise(*_: Any, **__: Any) -> None:
    raise MailboxNotFound


def test_a_message_that_a_filter_drops(account: Account) -> None:
    audit = begin(account)
    row = account.add()
    dropped = {**row, "_id": ObjectId()}
    del dropped["mailbox"]
    assert account.store.audits.capture(dropped, b"dropped", None) == [audit]
    file = next(file for file in files(account) if file["metadata"]["info"].get("notStored"))
    assert "mailbox" not in file["metadata"]
    assert "mailboxPath" not in file["metadata"]
    assert account.store.audits.get(audit)["audited"] == 2


def test_encrypted_mail_is_copied_as_it_is_stored(ada: Account, pgp_key: str) -> None:
    audit = begin(ada)
    ada.store.databases.users["users"].update_one(
        {"_id": ada.id}, {"$set": {"pubKey": pgp_key, "encryptMessages": True}}
    )
    row = ada.add(message(text="a secret"))
    stored = b"".join(ada.store.messages.source(ada.store.messages.find(ada.id, row["mailbox"], row["uid"])))
    assert b"BEGIN PGP MESSAGE" in stored
    assert b"a secret" not in stored
    assert copies(ada, audit) == [("INBOX", stored)]


def test_what_was_there_is_copied_once(account: Account) -> None:
    raws = {name: message(subject=name) for name in ("kept", "gone", "draft")}
    account.add(raws["kept"], date=datetime(2024, 1, 1, tzinfo=UTC))
    gone = account.add(raws["gone"], path="Sent Mail", date=datetime(2024, 1, 2, tzinfo=UTC))
    account.add(raws["draft"], path="Drafts", flags=["\\Draft"], date=datetime(2024, 1, 3, tzinfo=UTC))
    account.store.removal.delete(account.id, gone["mailbox"], gone["uid"])
    audit = begin(account)
    account.add(with_attachment(), date=datetime(2024, 1, 4, tzinfo=UTC))
    wanted = [
        ("INBOX", raws["kept"]),
        ("Sent Mail", raws["gone"]),
        ("Drafts", raws["draft"]),
        ("INBOX", with_attachment()),
    ]
    assert bring_in(account, audit) == []
    assert copies(account, audit) == wanted
    assert bring_in(account, audit) == []
    assert copies(account, audit) == wanted
    noted = account.store.audits.get(audit)
    assert (noted["audited"], noted["import"]["copied"]) == (4, 3)
    metadata = [file["metadata"] for file in files(account)]
    assert sorted(m["draft"] for m in metadata if m.get("imported")) == [False, False, True]


def test_only_what_came_between_the_dates(ada: Account) -> None:
    for day in range(1, 6):
        ada.add(message(subject=str(day)), date=datetime(2024, 1, day, tzinfo=UTC))
    audit = begin(ada, datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 4, tzinfo=UTC))
    bring_in(ada, audit)
    assert [raw[40:].split(b"Subject: ")[1][:1] for _, raw in copies(ada, audit)] == [b"2", b"3", b"4"]


def test_copies_of_wildducks_are_not_made_again(ada: Account) -> None:
    """It captures what it stores under ids of its own; one of another content is another message."""
    rows = [
        ada.add(message(subject=s, more="Message-ID: <same@x>\r\n"), date=datetime(2024, 1, 1, tzinfo=UTC))
        for s in "ab"
    ]
    audit = begin(ada)
    raw, file_id = message(subject="a", more="Message-ID: <same@x>\r\n"), ObjectId()
    metadata = {"audit": audit, "date": rows[0]["idate"], "msgid": "<same@x>", "mailbox": rows[0]["mailbox"],
                "mailboxPath": "INBOX", "info": {}}  # fmt: skip
    ada.store.databases.gridfs["audit.files"].insert_one(
        {"_id": file_id, "length": len(raw), "metadata": metadata}
    )
    ada.store.databases.gridfs["audit.chunks"].insert_one({"files_id": file_id, "n": 0, "data": raw})
    assert bring_in(ada, audit) == []
    assert sorted(raw for _, raw in copies(ada, audit)) == sorted(
        message(subject=s, more="Message-ID: <same@x>\r\n") for s in "ab"
    )


def test_a_bad_message_keeps_none_of_the_others(account: Account) -> None:
    lost, bad = account.add(with_attachment(content="bG9zdA==")), account.add()
    account.add(message(subject="good"))
    main = account.store.databases.main
    file_id = next(iter(lost["mimeTree"]["attachmentMap"].values()))
    main["attachments.files"].delete_one({"_id": file_id})
    main["attachments.chunks"].delete_many({"files_id": file_id})
    main["messages"].update_one({"_id": bad["_id"]}, {"$unset": {"mimeTree.parsedHeader": ""}})
    audit = begin(account)
    assert set(bring_in(account, audit)) == {lost["_id"], bad["_id"]}
    assert [raw for _, raw in copies(account, audit)] == [message(subject="good")]
    assert account.store.audits.get(audit)["import"]["copied"] == 1


def test_attachments_of_old_have_object_ids(ada: Account) -> None:
    raw = with_attachment(content="b2xkb25l")
    row = ada.add(raw)
    main, old = ada.store.databases.main, ObjectId()
    ((name, file_id),) = row["mimeTree"]["attachmentMap"].items()
    file = main["attachments.files"].find_one({"_id": file_id})
    assert file
    main["attachments.files"].insert_one({**file, "_id": old})
    main["attachments.chunks"].update_many({"files_id": file_id}, {"$set": {"files_id": old}})
    main["attachments.files"].delete_one({"_id": file_id})
    main["messages"].update_one({"_id": row["_id"]}, {"$set": {f"mimeTree.attachmentMap.{name}": old}})
    audit = begin(ada)
    assert bring_in(ada, audit) == []
    assert copies(ada, audit) == [("INBOX", raw)]


def test_messages_of_old_have_no_thread(ada: Account) -> None:
    rows = [ada.add(message(subject=str(n))) for n in range(3)]
    ada.store.databases.main["messages"].update_one({"_id": rows[1]["_id"]}, {"$unset": {"thread": ""}})
    audit = begin(ada)
    bring_in(ada, audit)
    assert len(copies(ada, audit)) == 3


def test_a_crash_on_a_lone_server_leaves_nothing_that_is_not_mended(
    lone_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(lone_store)
    account.add(message(subject="x"))
    audit = begin(account)

    class Crash(BaseException):
        pass

    def broken(*_: Any) -> int:
        lone_store.databases.gridfs["audit.chunks"].insert_one(
            {"files_id": files(account)[0]["_id"], "n": 0, "data": b"h"}
        )
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("storage.audits.files.write_chunks", broken)
        with pytest.raises(Crash):
            bring_in(account, audit)
    assert len(files(account)) == 1
    assert copies(account, audit) == [], "what is unfinished is not shown"
    bring_in(account, audit)
    assert copies(account, audit) == [("INBOX", message(subject="x"))]


def test_an_audit_without_its_job_is_none(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise DatabaseError("no room left")

    with monkeypatch.context() as patch:
        patch.setattr(account.store.tasks, "add", broken)
        with pytest.raises(DatabaseError):
            begin(account)
    account.add()
    assert files(account) == []


def test_started_while_mail_comes_nothing_is_missed_and_nothing_is_twice(ada: Account) -> None:
    """Many store and delete while the audit begins and its job runs."""
    audits: list[ObjectId] = []

    def work(number: int) -> None:
        if number == 20:
            audits.append(begin(ada))
            assert bring_in(ada, audits[0]) == []
            return
        row = ada.add(message(subject=f"No {number}"))
        if number % 3 == 0:
            ada.store.removal.delete(ada.id, row["mailbox"], row["uid"])

    assert [r for r in together(60, work) if r is not None] == []
    found = [raw.split(b"Subject: ")[1].split(b"\r\n")[0] for _, raw in copies(ada, audits[0])]
    assert sorted(found) == sorted(b"No %d" % number for number in range(60) if number != 20)
    assert ada.store.audits.get(audits[0])["audited"] == 59


def test_when_it_expires_all_goes_and_nothing_comes_after(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begin(account)
    audit = begin(account)
    for number in range(5):
        account.add(message(subject=str(number)))
    account.store.databases.main["audits"].update_one({"_id": audit}, {"$set": {"expires": utc_now()}})
    assert account.store.audits.expired(10) == [audit]
    assert not account.store.audits.close(audit), "not while there are copies"
    assert [account.store.audit_files.delete_some(audit, 3) for _ in range(3)] == [3, 2, 0]
    assert account.store.audits.close(audit)
    noted = account.store.audits.get(audit)
    assert (noted["deleted"], noted["audited"]) == (True, 5)
    assert noted["deletedTime"] <= utc_now()
    assert account.store.audits.expired(10) == []
    account.add()
    with pytest.raises(AuditOver):
        bring_in(account, audit)
    assert {file["metadata"]["audit"] for file in files(account)} == {kept}
    chunks = account.store.databases.gridfs["audit.chunks"].distinct("files_id")
    assert set(chunks) == {file["_id"] for file in files(account)}


def test_everything_is_found_by_an_index(ada: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        ada.add(message(subject=str(number)))
    audit = begin(ada)
    work = ada.store.audit_import(ada.store.audits.get(audit))
    threads = work.threads("messages", None)
    for _ in range(30):
        Account(ada.store).add()
    found = plans(ada.store, lambda: work.threads("messages", threads[9]))
    assert [indexes(plan) for plan in found] == [{"user_messages_by_thread"}]
    assert examined(found[0]) == 0, "from the index alone"
    some = threads[:3]
    found = plans(ada.store, lambda: list(work.batches("messages", some)))
    assert [(indexes(plan), examined(plan)) for plan in found] == [({"user_messages_by_thread"}, 3)]
    bring_in(ada, audit)
    monkeypatch.setattr("storage.audits.files._PAGE", 5)
    found = plans(ada.store, lambda: copies(ada, audit))
    pages = [examined(plan) for plan in found if indexes(plan) == {"audit_files_export"}]
    assert pages == [5] * 6 + [0]
    assert {frozenset(indexes(plan)) for plan in found} == {
        frozenset({"audit_files_export"}),
        frozenset({"files_id_1_n_1"}),
    }
    for plan in plans(ada.store, lambda: ada.store.audits.expired(10)):
        assert indexes(plan) == {"expire_time"}


def test_without_an_audit_storing_looks_into_one_index(ada: Account) -> None:
    row = ada.add()
    found = plans(ada.store, lambda: ada.store.audits.capture(row, b"", None))
    assert [(indexes(plan), examined(plan)) for plan in found] == [({"user_expire_time"}, 0)]

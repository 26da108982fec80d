"""Reading: pages, single messages, sources and attachments, each through an index."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Binary, ObjectId

from mail.mime_tree import normalize
from problems import Problem
from storage.base.paging import Page, Paging
from storage.messages.messages import OF_ATTACHMENT, OF_SOURCE, SHOWN, Listing
from storage.messages.uid_set import UidSet
from storage.search.condition import condition
from storage.search.message_search import search_order
from storage.store import Store
from tests.rows import Row
from tests.storage.conftest import Account, message, with_attachment
from tests.storage.plans import explained, reads, values

START = datetime(2026, 1, 1, tzinfo=UTC)


def fill(ada: Account, count: int, **options: Any) -> ObjectId:
    """Messages by turns seen and unseen, two on each date; the id of INBOX."""
    for number in range(count):
        date, flags = START + timedelta(days=number // 2), ["\\Seen"] if number % 2 else []
        ada.add(message(f"no {number}"), date=date, flags=flags, **options)
    return ObjectId(ada.box()["_id"])


def page(
    ada: Account, mailbox: ObjectId, paging: Paging, direction: int = -1, **options: Any
) -> tuple[Page[Any], int]:
    _, found, total = ada.store.messages.page(ada.id, mailbox, Listing(paging, direction, **options))
    return found, total


def uids(found: Page[Any]) -> list[int]:
    return [row["uid"] for row in found.rows]


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("unseen", [None, True, False])
def test_pages_there_and_back(ada: Account, direction: int, unseen: bool | None) -> None:
    inbox = fill(ada, 9)
    everything = [n for n in range(1, 10) if unseen is None or (n % 2 == 1) == unseen][::direction]
    options: dict[str, Any] = {"direction": direction, "unseen": unseen}
    found, total = page(ada, inbox, Paging(2), **options)
    assert total == len(everything)
    pages = [found]
    while found.next_cursor:
        found, _ = page(ada, inbox, Paging(2, next=str(found.next_cursor)), **options)
        pages.append(found)
    assert [uid for one in pages for uid in uids(one)] == everything
    assert [one.page for one in pages] == list(range(1, len(pages) + 1))
    for expected in reversed(pages[:-1]):
        found, _ = page(ada, inbox, Paging(2, previous=str(found.previous_cursor)), **options)
        assert uids(found) == uids(expected)
    assert found.previous_cursor is False


def test_a_mailbox_without_messages(ada: Account) -> None:
    box, found, total = ada.store.messages.page(ada.id, ada.box("Junk")["_id"], Listing(Paging(), -1))
    assert (box["specialUse"], found.rows, found.next_cursor, found.previous_cursor, total) == (
        "\\Junk",
        [],
        False,
        False,
        0,
    )


def test_only_what_is_listed_is_read(ada: Account) -> None:
    inbox = fill(ada, 1)
    (row,) = page(ada, inbox, Paging())[0].rows
    assert not {"text", "html", "headers", "envelope", "bodystructure"} & set(row)
    assert set(row["mimeTree"]) <= {"parsedHeader", "attachmentMap"}


def test_the_total_is_kept_unless_wildduck_changed_something(ada: Account) -> None:
    inbox = fill(ada, 4)
    main = ada.store.databases.main
    assert page(ada, inbox, Paging(), unseen=True)[1] == 2
    main["messages"].delete_one({"mailbox": inbox, "uid": 1})
    main["mailboxes"].update_one({"_id": inbox}, {"$inc": {"modifyIndex": 1}})
    assert page(ada, inbox, Paging())[1] == 3
    assert page(ada, inbox, Paging(), unseen=True)[1] == 1


@pytest.mark.parametrize(("direction", "expected"), [(-1, [5, 4, 2]), (1, [1, 3, 5])])
def test_one_row_for_each_thread(ada: Account, direction: int, expected: list[int]) -> None:
    for number, thread in enumerate("aabbc"):
        raw = message(f"Plan {thread}", more=f"Message-ID: <{number}@x>\r\nReferences: <{thread}@x>\r\n")
        ada.add(raw, date=START + timedelta(days=number))
    inbox = ada.box()["_id"]
    first, total = page(ada, inbox, Paging(2), direction, collapse_threads=True)
    rest, _ = page(ada, inbox, Paging(2, next=str(first.next_cursor)), direction, collapse_threads=True)
    assert total == 3
    assert uids(first) + uids(rest) == expected
    assert rest.next_cursor is False


def test_threads_are_counted_in_all_mailboxes(ada: Account) -> None:
    raw = message("Plan", more="References: <a@x>\r\n")
    thread = [ada.add(raw), ada.add(raw, path="Trash")][0]["thread"]
    other = ada.add()["thread"]
    assert ada.store.messages.thread_counts(ada.id, [thread, other]) == {thread: 2, other: 1}


def test_not_those_of_others(ada: Account, store: Store) -> None:
    inbox, other = fill(ada, 1), Account(store)
    with pytest.raises(Problem, match="MessageNotFound"):
        store.messages.find(other.id, inbox, 1)
    with pytest.raises(Problem, match="NoSuchMailbox"):
        page(other, inbox, Paging())
    assert store.messages.thread_counts(other.id, [ada.all("messages")[0]["thread"]]) == {}


SOURCES = {
    "plain": message(),
    "attachment": with_attachment(content="aGVsbG8gd29ybGQ="),
    "bare LF": message().replace(b"\r\n", b"\n"),
    "epilogue": with_attachment() + b"after the end",
    "unterminated": with_attachment().removesuffix(b"--b--\r\n"),
    "nothing": b"",
}


@pytest.mark.parametrize("raw", SOURCES.values(), ids=SOURCES)
def test_the_source_comes_back_byte_for_byte(ada: Account, raw: bytes) -> None:
    mailbox = ada.add(raw)["mailbox"]
    found = ada.store.messages.find(ada.id, mailbox, 1, OF_SOURCE)
    assert b"".join(ada.store.messages.source(found)) == normalize(raw)


def test_a_large_source_comes_in_pieces(ada: Account) -> None:
    from base64 import encodebytes

    raw = with_attachment(content=encodebytes(bytes(3_000_000)).decode().strip().replace("\n", "\r\n"))
    ada.add(raw)
    found = ada.store.messages.find(ada.id, ada.box()["_id"], 1, OF_SOURCE)
    pieces = list(ada.store.messages.source(found))
    assert b"".join(pieces) == raw
    assert max(map(len, pieces)) < 600_000


def test_attachments(ada: Account) -> None:
    ada.add(with_attachment(content="aGVsbG8="))
    found = ada.store.messages.find(ada.id, ada.box()["_id"], 1, OF_ATTACHMENT)
    kind, disposition, chunks = ada.store.messages.attachment(found, "ATT00001")
    assert (kind, disposition, b"".join(chunks)) == (
        "application/pdf",
        "attachment; filename=a.pdf",
        b"hello",
    )
    with pytest.raises(Problem, match="AttachmentNotFound"):
        ada.store.messages.attachment(found, "ATT00002")


def test_an_attachment_whose_file_is_lost(ada: Account) -> None:
    stored = ada.add(with_attachment(content=ObjectId().binary.hex()))
    file_id = Binary(stored["mimeTree"]["attachmentMap"]["ATT00001"])
    ada.store.databases.gridfs["attachments.files"].delete_one({"_id": file_id})
    with pytest.raises(Problem, match="FileNotFound"):
        ada.store.messages.attachment(stored, "ATT00001")
    assert b"See file" in b"".join(ada.store.messages.source(stored)), "the rest of the source is still there"


def test_old_documents_have_no_map_of_attachments(ada: Account) -> None:
    stored = ada.add()
    stored["mimeTree"].pop("attachmentMap")
    assert b"".join(ada.store.messages.source(stored)) == message()
    with pytest.raises(Problem, match="AttachmentNotFound"):
        ada.store.messages.attachment(stored, "ATT00001")


@pytest.fixture
def explain(store: Store) -> Callable[[Callable[[], Any]], list[Row]]:
    """`explain(work)`: the plans of all reads that `work` makes, with those of the pipelines that they join in."""

    def plan(command: Row) -> Row:
        joined = [explained(store, join) for join in joins(command)]
        return {**explained(store, command), "joined": joined}

    return lambda work: [plan(command) for command in reads(store, work)]


def joins(command: Row) -> list[Row]:
    """The pipelines that a command joins in, each as a command of its own: `explain` does not show their indexes."""
    found = [stage["$lookup"] for stage in command.get("pipeline", ()) if "$lookup" in stage]
    alone = [join for join in found if "localField" not in join]
    return [{"aggregate": join["from"], "pipeline": join["pipeline"], "cursor": {}} for join in alone]


def stages_of(plan: Row) -> set[str]:
    return {str(stage) for stage in values(plan, "stage")}


def examined(plan: Row) -> int:
    return sum(values(plan, "totalDocsExamined"), 0)


def assert_indexed(plan: Row, most: int) -> None:
    assert "COLLSCAN" not in stages_of(plan), plan
    assert all(int(scans) == 0 for scans in values(plan, "collectionScans")), plan
    assert "IXSCAN" in stages_of(plan) or "IDHACK" in stages_of(plan) or list(values(plan, "indexesUsed")), (
        plan
    )
    assert examined(plan) <= most, plan


def test_a_page_reads_as_many_messages_as_it_shows(ada: Account, explain: Callable[..., list[Row]]) -> None:
    inbox = fill(ada, 30)
    plans = explain(lambda: page(ada, inbox, Paging(3)))
    assert len(plans) == 1, "one query: rows, mailbox and total"
    assert_indexed(plans[0], most=5)
    (rows,) = plans[0]["joined"]
    assert_indexed(rows, most=4)
    assert set(values(list(values(rows, "winningPlan")), "indexName")) == {"by_idate_reverse_uid"}
    cursor = str(page(ada, inbox, Paging(3))[0].next_cursor)
    (plan,) = explain(lambda: page(ada, inbox, Paging(3, next=cursor)))
    assert_indexed(plan, most=8)


def test_one_message_is_one_key(ada: Account, explain: Callable[..., list[Row]]) -> None:
    inbox = fill(ada, 10)
    (plan,) = explain(lambda: ada.store.messages.find(ada.id, inbox, 5, SHOWN))
    assert_indexed(plan, most=1)


def test_searches_stay_in_the_mailbox(ada: Account, store: Store, explain: Callable[..., list[Row]]) -> None:
    fill(Account(store), 30)
    inbox = fill(ada, 6)
    fill(ada, 6, path="Trash")
    for fields in (
        {"from": "grace"},
        {"subject": "no 3"},
        {"unseen": True},
        {"query": "Hello"},
        {"minSize": 1},
    ):
        wanted = condition(store.message_search.places(ada.id), ada.id, {"mailbox": inbox, **fields})
        plans = explain(
            lambda wanted=wanted: store.message_search.search(ada.id, wanted, Paging(), search_order(None))
        )
        assert plans
        for plan in plans:
            assert_indexed(plan, most=12)


def test_counting_and_measuring_read_no_message(ada: Account, explain: Callable[..., list[Row]]) -> None:
    inbox = fill(ada, 10)
    ada.store.mailbox_counts.distrust(inbox)
    boxes = ada.store.mailboxes.of_user(ada.id)
    for work in (
        lambda: ada.store.mailbox_counts.of(boxes),
        lambda: ada.store.mailbox_counts.sizes([inbox]),
        lambda: ada.store.messages.thread_counts(ada.id, [ObjectId()]),
    ):
        (plan,) = explain(work)
        assert_indexed(plan, most=0)


def test_changes_find_their_messages_by_index(ada: Account, explain: Callable[..., list[Row]]) -> None:
    inbox = fill(ada, 10)
    plans = explain(
        lambda: ada.store.message_changes.update(ada.id, inbox, UidSet.parse("2,4:5"), {"seen": True})
    )
    assert plans
    for plan in plans:
        assert_indexed(plan, most=3)


def test_a_search_by_sender_reads_what_it_finds(ada: Account, explain: Callable[..., list[Row]]) -> None:
    fill(ada, 60)
    ada.add(message("One of many", sender="Zoë Unusual <zoe@rare.example>"))
    for fields in ({"from": "unusual"}, {"from": "rare.ex"}, {"q": "from:nusua subject:many"}):
        plans = explain(
            lambda fields=fields: ada.store.message_search.search(
                ada.id,
                condition(ada.store.message_search.places(ada.id), ada.id, fields),
                Paging(),
                search_order(None),
            )
        )
        searches = [p for p in plans if "mallard_search" in set(values(p, "indexName"))]
        assert len(searches) == 2, "the page and the count"
        for plan in searches:
            assert_indexed(plan, most=3)

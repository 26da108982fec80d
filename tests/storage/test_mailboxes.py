"""Mailboxes: their numbers, their counts, what may be done to them."""

from __future__ import annotations

import time

import pytest
from bson import ObjectId

from problems import Problem
from storage.mailboxes.counts import has_counts
from storage.store import Store
from tests.storage.conftest import Account, together

MONTH = 2_592_000_000


@pytest.mark.parametrize(("retention", "short"), [(0, MONTH), (1000, 1000), (2 * MONTH, MONTH)])
def test_an_account_starts_with_five(store: Store, retention: int, short: int) -> None:
    user = ObjectId()
    store.mailboxes.create_defaults(user, "de", {"trash": "Weg"}, retention)
    boxes = {box["path"]: box for box in store.mailboxes.of_user(user)}
    assert {path: box["specialUse"] for path, box in boxes.items()} == {
        "INBOX": None, "Gesendet": "\\Sent", "Weg": "\\Trash", "Entwürfe": "\\Drafts", "Spam": "\\Junk",
    }  # fmt: skip
    assert len({box["uidValidity"] for box in boxes.values()}) == 1
    for path, box in boxes.items():
        assert box["retention"] == (short if path in ("Weg", "Spam") else retention)
        assert (box["uidNext"], box["modifyIndex"], box["subscribed"], box["flags"]) == (1, 1, True, [])
        assert abs(box["uidValidity"] - time.time()) < 60


def test_found_by_id_path_and_use(ada: Account) -> None:
    boxes, inbox = ada.store.mailboxes, ada.box("/inbox")
    assert inbox["path"] == "INBOX"
    assert boxes.get(ada.id, inbox["_id"]) == inbox
    assert boxes.by_special_use(ada.id, "\\Junk")["path"] == "Junk"


def test_what_belongs_to_others_is_not_there(ada: Account, store: Store) -> None:
    other = Account(store)
    for attempt in (
        lambda: store.mailboxes.get(other.id, ada.box()["_id"]),
        lambda: store.mailboxes.by_path(other.id, "Nowhere"),
        lambda: store.mailboxes.by_special_use(other.id, "\\Archive"),
    ):
        with pytest.raises(Problem, match="NoSuchMailbox"):
            attempt()


def test_created_with_a_journal_entry(ada: Account) -> None:
    made = ada.store.mailboxes.create(ada.id, "/inbox/Work/", {"retention": 5, "hidden": True}, 1500)
    box = ada.store.mailboxes.get(ada.id, made)
    assert (box["path"], box["retention"], box["hidden"], box["retentionCounter"]) == (
        "INBOX/Work",
        5,
        True,
        0,
    )
    assert "specialUse" not in box
    entry = ada.all("journal", mailbox=made)[0]
    assert (entry["command"], entry["path"], entry["modseq"]) == ("CREATE", "INBOX/Work", 1)


def test_one_path_once_whoever_comes_first(ada: Account) -> None:
    results = together(16, lambda _: ada.store.mailboxes.create(ada.id, "Same", {}, 1500))
    assert sum(isinstance(result, ObjectId) for result in results) == 1
    assert {r.code for r in results if isinstance(r, Problem)} == {"MailboxExistsError"}
    assert len(ada.all("journal", command="CREATE")) == 1


def test_the_limit_holds_for_many_at_once(ada: Account) -> None:
    """WildDuck lets one more than the setting in; nobody gets past that by hurrying."""
    results = together(32, lambda n: ada.store.mailboxes.create(ada.id, f"box {n}", {}, 9))
    assert len(ada.store.mailboxes.of_user(ada.id)) <= 10
    assert {r.code for r in results if isinstance(r, Problem)} == {"DisallowedMailboxMethod"}


def test_the_limit_is_reached_one_by_one(ada: Account) -> None:
    for number in range(3):
        ada.store.mailboxes.create(ada.id, f"box {number}", {}, 7)
    with pytest.raises(Problem, match="DisallowedMailboxMethod"):
        ada.store.mailboxes.create(ada.id, "one too many", {}, 7)
    with pytest.raises(Problem, match="MailboxExistsError"):
        ada.store.mailboxes.create(ada.id, "box 1", {}, 7)
    assert len(ada.store.mailboxes.of_user(ada.id)) == 8


def test_renamed_and_set_in_one_step(ada: Account) -> None:
    made = ada.store.mailboxes.create(ada.id, "A", {}, 1500)
    ada.store.mailboxes.create(ada.id, "A/B", {}, 1500)
    ada.add(path="A")
    box = ada.store.mailboxes.get(ada.id, made)
    assert ada.store.mailboxes.update(box, "/inbox/C", {"subscribed": False, "retention": 9}) == 1
    after = ada.store.mailboxes.get(ada.id, made)
    assert (after["path"], after["subscribed"], after["retention"]) == ("INBOX/C", False, 9)
    assert (after["retentionCounter"], after["uidValidity"]) == (1, box["uidValidity"])
    assert ada.box("A/B"), "mailboxes below keep their path"
    entry = ada.all("journal", command="RENAME")[0]
    assert (entry["path"], entry["modseq"]) == ("INBOX/C", box["modifyIndex"])


@pytest.mark.parametrize(
    ("stored", "wanted", "changed"), [(0, 0, False), (None, 0, False), (0, 5, True), (5, 0, True)]
)
def test_whether_the_retention_changed(ada: Account, stored: int | None, wanted: int, changed: bool) -> None:
    made = ada.store.mailboxes.create(ada.id, "A", {"retention": stored}, 1500)
    box = ada.store.mailboxes.get(ada.id, made)
    assert ada.store.mailboxes.update(box, None, {"retention": wanted}) == (1 if changed else None)
    assert ada.store.mailboxes.get(ada.id, made)["retentionCounter"] == int(changed)


def test_no_rename_onto_another(ada: Account) -> None:
    ada.store.mailboxes.create(ada.id, "A", {}, 1500)
    with pytest.raises(Problem, match="MailboxExistsError"):
        ada.store.mailboxes.update(ada.box("A"), "Inbox", {})
    assert ada.box("A")
    assert not ada.all("journal", command="RENAME")


def test_no_rename_of_inbox_and_hidden_ones(ada: Account) -> None:
    ada.store.mailboxes.create(ada.id, "Secret", {"hidden": True}, 1500)
    for path in ("INBOX", "Secret"):
        with pytest.raises(Problem, match="DisallowedMailboxMethod"):
            ada.store.mailboxes.update(ada.box(path), "New", {"hidden": False})
    assert ada.store.mailboxes.update(ada.box("INBOX"), "inbox", {}) is None, "the same path is no rename"


def test_an_update_of_one_just_deleted_is_told(ada: Account) -> None:
    ada.store.mailboxes.create(ada.id, "A", {}, 1500)
    box = ada.box("A")
    ada.store.mailboxes.delete(box)
    with pytest.raises(Problem, match="NoSuchMailbox"):
        ada.store.mailboxes.update(box, "B", {})
    assert not ada.all("journal", command="RENAME")


@pytest.mark.parametrize("path", ["INBOX", "Sent Mail", "Trash", "Drafts", "Junk", "Secret"])
def test_which_must_stay(ada: Account, path: str) -> None:
    ada.store.mailboxes.create(ada.id, "Secret", {"hidden": True}, 1500)
    with pytest.raises(Problem, match="DisallowedMailboxMethod"):
        ada.store.mailboxes.delete(ada.box(path))
    assert ada.box(path)


def test_deleted_with_the_filters_that_file_into_it(ada: Account) -> None:
    made = ada.store.mailboxes.create(ada.id, "A", {}, 1500)
    filters = ada.store.databases.main["filters"]
    for mailbox in (made, ada.box()["_id"]):
        filters.insert_one({"user": ada.id, "action": {"mailbox": mailbox}})
    ada.store.mailboxes.delete(ada.box("A"))
    assert [row["action"]["mailbox"] for row in ada.all("filters")] == [ada.box()["_id"]]
    assert ada.all("journal", mailbox=made)[-1]["command"] == "DELETE"


def test_numbers_are_taken_in_one_step(ada: Account) -> None:
    inbox = ada.box()["_id"]
    taken = together(48, lambda _: ada.store.mailboxes.allocate(inbox, uids=2, total=1))
    assert sorted(box["uidNext"] for box in taken) == list(range(1, 97, 2))
    assert sorted(box["modifyIndex"] for box in taken) == list(range(1, 49))
    with pytest.raises(Problem, match="NoSuchMailbox"):
        ada.store.mailboxes.allocate(ObjectId(), uids=1)


def test_counts_are_kept_not_counted(ada: Account) -> None:
    ada.add()
    ada.add(flags=["\\Seen"])
    box = ada.box()
    assert has_counts(box, ada.store.clock())
    assert ada.store.mailbox_counts.of([box]) == {box["_id"]: (2, 1)}


def test_what_wildduck_changed_beside_is_counted_again_and_kept(ada: Account) -> None:
    """WildDuck moves `modifyIndex` and knows nothing of `counted`."""
    stored = ada.add()
    main = ada.store.databases.main
    main["messages"].insert_one({**stored, "_id": ObjectId(), "uid": 2, "unseen": False})
    main["mailboxes"].update_one({"_id": stored["mailbox"]}, {"$inc": {"uidNext": 1, "modifyIndex": 1}})
    boxes = ada.store.mailboxes.of_user(ada.id)
    assert not has_counts(ada.box(), ada.store.clock())
    assert ada.store.mailbox_counts.of(boxes)[stored["mailbox"]] == (2, 1)
    assert has_counts(ada.box(), ada.store.clock())
    ada.add()
    assert ada.store.mailbox_counts.of([ada.box()])[stored["mailbox"]] == (3, 2)


def test_a_count_that_was_overtaken_is_not_kept(ada: Account) -> None:
    ada.store.mailbox_counts.distrust(ada.box()["_id"])
    old = ada.box()
    ada.add()
    assert ada.store.mailbox_counts.of([old])[old["_id"]] == (1, 1)
    assert not has_counts(ada.box(), ada.store.clock())


def test_mailboxes_that_wildduck_made_have_no_counts_that_could_be_taken_for_right(ada: Account) -> None:
    ada.store.mailbox_counts.distrust(ada.box()["_id"])
    main = ada.store.databases.main
    main["mailboxes"].update_one({"_id": ada.box()["_id"]}, {"$set": {"modifyIndex": 0}})
    ada.add()
    assert ada.box()["counted"]["modseq"] == ada.box()["modifyIndex"] == 1
    assert not has_counts(ada.box(), ada.store.clock()), "equal by accident"


def test_sizes(ada: Account) -> None:
    sizes = [ada.add()["size"], ada.add()["size"]]
    boxes = [box["_id"] for box in ada.store.mailboxes.of_user(ada.id)]
    assert ada.store.mailbox_counts.sizes(boxes) == {ada.box()["_id"]: sum(sizes)}

"""getMailboxes, createMailbox, getMailbox, updateMailbox, deleteMailbox."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from handlers.call import Call
from handlers.mailboxes import create_mailbox
from jobs.runner import Runner
from problems import Problem
from storage.store import Store
from tests.rows import Row

MONTH = 2_592_000_000
Make = Callable[..., str]


@pytest.fixture
def make(client: Any, ada: str) -> Make:
    """`make("Work")`: makes a mailbox, gives its path in the API."""

    def create(path: str, **fields: Any) -> str:
        answer = client.post(f"/users/{ada}/mailboxes", json={"path": path, **fields})
        assert answer.status_code == 200, answer.json
        return f"/users/{ada}/mailboxes/{answer.json['id']}"

    return create


def on_disk(store: Store, path: str) -> Row:
    found = store.databases.main["mailboxes"].find_one({"_id": ObjectId(path.rpartition("/")[2])})
    assert found
    return dict(found)


def journal(store: Store) -> list[Row]:
    rows = store.databases.main["journal"].find().sort("_id", 1)
    return [{k: v for k, v in row.items() if k not in ("_id", "created")} for row in rows]


def failure(answer: Any) -> tuple[int, str]:
    assert answer.json["error"] == answer.json["message"]
    return answer.status_code, answer.json["code"]


def details(answer: Any) -> set[str]:
    assert failure(answer) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def names(answer: Any) -> list[str]:
    return [row["path"] for row in answer.json["results"]]


def test_what_a_mailbox_shows(client: Any, make: Make, put: Callable[..., int]) -> None:
    path = make("Work/2026", retention=MONTH)
    put(mailbox="Work/2026", unseen=True)
    put(mailbox="Work/2026")
    shown = client.get(path).json
    assert shown == {
        "success": True, "id": path[-24:], "name": "2026", "path": "Work/2026", "specialUse": None,
        "modifyIndex": 3, "subscribed": True, "hidden": False, "encryptMessages": False, "retention": MONTH,
        "total": 2, "unseen": 1,
    }  # fmt: skip
    listed = client.get(f"{path[:-25]}?sizes=true").json["results"]
    size = sum(row["size"] for row in client.get(f"{path}/messages").json["results"])
    assert next(row for row in listed if row["path"] == "Work/2026") == {
        **{name: value for name, value in shown.items() if name != "success"},
        "size": size,
    }


def test_the_order_of_a_listing(client: Any, ada: str, make: Make) -> None:
    for path in ("b", "B", "a1", "Ä", "_", "9", "INBOX/z", "a"):
        make(path)
    client.put(make("A0"), json={"subscribed": False})
    assert names(client.get(f"/users/{ada}/mailboxes")) == [
        "INBOX", "INBOX/z", "_", "9", "a", "Ä", "a1", "b", "B", "Drafts", "Junk", "Sent Mail", "Trash", "A0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "hidden", "ordinary"),
    [("", False, True), ("showHidden=1", True, True), ("specialUse=yes", False, False)],
)
def test_listing_filters(client: Any, ada: str, make: Make, query: str, hidden: bool, ordinary: bool) -> None:
    make("Hidden", hidden=True)
    make("Ordinary")
    listed = names(client.get(f"/users/{ada}/mailboxes?{query}"))
    assert ("Hidden" in listed, "Ordinary" in listed) == (hidden, ordinary)
    assert {"INBOX", "Drafts", "Junk", "Sent Mail", "Trash"} <= set(listed)


def test_what_is_written_of_a_new_one(client: Any, store: Store, ada: str, make: Make) -> None:
    path = make("/inbox/Work", hidden=True, encryptMessages=True)
    found = on_disk(store, path)
    assert found.pop("uidValidity") > 1_700_000_000
    found.pop("counted")
    assert found == {
        "_id": ObjectId(path[-24:]), "user": ObjectId(ada), "path": "INBOX/Work", "uidNext": 1, "modifyIndex": 1,
        "subscribed": True, "flags": [], "retention": 0, "retentionCounter": 0, "hidden": True,
        "encryptMessages": True,
    }  # fmt: skip
    assert journal(store) == [
        {
            "user": ObjectId(ada),
            "mailbox": found["_id"],
            "command": "CREATE",
            "path": "INBOX/Work",
            "modseq": 1,
        }
    ]


@pytest.mark.parametrize(
    ("given", "kept"), [({}, MONTH), ({"retention": 0}, 0), ({"retention": "5e3"}, 5000)]
)
def test_the_retention_of_a_new_one(
    client: Any, store: Store, make_user: Callable[..., ObjectId], given: Row, kept: int
) -> None:
    user = make_user("bob", retention=MONTH)
    answer = client.post(f"/users/{user}/mailboxes", json={"path": "Work", **given})
    assert on_disk(store, answer.json["id"])["retention"] == kept


BAD_PATHS = ["", "/", "a//b", "a/", 5, None, ["a"], {"$ne": ""}, "a\0b", "a\r\nb", "x" * 65_664]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_bad_paths_name_the_field(client: Any, ada: str, make: Make, path: Any) -> None:
    other = make("Work")
    assert details(client.post(f"/users/{ada}/mailboxes", json={"path": path})) == {"path"}
    assert details(client.put(other, json={"path": path})) == {"path"}
    assert len(client.get(f"/users/{ada}/mailboxes").json["results"]) == 6


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"hidden": "perhaps", "retention": -1, "encryptMessages": None, "foo": 1},
         {"hidden", "retention", "encryptMessages", "foo"}),
        ({"retention": 1.5}, {"retention"}),
        ({"retention": 2**53}, {"retention"}),
        ({"retention": {"$gt": 0}}, {"retention"}),
        ({"subscribed.$x": True}, {"subscribed.$x"}),
        ({"specialUse": "\\Sent"}, {"specialUse"}),
        ({"ip": "not an address"}, {"ip"}),
    ],
)  # fmt: skip
def test_bad_input_names_the_fields(
    client: Any, ada: str, make: Make, fields: Row, at_fault: set[str]
) -> None:
    other = make("Work")
    assert details(client.post(f"/users/{ada}/mailboxes", json={"path": "New", **fields})) == at_fault
    assert details(client.put(other, json=fields)) == at_fault
    assert client.get(other).json["modifyIndex"] == 1


def test_the_path_is_required(client: Any, ada: str) -> None:
    assert details(client.post(f"/users/{ada}/mailboxes", json={})) == {"path"}
    assert details(client.get(f"/users/{ada}/mailboxes/resolve")) == {"path"}


@pytest.mark.parametrize("path", ["/".join("a" * 129), "x" * 513])
def test_paths_too_deep_or_too_long(client: Any, ada: str, make: Make, path: str) -> None:
    other = make("Work")
    refused = (400, "InputValidationError")
    assert failure(client.post(f"/users/{ada}/mailboxes", json={"path": path})) == refused
    assert failure(client.put(other, json={"path": path})) == refused


@pytest.mark.parametrize("path", ["INBOX", "/inbox", "Trash", "/Trash", "Work"])
def test_a_path_is_taken_once(client: Any, ada: str, make: Make, path: str) -> None:
    make("Work")
    other = make("Other")
    taken = (400, "MailboxExistsError")
    assert failure(client.post(f"/users/{ada}/mailboxes", json={"path": path})) == taken
    assert failure(client.put(other, json={"path": path})) == taken


def test_sixteen_at_once_make_one(store: Store, ada: str) -> None:
    def one(_: int) -> str:
        try:
            create_mailbox(call=Call(store=store), user=ObjectId(ada), body={"path": "Work"})
        except Problem as problem:
            return problem.code
        return "made"

    with ThreadPoolExecutor(16) as pool:
        outcomes = sorted(pool.map(one, range(16)))
    assert outcomes == ["MailboxExistsError"] * 15 + ["made"]


def test_the_limit(client: Any, store: Store, ada: str, make: Make) -> None:
    store.settings.put("const:max:mailboxes", 6)
    for path in ("a", "b"):
        make(path)
    refused = client.post(f"/users/{ada}/mailboxes", json={"path": "c"})
    assert failure(refused) == (400, "DisallowedMailboxMethod")


@pytest.mark.parametrize("path", ["inbox", "INBOX", "/InBox", "Work/2026", "/Work/2026"])
def test_resolved_by_path(client: Any, ada: str, make: Make, path: str) -> None:
    made = make("Work/2026", hidden=True)
    found = client.get(f"/users/{ada}/mailboxes/resolve", query_string={"path": path}).json
    assert found["path"] == ("Work/2026" if "Work" in path else "INBOX")
    assert found["id"] == (made[-24:] if "Work" in path else found["id"])


@pytest.mark.parametrize("path", ["work/2026", "Work", "Nowhere", "$where", "{}"])
def test_paths_that_lead_nowhere(client: Any, ada: str, make: Make, path: str) -> None:
    make("Work/2026")
    answer = client.get(f"/users/{ada}/mailboxes/resolve", query_string={"path": path})
    assert failure(answer) == (404, "NoSuchMailbox")


def test_a_rename_takes_no_others_along(client: Any, store: Store, make: Make) -> None:
    work, below = make("Work"), make("Work/2026")
    before = on_disk(store, work)
    assert client.put(work, json={"path": "/Done"}).json == {"success": True}
    after = on_disk(store, work)
    assert after == {**before, "path": "Done"}
    assert client.get(below).json["path"] == "Work/2026"
    last = journal(store)[-1]
    assert (last["command"], last["path"], last["modseq"]) == ("RENAME", "Done", before["modifyIndex"])


def test_settings_are_changed_without_a_word_in_the_journal(client: Any, store: Store, make: Make) -> None:
    work = make("Work")
    before, told = on_disk(store, work), len(journal(store))
    change = {"subscribed": "no", "hidden": 1, "encryptMessages": True, "retention": MONTH, "path": "Work"}
    assert client.put(work, json={**change, "sess": "s", "ip": "127.0.0.1"}).json == {"success": True}
    assert on_disk(store, work) == {
        **before, "subscribed": False, "hidden": True, "encryptMessages": True, "retention": MONTH,
        "retentionCounter": 1,
    }  # fmt: skip
    assert len(journal(store)) == told


@pytest.mark.parametrize("body", [{}, {"sess": "s", "ip": "127.0.0.1"}, {"retention": ""}, {"hidden": ""}])
def test_nothing_to_change(client: Any, store: Store, make: Make, body: Row) -> None:
    work = make("Work")
    before = on_disk(store, work)
    assert failure(client.put(work, json=body)) == (400, "NoUpdates")
    assert on_disk(store, work) == before


def test_a_new_retention_dates_what_is_there(
    client: Any, store: Store, make: Make, put: Callable[..., int]
) -> None:
    work = make("Work")
    uid = put(mailbox="Work")
    client.put(work, json={"retention": MONTH})
    assert "expires" not in client.get(f"{work}/messages/{uid}").json, "the request does not wait for it"
    assert Runner(store, sweeps=False).run_one()
    assert client.get(f"{work}/messages/{uid}").json["expires"]
    client.put(work, json={"retention": 8_640_000_000_000_000})
    assert Runner(store, sweeps=False).run_one()
    assert client.get(f"{work}/messages/{uid}").json["expires"].startswith("9999-")
    client.put(work, json={"retention": 0})
    client.put(work, json={"retention": 0, "hidden": False})
    assert Runner(store, sweeps=False).run_one()
    assert store.tasks.all() == []
    assert "expires" not in client.get(f"{work}/messages/{uid}").json
    assert "retention" not in client.get(work).json


@pytest.mark.parametrize(
    ("name", "renamed", "deleted"),
    [("INBOX", False, False), ("Trash", True, False), ("Hidden", False, False), ("Work", True, True)],
)
def test_what_is_protected(
    client: Any, make: Make, box: Callable[[str], str], name: str, renamed: bool, deleted: bool
) -> None:
    make("Work")
    make("Hidden", hidden=True)
    path = box(name)
    answers = [client.put(path, json={"path": "New", "hidden": False}), client.delete(path)]
    for answer, allowed in zip(answers, (renamed, deleted), strict=True):
        assert (failure(answer) if not allowed else answer.json) == (
            {"success": True} if allowed else (400, "DisallowedMailboxMethod")
        )


def test_deleted_with_messages_and_filters(
    client: Any, store: Store, make: Make, put: Callable[..., int]
) -> None:
    work, below = make("Work"), make("Work/2026")
    put(mailbox="Work")
    wanted = ObjectId(work[-24:])
    store.databases.main["filters"].insert_many(
        [{"user": on_disk(store, work)["user"], "action": {"mailbox": box}} for box in (wanted, ObjectId())]
    )
    assert client.delete(work).json == {"success": True}
    assert store.databases.main["filters"].count_documents({}) == 1
    row = store.databases.main["messages"].find_one({"mailbox": wanted})
    assert row
    assert row["exp"] is True
    assert row["rdate"] < row["retentionTime"]
    assert "searchable" not in row
    assert journal(store)[-1]["command"] == "DELETE"
    for again in (client.get(work), client.put(work, json={"hidden": True}), client.delete(work)):
        assert failure(again) == (404, "NoSuchMailbox")
    assert client.get(below).json["path"] == "Work/2026"


def test_mailboxes_of_others_are_not_there(
    client: Any, make: Make, make_user: Callable[..., ObjectId]
) -> None:
    mailbox = make("Work")[-24:]
    path = f"/users/{make_user('bob')}/mailboxes/{mailbox}"
    for answer in (client.get(path), client.put(path, json={"hidden": True}), client.delete(path)):
        assert failure(answer) == (404, "NoSuchMailbox")


def test_unknown_accounts_and_ids(client: Any, ada: str) -> None:
    nobody = f"/users/{ObjectId()}/mailboxes"
    missing = (404, "UserNotFound")
    assert failure(client.get(nobody)) == missing
    assert failure(client.post(nobody, json={"path": "Work"})) == missing
    assert failure(client.get(f"{nobody}/{ObjectId()}")) == missing
    assert failure(client.put(f"{nobody}/{ObjectId()}", json={"hidden": True})) == (404, "NoSuchMailbox")
    assert details(client.get("/users/123/mailboxes")) == {"user"}
    for answer in (
        client.get(f"/users/{ada}/mailboxes/x"),
        client.put(f"/users/{ada}/mailboxes/resolve", json={}),
    ):
        assert details(answer) == {"mailbox"}


def test_who_may(as_caller: Callable[..., Any], ada: str) -> None:
    requests: list[tuple[str, str, Row]] = [
        ("GET", f"/users/{ada}/mailboxes", {}),
        ("POST", f"/users/{ada}/mailboxes", {"json": {"path": "Work"}}),
        ("GET", f"/users/{ada}/mailboxes/resolve?path=INBOX", {}),
        ("PUT", f"/users/{ada}/mailboxes/{ObjectId()}", {"json": {"hidden": True}}),
        ("DELETE", f"/users/{ada}/mailboxes/{ObjectId()}", {}),
    ]
    for method, path, options in requests:
        assert failure(as_caller(None).request(method, path, **options)) == (403, "InvalidToken")
        for role in ("auth", "downloader", "attachments", "export"):
            answer = as_caller(role).request(method, path, **options)
            assert failure(answer) == (403, "MissingPrivileges"), (role, method, path)
        assert as_caller("webmail").request(method, path, **options).status_code in (200, 404)


def test_only_ones_own(
    as_caller: Callable[..., Any], client: Any, ada: str, make_user: Callable[..., ObjectId]
) -> None:
    bob = make_user("bob")
    own = as_caller("user", str(bob))
    assert own.get(f"/users/{bob}/mailboxes").status_code == 200
    assert own.get("/users/me/mailboxes").status_code == 200
    assert failure(own.get(f"/users/{ada}/mailboxes")) == (403, "MissingPrivileges")
    assert failure(own.post(f"/users/{ada}/mailboxes", json={"path": "x"})) == (403, "MissingPrivileges")

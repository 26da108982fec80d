"""createForwardedAddress, getForwardedAddress, updateForwardedAddress, deleteForwardedAddress."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from handlers.addresses import create_forwarded_address
from handlers.call import Call
from problems import Problem
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row

TARGETS = ["Ada+x@Example.com", "smtps://u:p%40ss@10.0.0.1:465", "https://hook.example.com/in?x=a@b"]
SILENT = {"status": False, "name": "", "subject": "", "text": "", "html": ""}


def make(client: Any, address: str = "f.w@example.com", **fields: Any) -> Any:
    return client.post("/addresses/forwarded", json={"address": address, **fields})


def path_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.json
    return f"/addresses/forwarded/{answer.json['id']}"


def document(store: Store, path: str) -> Row:
    return store.addresses.by_id(ObjectId(path.rpartition("/")[2]))


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def test_made_as_it_stands_on_disk(client: Any, store: Store, ada: str) -> None:
    client.post(f"/users/{ada}/addresses", json={"address": "ada2@example.com"})
    autoreply = {"start": "2026-01-02T03:04:05Z", "end": False, "name": " Ada ", "subject": "", "text": ""}
    fields = {"name": "F", "tags": ["b", "A"], "metaData": {"a": 1}, "autoreply": autoreply}
    path = path_of(
        make(client, "F.W@Example.NET", targets=["A.da2@Example.com", *TARGETS], forwards="5", **fields)
    )
    stored = document(store, path)
    targets = stored.pop("targets")
    assert stored.pop("_id")
    assert stored.pop("created")
    assert stored == {
        "name": "F", "address": "f.w@example.net", "addrview": "fw@example.net", "forwards": 5, "tags": ["A", "b"],
        "tagsview": ["a", "b"], "metaData": '{"a":1}',
        "autoreply": {
            "status": True, "start": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "end": False, "name": "Ada",
            "subject": "", "text": "", "html": "",
        },
    }  # fmt: skip
    assert len({target.pop("id") for target in targets}) == 4
    assert targets == [
        {"type": "mail", "value": "A.da2@Example.com", "user": ObjectId(ada)},
        {"type": "mail", "value": TARGETS[0]},
        {"type": "relay", "value": TARGETS[1]},
        {"type": "http", "value": TARGETS[2]},
    ]
    assert store.databases.users["domaincache"].count_documents({"domain": "example.net"}) == 1


def test_what_it_shows(client: Any) -> None:
    path = path_of(make(client, targets=TARGETS, internalData={"b": 2}))
    shown = client.get(path).json
    assert shown.pop("id") == path.rpartition("/")[2]
    assert shown.pop("created")
    assert shown == {
        "success": True, "name": "", "address": "f.w@example.com", "targets": TARGETS, "tags": [],
        "limits": {"forwards": {"allowed": 2000, "used": 0, "ttl": False}}, "autoreply": SILENT,
        "forwardedDisabled": False, "internalData": {"b": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"address": "a+b@example.com"}, {"address"}),
        ({"address": "*@example.com"}, {"address"}),
        ({"address": "a*b@example.com", "allowWildcard": True}, {"address"}),
        ({"address": "**@example.com", "allowWildcard": True}, {"address"}),
        ({"address": "*@*", "allowWildcard": True}, {"address"}),
        ({"address": "*" + "x" * 33 + "@example.com", "allowWildcard": True}, {"address"}),
        ({"address": None}, {"address"}),
        ({"targets": "x@y.example"}, {"targets"}),
        ({"targets": ["x@y.example"] * 1001}, {"targets"}),
        ({"targets": ["SMTP://x", "x@y.example", "ftp://x", "https://"]}, {"targets,0", "targets,2", "targets,3"}),
        ({"forwards": -1, "foo": 1}, {"forwards", "foo"}),
        ({"autoreply": {"status": "maybe", "start": None, "end": "soon", "x": 1, "text": "x" * 131_073}},
         {"autoreply,status", "autoreply,start", "autoreply,end", "autoreply,x", "autoreply,text"}),
        ({"metaData": [1], "internalData": "nonsense", "tags": [""]}, {"metaData", "internalData", "tags,0"}),
    ],
)  # fmt: skip
def test_bad_input_names_the_fields(
    client: Any, store: Store, fields: dict[str, Any], at_fault: set[str]
) -> None:
    assert (
        details(client.post("/addresses/forwarded", json={"address": "f@example.com", **fields})) == at_fault
    )
    assert store.databases.users["addresses"].count_documents({}) == 0


def test_an_address_is_taken_by_either_kind(client: Any, ada: str) -> None:
    make(client)
    for taken in ("fw@EXAMPLE.com", "a.da@example.com"):
        answer = make(client, taken)
        assert (answer.status_code, answer.json["code"]) == (400, "AddressExistsError")
    answer = client.post(f"/users/{ada}/addresses", json={"address": "fw@example.com"})
    assert answer.json["code"] == "AddressExistsError"


def test_50_at_once_make_one_address(store: Store) -> None:
    def one(number: int) -> str:
        try:
            create_forwarded_address(
                Call(store=store), {"address": f"{'a.b' if number % 2 else 'ab'}@example.com"}
            )
        except Problem as problem:
            return problem.code
        return "made"

    with ThreadPoolExecutor(16) as pool:
        assert Counter(pool.map(one, range(50))) == {"made": 1, "AddressExistsError": 49}


# An address does not forward to itself


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("f.w@example.com", "F.W@EXAMPLE.com"),
        ("fw@example.com", "f.w+label@example.com"),
        ("fw@example.com", "fw@alias.example"),
        ("fw@b\u00fccher.example", "fw@xn--bcher-kva.example"),
        ("*@example.com", "anyone@example.com"),
        ("f*@example.com", "fw@alias.example"),
        ("*w@example.com", "fw@example.com"),
        ("fw@*", "fw@example.com"),
    ],
)
def test_what_leads_back(client: Any, store: Store, address: str, target: str) -> None:
    store.databases.users["domainaliases"].insert_one({"alias": "alias.example", "domain": "example.com"})
    make(client, "other@example.com")
    answer = make(client, address, targets=["x@elsewhere.example", target], allowWildcard=True)
    assert details(answer) == {"targets,1"}
    assert answer.json["error"].startswith("Cannot forward to self")


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("*@example.com", "ada@example.com"),
        ("fw@example.com", "fw@elsewhere.example"),
        ("fw@example.com", "f@example.com"),
        ("fw@*", "fw@elsewhere.example"),
        ("f*@example.com", "smtp://fw@example.com"),
    ],
)
def test_what_does_not_lead_back(client: Any, ada: str, address: str, target: str) -> None:
    assert make(client, address, targets=[target], allowWildcard=True).status_code == 200


def test_a_change_does_not_make_it_forward_to_itself(client: Any, store: Store) -> None:
    path = path_of(make(client, targets=["new@example.com"]))
    before = document(store, path)
    assert details(client.put(path, json={"targets": ["x@y.example", "fw@example.com"]})) == {"targets,1"}
    assert details(client.put(path, json={"address": "n.ew@example.com"})) == {"address"}
    assert details(client.put(path, json={"address": "b@example.com", "targets": ["b@example.com"]})) == {
        "targets,0"
    }
    assert document(store, path) == before
    moved = client.put(path, json={"address": "new@example.com", "targets": ["fw@example.com"]})
    assert moved.json == {"success": True}, "the old name is free by then"


# Changing one


def test_a_change_of_what_is_given(client: Any, store: Store) -> None:
    path = path_of(
        make(client, name="F", targets=TARGETS, forwards=7, autoreply={"subject": "Away", "text": "x"})
    )
    before = document(store, path)
    change = {"name": "", "forwards": 0, "forwardedDisabled": "yes", "tags": ["t"], "id": "f" * 24}
    assert client.put(path, json={**change, "autoreply": {"html": "<p>y", "end": 0}}).json == {
        "success": True
    }
    assert document(store, path) == {
        **before, "name": None, "forwards": 0, "forwardedDisabled": True, "tags": ["t"], "tagsview": ["t"],
        "autoreply": {
            "status": True, "subject": "Away", "text": "x", "html": "<p>y", "end": datetime(1970, 1, 1, tzinfo=UTC),
        },
    }  # fmt: skip
    shown = client.get(path).json
    assert shown["forwardedDisabled"] is True
    assert shown["autoreply"] == {
        **SILENT, "status": True, "subject": "Away", "text": "x", "html": "<p>y", "end": "1970-01-01T00:00:00.000Z",
    }  # fmt: skip


def test_text_and_html_are_emptied_together(client: Any) -> None:
    path = path_of(make(client, autoreply={"status": False, "text": "x", "html": "<p>x"}))
    client.put(path, json={"autoreply": {"text": "", "html": "<p>y"}})
    assert client.get(path).json["autoreply"] == {**SILENT, "html": "<p>y"}
    client.put(path, json={"autoreply": {"text": ""}})
    assert client.get(path).json["autoreply"] == SILENT


def test_an_autoreply_that_a_wildduck_stored_with_nulls(client: Any, store: Store) -> None:
    address = client.post("/addresses/forwarded", json={"address": "team@example.com"}).json["id"]
    nulls = {"status": True, "name": None, "subject": "Away", "text": None, "start": None}
    store.databases.users["addresses"].update_one({"_id": ObjectId(address)}, {"$set": {"autoreply": nulls}})
    shown = client.get(f"/addresses/forwarded/{address}").json["autoreply"]
    assert shown == {"status": True, "name": "", "subject": "Away", "text": "", "html": ""}


def test_new_targets_replace_the_old_ones(client: Any, store: Store, ada: str) -> None:
    path = path_of(make(client, targets=TARGETS))
    old = document(store, path)["targets"]
    client.put(path, json={"targets": ["ada@example.com", TARGETS[1]]})
    new = document(store, path)["targets"]
    assert [(target["value"], target.get("user")) for target in new] == [
        ("ada@example.com", ObjectId(ada)), (TARGETS[1], None),
    ]  # fmt: skip
    assert not {target["id"] for target in new} & {target["id"] for target in old}
    client.put(path, json={"targets": []})
    assert client.get(path).json["targets"] == []


def test_an_empty_change_is_fine(client: Any, store: Store) -> None:
    path = path_of(make(client))
    before = document(store, path)
    assert client.put(path, json={}).json == {"success": True}
    assert document(store, path) == before


@pytest.mark.parametrize(
    ("address", "change", "code"),
    [
        ("f@example.com", {"address": "*@example.com"}, "ChangeNotAllowed"),
        ("*@example.com", {"address": "f@example.com"}, "ChangeNotAllowed"),
        ("f@example.com", {"address": "a.da@example.com"}, "AddressExistsError"),
        ("f@example.com", {"address": "f+x@example.com"}, "InputValidationError"),
    ],
)
def test_changes_that_are_refused(
    client: Any, store: Store, ada: str, address: str, change: dict[str, Any], code: str
) -> None:
    path = path_of(make(client, address, allowWildcard=True))
    before = document(store, path)
    answer = client.put(path, json={"name": "new", **change})
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert document(store, path) == before


# The day's count


def test_the_count_starts_anew_with_another_limit_and_ends_with_the_address(
    client: Any, store: Store
) -> None:
    path = path_of(make(client, forwards=10))
    key = f"wdf:{path.rpartition('/')[2]}"
    store.counters.add(key, 4, 10)
    used = client.get(path).json["limits"]["forwards"]
    assert (used["allowed"], used["used"], 86_390 <= used["ttl"] <= 86_400) == (10, 4, True)
    client.put(path, json={"forwards": 10, "name": "x"})
    assert client.get(path).json["limits"]["forwards"]["used"] == 4
    client.put(path, json={"forwards": 0})
    assert client.get(path).json["limits"]["forwards"] == {"allowed": 2000, "used": 0, "ttl": False}
    store.counters.add(key, 4, 10)
    assert client.delete(path).json == {"success": True}
    assert store.counters.peek(key, 10).value == 0


# Which ones, and for whom


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_forwarded_address(client: Any, store: Store, ada: str, method: str) -> None:
    (own,) = store.addresses.of_user(ObjectId(ada))
    for address in (ObjectId(), own["_id"]):
        body = {"json": {"name": "x"}} if method == "PUT" else {}
        answer = client.request(method, f"/addresses/forwarded/{address}", **body)
        assert (answer.status_code, answer.json["code"]) == (404, "AddressNotFound")
    assert store.addresses.of_user(ObjectId(ada)) == [own]
    if method != "PUT":
        assert details(client.request(method, "/addresses/forwarded/123")) == {"address"}


def test_deleted_is_gone(client: Any) -> None:
    path = path_of(make(client))
    assert client.delete(path).json == {"success": True}
    assert client.delete(path).json["code"] == "AddressNotFound"
    path_of(make(client))


def test_they_are_for_operators(app: Any, client: Any, as_role: Any, ada: str) -> None:
    path = path_of(make(client))
    requests = [("GET", path, {}), ("PUT", path, {"json": {"name": "x"}}), ("DELETE", path, {}),
                ("POST", "/addresses/forwarded", {"json": {"address": "x@example.com"}})]  # fmt: skip
    for method, where, body in requests:
        assert as_role("user", ada).request(method, where, **body).json["code"] == "MissingPrivileges"
        assert as_role("settings").request(method, where, **body).json["code"] == "MissingPrivileges"
        assert Client(app, "0" * 40).request(method, where, **body).json["code"] == "InvalidToken"
        assert as_role("manager").request(method, where, **body).status_code == 200

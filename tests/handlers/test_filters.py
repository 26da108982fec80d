"""createFilter, getFilter, updateFilter, deleteFilter."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from handlers.call import Call
from handlers.filters import create_filter, update_filter
from problems import Problem
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row
from tests.storage.conftest import together

QUERY = {"from": " Grace\t Hopper ", "listId": "<l.example>", "text": "a OR b", "ha": "no", "size": "-100"}
TARGETS = ["Boss@Elsewhere.example", "smtps://u:p%40ss@10.0.0.1:465", "https://hook.example/in?x=a@b"]


def make(client: Any, user: Any, query: Any = None, action: Any = None, **fields: Any) -> Any:
    body = {"query": {"from": "x"} if query is None else query, "action": action or {}, **fields}
    return client.post(f"/users/{user}/filters", json=body)


def made(client: Any, user: Any, *parts: Any, **fields: Any) -> str:
    answer = make(client, user, *parts, **fields)
    assert answer.status_code == 200, answer.json
    return str(answer.json["id"])


def inbox(client: Any, user: str) -> str:
    return str(client.get(f"/users/{user}/mailboxes/resolve?path=INBOX").json["id"])


def stored(store: Store, filter_id: str) -> Any:
    return store.databases.main["filters"].find_one({"_id": ObjectId(filter_id)})


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def logged(store: Store, user: str) -> list[Row]:
    rows = store.databases.users["authlog"].find({"user": ObjectId(user), "filter": {"$exists": True}})
    return list(rows.sort("_id", 1))


def test_made_as_it_stands_on_disk(client: Any, store: Store, ada: str) -> None:
    box = inbox(client, ada)
    action = {"mailbox": box, "targets": TARGETS, "spam": False, "delete": None, "flag": "", "seen": 1}
    answer = make(client, ada, QUERY, action, name=" Minutes ", metaData={"a": "ü"}, sess="s", ip="192.0.2.1")
    assert answer.json.keys() == {"success", "id"}
    document = stored(store, answer.json["id"])
    assert document.pop("created") <= store.clock()
    assert list(document["action"]) == ["seen", "spam", "targets", "mailbox"]
    targets = document["action"].pop("targets")
    assert len({target.pop("id") for target in targets}) == 3
    assert targets == [
        {"type": "mail", "value": TARGETS[0]}, {"type": "relay", "value": TARGETS[1]},
        {"type": "http", "value": TARGETS[2]},
    ]  # fmt: skip
    assert document == {
        "_id": ObjectId(answer.json["id"]), "user": ObjectId(ada), "name": "Minutes", "metaData": '{"a":"ü"}',
        "query": {
            "headers": {"from": "Grace Hopper", "listId": "<l.example>"}, "text": "a OR b", "ha": False, "size": -100,
        },
        "action": {"seen": True, "spam": False, "mailbox": ObjectId(box)}, "disabled": False, "mallard": {"slot": 0},
    }  # fmt: skip


def test_what_it_shows_is_what_an_update_takes(client: Any, store: Store, ada: str) -> None:
    action = {"mailbox": inbox(client, ada), "targets": TARGETS, "spam": False}
    path = f"/users/{ada}/filters/{made(client, ada, QUERY, action, name='M', metaData='{}', disabled=True)}"
    shown = client.get(path).json
    before = stored(store, shown["id"])
    assert shown.pop("created")
    assert shown == {
        "success": True, "id": str(before["_id"]), "name": "M", "disabled": True,
        "query": {"from": "Grace Hopper", "listId": "<l.example>", "text": "a OR b", "ha": False, "size": -100},
        "action": {"spam": False, "targets": TARGETS, "mailbox": action["mailbox"]},
    }  # fmt: skip
    answer = client.put(path, json={"query": shown["query"], "action": shown["action"]})
    assert answer.json == {"success": True, "id": shown["id"]}
    after = stored(store, shown["id"])
    for target in [*before["action"]["targets"], *after["action"]["targets"]]:
        target.pop("id")
    assert after == before


def test_the_least(client: Any, store: Store, ada: str) -> None:
    path = (
        f"/users/{ada}/filters/{made(client, ada, {'from': '', 'size': 0}, {'mailbox': '', 'targets': ''})}"
    )
    shown = client.get(path).json
    assert (shown["name"], shown["query"], shown["action"], "metaData" in shown) == ("", {}, {}, False)
    assert stored(store, shown["id"])["query"] == {"headers": {}}


@pytest.mark.parametrize(
    ("fields", "at_fault"),
    [
        ({"query": None}, {"query"}),
        ({"action": []}, {"action"}),
        ({"query": {"from": "x" * 256, "cc": "x", "ha": "perhaps", "size": "big", "text": 5}},
         {"query,from", "query,cc", "query,ha", "query,size", "query,text"}),
        ({"query": {"size": 1.5, "subject": {"$ne": ""}}}, {"query,size", "query,subject"}),
        ({"action": {"seen": "perhaps", "mailbox": "5", "stop": True}},
         {"action,seen", "action,mailbox", "action,stop"}),
        ({"action": {"targets": ["x@y.example", "no", "SMTP://x", "ftp://x", "https://"]}},
         {"action,targets,1", "action,targets,2", "action,targets,3", "action,targets,4"}),
        ({"action": {"targets": ["x@y.example"] * 101}}, {"action,targets"}),
        ({"action": {"targets": [f"https://x.example/{n}{'x' * 2000}" for n in range(9)]}}, {"action,targets"}),
        ({"query": {}, "action": {"delete": True}}, {"query"}),
        ({"query": {"from": " ", "size": 0}, "action": {"delete": "yes"}}, {"query"}),
        ({"name": "x" * 256, "disabled": "perhaps", "metaData": [], "stop": 1},
         {"name", "disabled", "metaData", "stop"}),
        ({"metaData": "nonsense", "sess": "", "ip": "x"}, {"metaData", "sess", "ip"}),
    ],
)  # fmt: skip
def test_bad_input_names_the_fields(
    client: Any, store: Store, ada: str, fields: dict[str, Any], at_fault: set[str]
) -> None:
    filter_id = made(client, ada, {})
    before = stored(store, filter_id)
    body = {"query": {"from": "x"}, "action": {}, **fields}
    assert details(client.post(f"/users/{ada}/filters", json=body)) == at_fault
    assert details(client.put(f"/users/{ada}/filters/{filter_id}", json=fields)) == at_fault
    assert list(store.databases.main["filters"].find()) == [before]


def test_both_parts_are_needed(client: Any, ada: str) -> None:
    assert details(client.post(f"/users/{ada}/filters", json={})) == {"query", "action"}
    assert client.post(f"/users/{ada}/filters", data="{").json["code"] == "InvalidContent"


def test_targets_are_stored_once(client: Any, ada: str) -> None:
    same = ["a@bücher.example", "A@xn--bcher-kva.example", "smtp://x", "smtp://X", "smtp://x"]
    shown = client.get(f"/users/{ada}/filters/{made(client, ada, {}, {'targets': same})}").json
    assert shown["action"]["targets"] == [same[0], "smtp://x", "smtp://X"]


def test_no_mail_goes_round_in_circles(client: Any, store: Store, ada: str, make_user: Any) -> None:
    make_user("bob")
    client.post(f"/users/{ada}/addresses", json={"address": "*@wild.example", "allowWildcard": True})
    store.databases.users["domainaliases"].insert_one({"alias": "alias.example", "domain": "example.com"})
    targets = [
        "A.da+x@Example.com",
        "bob@example.com",
        "ada@alias.example",
        "any@wild.example",
        "ada@x.example",
    ]
    faults = {f"action,targets,{place}" for place in (0, 2, 3)}
    assert details(make(client, ada, {}, {"targets": targets})) == faults
    filter_id = made(client, ada, {}, {"targets": [targets[1], targets[4]]})
    answer = client.put(f"/users/{ada}/filters/{filter_id}", json={"action": {"targets": targets}})
    assert details(answer) == faults


@pytest.mark.parametrize("own", [0, 4])
def test_callers_at_once_never_pass_the_limit(store: Store, make_user: Any, own: int) -> None:
    store.settings.put("const:max:filters", 5)
    user, body = make_user("ada", filters=own), {"query": {"from": "x"}, "action": {}}
    store.databases.main["filters"].insert_one({"user": user, "query": {"headers": {}}, "action": {}})
    results = together(50, lambda _: create_filter(Call(store=store), user, body))
    allowed = own or 5
    assert sum(isinstance(result, dict) for result in results) == allowed - 1
    problems = [result for result in results if not isinstance(result, dict)]
    assert {(p.code, p.extra["allowed"]) for p in problems if isinstance(p, Problem)} == {
        ("TooMany", allowed)
    }
    assert store.databases.main["filters"].count_documents({}) == allowed
    assert store.databases.users["authlog"].count_documents({"action": "filter added"}) == allowed - 1


def test_beyond_the_limit(client: Any, store: Store, ada: str) -> None:
    store.settings.put("const:max:filters", 1)
    first = made(client, ada)
    answer = make(client, ada)
    assert (answer.status_code, answer.json["code"], answer.json["allowed"]) == (403, "TooMany", 1)
    client.delete(f"/users/{ada}/filters/{first}")
    made(client, ada)


# Changing one


def test_a_change_is_merged(client: Any, store: Store, ada: str) -> None:
    box = inbox(client, ada)
    action = {"mailbox": box, "seen": True, "flag": False, "delete": True}
    filter_id = made(client, ada, {**QUERY, "subject": "S"}, action, name="M", metaData={"a": 1})
    path, before = f"/users/{ada}/filters/{filter_id}", stored(store, filter_id)
    change = {
        "query": {"from": "", "to": "T  t", "size": 0, "ha": None},
        "action": {"spam": True, "seen": "", "delete": None, "targets": ["x@y.example"], "mailbox": ""},
        "name": "", "metaData": {}, "disabled": "yes",
    }  # fmt: skip
    assert client.put(path, json=change).json == {"success": True, "id": filter_id}
    after = stored(store, filter_id)
    assert after["action"].pop("targets")[0]["value"] == "x@y.example"
    assert after == {
        "_id": before["_id"], "user": before["user"], "created": before["created"], "mallard": {"slot": 0},
        "query": {"headers": {"to": "T t", "subject": "S", "listId": "<l.example>"}, "text": "a OR b"},
        "action": {"flag": False, "spam": True}, "disabled": True,
    }  # fmt: skip
    client.put(
        path, json={"query": {"size": "", "ha": "", "text": ""}, "action": {"targets": [], "mailbox": box}}
    )
    action = stored(store, filter_id)["action"]
    assert list(action.items()) == [
        ("flag", False),
        ("spam", True),
        ("targets", []),
        ("mailbox", ObjectId(box)),
    ]
    client.put(path, json={"action": {"targets": ""}})
    assert "targets" not in stored(store, filter_id)["action"]


def test_an_empty_change(client: Any, store: Store, ada: str) -> None:
    filter_id = made(client, ada)
    before = stored(store, filter_id)
    assert client.put(f"/users/{ada}/filters/{filter_id}", json={}).json == {"success": True, "id": filter_id}
    assert stored(store, filter_id) == before
    assert client.put(f"/users/{ada}/filters/{ObjectId()}", json={}).json["code"] == "FilterNotFound"


def test_a_change_does_not_come_to_delete_all_mail(client: Any, ada: str) -> None:
    one, other = made(client, ada, {"from": "x"}, {"delete": True}), made(client, ada, {})
    path = f"/users/{ada}/filters"
    assert details(client.put(f"{path}/{one}", json={"query": {"from": ""}})) == {"query"}
    assert details(client.put(f"{path}/{other}", json={"action": {"delete": True}})) == {"query"}
    assert client.put(f"{path}/{one}", json={"query": {"from": "", "ha": False}}).status_code == 200


def test_two_changes_at_once_do_not_come_to_delete_all_mail(store: Store, user: Row) -> None:
    call = Call(store=store)
    changes: list[dict[str, Any]] = [{"query": {"from": ""}}, {"action": {"delete": True}}]
    for _ in range(20):
        body = {"query": {"from": "x"}, "action": {"seen": True}}
        filter_id = create_filter(call, user["_id"], body)["id"]
        results = together(2, lambda n, f=filter_id: update_filter(call, user["_id"], f, changes[n]))
        assert sum(isinstance(result, Problem) for result in results) == 1, results


def test_a_password_that_comes_back_masked_stays(client: Any, store: Store, ada: str) -> None:
    filter_id = made(client, ada, {}, {"targets": TARGETS})
    shown = client.get(f"/users/{ada}/filters").json["results"][0]["originalAction"]["targets"]
    assert shown == [TARGETS[0], "smtps://u:***@10.0.0.1:465", TARGETS[2]]
    client.put(f"/users/{ada}/filters/{filter_id}", json={"action": {"targets": shown[1:]}})
    values = [target["value"] for target in stored(store, filter_id)["action"]["targets"]]
    assert values == TARGETS[1:]


# The log


def test_what_is_logged(client: Any, store: Store, ada: str) -> None:
    labels = {"sess": "s", "ip": "192.0.2.1"}
    one = made(client, ada, {}, {"targets": TARGETS[:2]}, **labels)
    two = made(client, ada)
    path = f"/users/{ada}/filters/{one}"
    client.put(path, json={"action": {"targets": ["boss@elsewhere.example", TARGETS[2]]}})
    client.put(path, json={})
    client.delete(path)
    rows = logged(store, ada)
    shown = [
        (str(row["filter"]), row["action"], row.get("target"), row["result"], row["protocol"]) for row in rows
    ]
    assert shown == [
        (one, "filter forward added", TARGETS[0], "success", "API"),
        (one, "filter forward added", "smtps://u:***@10.0.0.1:465", "success", "API"),
        (one, "filter added", None, "success", "API"),
        (two, "filter added", None, "success", "API"),
        (one, "filter forward added", TARGETS[2], "success", "API"),
        (one, "filter changed", None, "success", "API"),
        (one, "filter deleted", None, "success", "API"),
    ]  # fmt: skip
    assert {name: rows[0][name] for name in labels} == labels


# Which ones, and for whom


def test_deleted_is_gone(client: Any, store: Store, ada: str) -> None:
    path = f"/users/{ada}/filters/{made(client, ada)}"
    assert client.delete(path).json == {"success": True}
    assert store.databases.main["filters"].count_documents({}) == 0
    for method in ("DELETE", "GET"):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json["code"]) == (404, "FilterNotFound")


def test_what_is_not_there(client: Any, store: Store, ada: str, make_user: Any) -> None:
    filter_id, bob = made(client, ada), str(make_user("bob"))
    theirs = inbox(client, bob)
    for method, path, body, code in (
        ("POST", f"{ObjectId()}/filters", {"query": {}, "action": {}}, "UserNotFound"),
        ("POST", f"{ada}/filters", {"query": {}, "action": {"mailbox": theirs}}, "NoSuchMailbox"),
        ("PUT", f"{ada}/filters/{filter_id}", {"action": {"mailbox": theirs}}, "NoSuchMailbox"),
        ("PUT", f"{bob}/filters/{filter_id}", {"name": "x"}, "FilterNotFound"),
        ("GET", f"{bob}/filters/{filter_id}", None, "FilterNotFound"),
        ("DELETE", f"{bob}/filters/{filter_id}", None, "FilterNotFound"),
    ):
        answer = client.request(method, f"/users/{path}", **({"json": body} if body else {}))
        assert (answer.status_code, answer.json["code"]) == (404, code)
    assert store.databases.main["filters"].count_documents({}) == 1
    for method in ("GET", "DELETE"):
        answer = client.request(method, f"/users/no/filters/5?sess=&x={method}")
        assert details(answer) == {"user", "filter", "sess", "x"}


def test_old_documents(client: Any, store: Store, ada: str) -> None:
    base: dict[str, Any] = {
        "user": ObjectId(ada),
        "query": {"headers": {}, "ha": -1},
        "action": {"spam": None, "mailbox": ""},
    }
    ids = store.databases.main["filters"].insert_many([base, {**base, "query": {"ha": 1}}]).inserted_ids
    shown = [client.get(f"/users/{ada}/filters/{_id}").json for _id in ids]
    assert [(one["query"], one["action"]) for one in shown] == [({"ha": False}, {}), ({"ha": True}, {})]
    rows = client.get(f"/users/{ada}/filters").json["results"]
    assert rows[0]["query"] == [["no attachments"]]
    assert rows[0]["action"] == [["keep in INBOX"]]
    path = f"/users/{ada}/filters/{shown[1]['id']}"
    assert client.put(path, json={"query": {"from": "x"}, "action": {"seen": True}}).status_code == 200
    assert stored(store, shown[1]["id"])["query"] == {"headers": {"from": "x"}, "ha": 1}


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ""), ("GET", ""), ("GET", "/{filter}"), ("PUT", "/{filter}"), ("DELETE", "/{filter}")],
)
def test_who_may(
    client: Any, app: Any, as_role: Any, ada: str, make_user: Any, method: str, path: str
) -> None:
    where = "filters" + path.format(filter=made(client, ada))
    bodies: dict[str, Any] = {"POST": {"json": {"query": {}, "action": {}}}, "PUT": {"json": {"name": "x"}}}
    body = bodies.get(method, {})
    bob = str(make_user("bob"))
    for caller, code in (
        (Client(app, "0" * 40), "InvalidToken"),
        (as_role("auth"), "MissingPrivileges"),
        (as_role("user", bob), "MissingPrivileges"),
    ):
        answer = caller.request(method, f"/users/{ada}/{where}", **body)
        assert (answer.status_code, answer.json["code"]) == (403, code)
    assert as_role("user", ada).request(method, f"/users/me/{where}", **body).status_code == 200

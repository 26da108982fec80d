"""getSettings, createSetting, getSetting, deleteSetting."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from server.contract.operations import Contract
from storage.base.setting_keys import DEFAULTS, SETTINGS
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row

KEY = "const:max:storage"
TIMES, SWITCH, BATCH = "const:sender:defer_times", "const:domaincache:enabled", "const:max:bulk_batch_size"
LARGEST, CENTURY = 2**53 - 1, 36_525 * 86_400_000


def put(client: Any, key: str, value: Any, **more: Any) -> Any:
    return client.post(f"/settings/{key}", json={"value": value, **more})


def shown(client: Any, **query: str) -> Row:
    rows = client.get("/settings", query_string=query).json["settings"]
    return {row["key"]: row for row in rows}


def rows(store: Store) -> list[Row]:
    return list(store.databases.main["settings"].find({}, {"_id": 0}))


def store_by_hand(store: Store, key: str, value: Any, **more: Any) -> None:
    store.databases.main["settings"].insert_one({"key": key, "value": value, "enumerable": True, **more})


def details(answer: Any) -> set[str]:
    assert (answer.status_code, answer.json["code"]) == (400, "InputValidationError"), answer.json
    return set(answer.json["details"])


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def test_the_contract_names_all_keys(contract: Contract) -> None:
    operation = next(o for o in contract.operations if o.operation_id == "createSetting")
    assert operation.parameters[0]["schema"]["enum"] == sorted(SETTINGS)


def test_a_value_is_set_read_and_taken_back(client: Any, store: Store) -> None:
    default = {"success": True, "id": KEY, "key": KEY, "value": 1_073_741_824}
    assert client.get(f"/settings/{KEY}").json == default
    answer = put(client, KEY, 2_147_483_648, sess="s", ip="127.0.0.1")
    assert answer.json == {"success": True, "id": KEY, "key": KEY}
    (row,) = rows(store)
    assert row.pop("created")
    assert row == {"key": KEY, "value": "2147483648", "encrypted": False, "enumerable": True}
    assert client.get(f"/settings/{KEY}").json == {**default, "value": 2_147_483_648}
    assert client.delete(f"/settings/{KEY}").json == {"success": True}
    assert client.get(f"/settings/{KEY}").json == default
    assert rows(store) == []


def test_a_value_is_changed(client: Any, store: Store) -> None:
    put(client, KEY, 1)
    (before,) = rows(store)
    put(client, KEY, 2)
    assert rows(store) == [{**before, "value": "2"}]


def test_a_default_may_be_put_in_force_that_is(client: Any) -> None:
    assert client.delete(f"/settings/{KEY}").json == {"success": True}


@pytest.mark.parametrize(
    ("key", "sent", "kept"),
    [
        (KEY, 0, 0),
        (KEY, " +5e3 ", 5000),
        (KEY, 5.0, 5),
        (KEY, LARGEST, LARGEST),
        ("const:authlog:time", 0, 0),
        ("const:archive:time", CENTURY, CENTURY),
        (BATCH, "1", 1),
        (TIMES, "", ""),
        (TIMES, " 5m,  10 , 2 h,1d ", "5m,  10 , 2 h,1d"),
        (SWITCH, True, True),
        (SWITCH, "False", False),
    ],
)
def test_values_are_kept_in_the_type_of_their_key(client: Any, key: str, sent: Any, kept: Any) -> None:
    assert put(client, key, sent).status_code == 200
    value = client.get(f"/settings/{key}").json["value"]
    assert (value, type(value)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (KEY, -1),
        (KEY, 1.5),
        (KEY, "1.5"),
        (KEY, "many"),
        (KEY, ""),
        (KEY, "0x10"),
        (KEY, True),
        (KEY, None),
        (KEY, [1]),
        (KEY, {"$gt": 0}),
        (KEY, LARGEST + 1),
        (KEY, "1e999"),
        (KEY, "9" * 500),
        ("const:archive:time", CENTURY + 1),
        ("const:authlog:time", -1),
        (BATCH, 0),
        (TIMES, "5m, soon"),
        (TIMES, "5m,"),
        (TIMES, "5y"),
        (TIMES, "\u0665m"),
        (KEY, "\u0665"),
        (TIMES, 5),
        (TIMES, ", ".join(["5m"] * 500)),
        (SWITCH, "yes"),
        (SWITCH, 1),
    ],
)
def test_values_that_a_key_does_not_take(client: Any, store: Store, key: str, value: Any) -> None:
    assert details(put(client, key, value)) == {"value"}
    assert rows(store) == []


def test_other_bad_input(client: Any, store: Store) -> None:
    assert details(client.post(f"/settings/{KEY}", json={"foo": 1, "ip": "x"})) == {"value", "foo", "ip"}
    assert details(put(client, "const:other", 5)) == {"key"}
    assert details(client.get(f"/settings/{'x' * 129}?foo=1")) == {"key", "foo"}
    assert details(client.delete(f"/settings/{'x' * 129}")) == {"key"}
    assert details(client.get("/settings", query_string={"filter": "x" * 129})) == {"filter"}
    assert rows(store) == []


@pytest.mark.parametrize("method", ["get", "delete"])
@pytest.mark.parametrize("key", ["const:other", "$ne", "__proto__"])
def test_unknown_keys(client: Any, method: str, key: str) -> None:
    answer = getattr(client, method)(f"/settings/{key}")
    assert refusal(answer) == (404, "SettingNotFound")
    assert (answer.json["success"], answer.json["key"]) == (False, key)


def test_all_settings_are_listed_by_key(client: Any) -> None:
    put(client, KEY, 5)
    answer = client.get("/settings?unknown=1").json
    assert answer.keys() == {"success", "settings"}
    assert [row["key"] for row in answer["settings"]] == sorted(SETTINGS)
    for row in answer["settings"]:
        assert row.keys() == {"key", "value", "name", "description", "default", "type", "custom"}
        assert row["default"] == DEFAULTS[row["key"]]
        assert row["value"] == (5 if row["key"] == KEY else row["default"])
        assert row["custom"] is (row["key"] == KEY)
        assert row["name"]
        assert row["description"]
    assert shown(client)[KEY]["type"] == "size"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (" STORAGE ", [KEY]),
        ("imap:", ["const:imap:use_wd_worker_channels", "const:max:imap:download", "const:max:imap:upload"]),
        (".*", []),
        ("", sorted(SETTINGS)),
    ],
)
def test_a_filter_holds_for_all_keys(client: Any, query: str, found: list[str]) -> None:
    put(client, KEY, 5)
    answer = client.get("/settings", query_string={"filter": query}).json
    assert [row["key"] for row in answer["settings"]] == found
    assert answer.get("filter") == (query.strip() or None)
    assert all(row["custom"] is (row["key"] == KEY) for row in answer["settings"])


def test_keys_of_other_software_are_shown_and_deleted_but_not_set(client: Any, store: Store) -> None:
    store_by_hand(store, "app:theme", '"dark"')
    store_by_hand(store, "app:hidden", "1", enumerable=False)
    assert shown(client, filter="app:") == {
        "app:theme": {"key": "app:theme", "value": "dark", "custom": True}
    }
    assert client.get("/settings/app:hidden").json["value"] == 1
    assert details(put(client, "app:theme", "light")) == {"key"}
    assert client.delete("/settings/app:theme").json == {"success": True}
    assert refusal(client.delete("/settings/app:theme")) == (404, "SettingNotFound")


def test_what_is_encrypted_is_never_shown(client: Any, store: Store) -> None:
    store_by_hand(store, "app:secret", "$wd01$aes-256-gcm$x")
    store_by_hand(store, KEY, "$wd01$aes-256-gcm$x", encrypted=True)
    assert "app:secret" not in shown(client)
    assert (shown(client)[KEY]["value"], shown(client)[KEY]["custom"]) == (DEFAULTS[KEY], False)
    assert refusal(client.get("/settings/app:secret")) == (404, "SettingNotFound")


def test_what_another_process_set_is_read_at_once(client: Any, store: Store) -> None:
    assert client.get(f"/settings/{KEY}").json["value"] == DEFAULTS[KEY]
    store_by_hand(store, KEY, "7")
    assert client.get(f"/settings/{KEY}").json["value"] == shown(client)[KEY]["value"] == 7


OPERATIONS = [
    ("GET", "/settings", {}),
    ("GET", f"/settings/{KEY}", {}),
    ("POST", f"/settings/{KEY}", {"json": {"value": 1}}),
    ("DELETE", f"/settings/{KEY}", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), OPERATIONS)
def test_who_may(app: Flask, store: Store, method: str, path: str, options: dict[str, Any]) -> None:
    def attempt(role: str) -> Any:
        token = store.tokens.provision(role, role, secret="a secret cat")
        return Client(app, token).request(method, path, **options)

    assert refusal(Client(app, "0" * 40).request(method, path, **options)) == (403, "InvalidToken")
    assert refusal(attempt("manager")) == (403, "MissingPrivileges")
    assert rows(store) == []
    assert attempt("settings").status_code == 200

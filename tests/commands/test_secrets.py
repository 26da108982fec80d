"""`mallard secrets`: counted, and put under another key."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from storage.store import Store

Run = Callable[..., Result]


def test_secrets_are_counted_and_put_under_a_key(run: Run, store: Store) -> None:
    store.databases.main["dkim"].insert_one({"domain": "example.com", "privateKey": "a private key"})
    refused = run("secrets", "rotate")
    assert (refused.exit_code, "MALLARD_ENCRYPTION_SECRET" in refused.stderr) == (1, True)
    keys = {"MALLARD_ENCRYPTION_SECRET": "a new cat"}
    assert json.loads(run("secrets", "list", "--json", **keys).stdout)[2] == {
        "kind": "DKIM keys", "hasKey": True, "current": 0, "outdated": 0, "clear": 1, "unreadable": 0, "changed": 0,
        "unreadableIds": [],
    }  # fmt: skip
    done = run("secrets", "rotate", **keys)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[3].split() == ["DKIM", "keys", "1", "0", "0", "0", "1"]
    row = store.databases.main["dkim"].find_one({})
    assert row
    assert row["privateKey"].startswith("$wd01$")
    lost = run("secrets", "list", MALLARD_ENCRYPTION_SECRET="another cat")
    assert lost.exit_code == 1
    assert f"cannot be read: DKIM keys, {row['_id']}.privateKey" in lost.stdout
    assert run("secrets", "rotate", MALLARD_ENCRYPTION_SECRET="another cat").exit_code == 1

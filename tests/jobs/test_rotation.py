"""The key of secrets at rest is changed: broken off, repeated, and while others write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from jobs.rotation import Tally, rotate, survey
from security.dkim_keys import generate
from security.secrets import KeyRing, KeyRings
from server.processes.mongod import Mongod
from storage.keys.sealed import Place
from storage.store import Store
from tests.rows import Row
from tests.storage.profiler import assert_indexed, profiled

OLD, NEW = "an old cat", "a new cat"
SEED = "IZEFIWRTORVUS22QJ5FDCVBXMJXUCZDB"
FORMS = (OLD, NEW, "clear", "lost")
Seen = Callable[..., Store]


class Stop(Exception):
    """What breaks a rotation off."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are derived without the 50 ms that each of them is to cost."""
    monkeypatch.setattr("security.secrets._scrypt", lambda key, salt: sha256(key.encode() + salt).digest())


@pytest.fixture
def seen(store: Store, mongo: Any, databases: Any) -> Seen:
    """`seen(NEW, OLD)`: the store as a process has it whose keys these are."""

    def with_keys(current: str, *older: str) -> Store:
        ring = KeyRing(current, older)
        return Store(mongo, databases, keys=KeyRings(ring, ring, ring))

    return with_keys


def put(store: Store, count: int = 12, forms: tuple[str, ...] = (OLD,)) -> None:
    """Accounts, deleted accounts, DKIM keys and certificates, their secrets in these forms by turns."""
    users, main = store.databases.users, store.databases.main
    for number in range(count):
        form = forms[number % len(forms)]
        name = f"{number}.example"
        both = {"seed": sealed(f"{SEED}{number}", form), "pendingSeed": sealed(f"P{number}", form)}
        users["users"].insert_one({"username": name, "unameview": name, **both})
        users["deletedusers"].insert_one({"username": name, "unameview": name, **both, "pendingSeed": ""})
        main["dkim"].insert_one({"domain": name, "selector": "s", "privateKey": sealed(f"D{number}", form)})
        main["certs"].insert_one({"servername": name, "privateKey": sealed(f"C{number}", form), "cert": "x"})
    users["users"].insert_one({"username": "none", "unameview": "none", "seed": "", "pendingSeed": None})
    main["certs"].insert_one({"servername": "none.example", "acme": True})


def sealed(text: str, form: str) -> str:
    return text if form == "clear" else KeyRing({"lost": "a lost cat"}.get(form, form)).encrypt(text)


def texts(store: Store, key: str) -> list[str]:
    """All secrets, read with one key alone."""
    ring = KeyRing(key)
    return [
        ring.decrypt(row[name])
        for place in store.sealed.places
        for row in place.collection.find({}).sort("_id", 1)
        for name in place.fields
        if row.get(name)
    ]


def expected(count: int) -> list[str]:
    seeds = [text for number in range(count) for text in (f"{SEED}{number}", f"P{number}")]
    return [
        *seeds,
        *seeds[::2],
        *(f"D{number}" for number in range(count)),
        *(f"C{number}" for number in range(count)),
    ]


def summary(tallies: list[Tally]) -> dict[str, tuple[int, int]]:
    """How many of each kind there are, and how many were changed."""
    return {tally.kind: (tally.states.total(), tally.changed) for tally in tallies}


@pytest.mark.usefixtures("quick")
def test_everything_is_under_the_new_key_afterwards(seen: Seen) -> None:
    store = seen(NEW, OLD)
    put(store)
    tallies = rotate(store.sealed)
    assert texts(store, NEW) == expected(12)
    assert summary(tallies) == {
        "TOTP seeds": (24, 24), "TOTP seeds of deleted accounts": (12, 12), "DKIM keys": (12, 12),
        "TLS keys": (12, 12),
    }  # fmt: skip
    assert all(tally.states == {"current": tally.changed} for tally in tallies)


@pytest.mark.usefixtures("quick")
def test_a_second_time_changes_nothing(seen: Seen) -> None:
    store = seen(NEW, OLD)
    put(store, 3)
    rotate(store.sealed)
    before = [list(place.collection.find({})) for place in store.sealed.places]
    assert [tally.changed for tally in rotate(store.sealed)] == [0, 0, 0, 0]
    assert [list(place.collection.find({})) for place in store.sealed.places] == before


@pytest.mark.usefixtures("quick")
def test_all_forms_and_what_cannot_be_read(seen: Seen, store: Store) -> None:
    store = seen(NEW, OLD)
    put(store, 8, FORMS)
    found = {tally.kind: tally.states for tally in survey(store.sealed)}
    assert found["TOTP seeds"] == {"outdated": 4, "current": 4, "clear": 4, "unreadable": 4}
    lost = store.databases.main["dkim"].find_one({"domain": "3.example"})
    assert lost
    tallies = {tally.kind: tally for tally in rotate(store.sealed)}
    assert tallies["TOTP seeds"].states == {"current": 12, "unreadable": 4}
    assert tallies["TOTP seeds"].changed == 8
    assert tallies["DKIM keys"].unreadable[0] == f"{lost['_id']}.privateKey"
    assert store.databases.main["dkim"].find_one({"domain": "3.example"}) == lost
    assert {tally.kind: tally.states for tally in survey(store.sealed)} == {
        kind: tally.states for kind, tally in tallies.items()
    }


@pytest.mark.usefixtures("quick")
def test_a_kind_without_a_key_stays(store: Store, mongo: Any, databases: Any) -> None:
    put(store, 2, ("clear",))
    partly = Store(mongo, databases, keys=KeyRings(dkim=KeyRing(NEW)))
    assert summary(rotate(partly.sealed)) == {"DKIM keys": (2, 2)}
    row = store.databases.users["users"].find_one({"username": "0.example"})
    assert row
    assert row["seed"] == f"{SEED}0"


@pytest.mark.parametrize("at", [1, 10, 25, 40])
@pytest.mark.usefixtures("quick")
def test_broken_off_and_started_again(seen: Seen, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    store = seen(NEW, OLD)
    put(store)
    written = 0

    def failing(secret: Any, stored: str) -> bool:
        nonlocal written
        written += 1
        if written > at:
            raise Stop
        return replace(secret, stored)

    replace = store.sealed.replace
    with monkeypatch.context() as patch:
        patch.setattr(store.sealed, "replace", failing)
        with pytest.raises(Stop):
            rotate(store.sealed)
    both = KeyRing(NEW, [OLD])
    rows = store.databases.users["users"].find({"seed": {"$gt": ""}}).sort("_id", 1)
    assert [both.decrypt(row["seed"]) for row in rows] == [f"{SEED}{number}" for number in range(12)]
    tallies = rotate(store.sealed)
    assert texts(store, NEW) == expected(12)
    assert 0 < sum(tally.changed for tally in tallies) <= 60 - at


def test_killed_half_way(seen: Seen, mongod: Mongod, tmp_path: Path) -> None:
    """The command itself, ended with SIGKILL in the middle; another one finishes."""
    store = seen(NEW)
    put(store, 8, ("clear",))
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MALLARD_")},
        "MALLARD_MONGO_URI": mongod.uri,
        "MALLARD_DATABASE": "test",
        "MALLARD_STATE_DIR": str(tmp_path),
        "MALLARD_ENCRYPTION_SECRET": NEW,
    }
    command = [sys.executable, "-m", "commands", "secrets", "rotate", "--json"]
    first = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while _encrypted(store) < 3:
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert 3 <= _encrypted(store) < 40
    second = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert second.returncode == 0, second.stderr
    assert _encrypted(store) == 40
    assert [sum(row[state] for row in json.loads(second.stdout)) for state in ("current", "clear")] == [40, 0]
    assert texts(store, NEW) == expected(8)


def _encrypted(store: Store) -> int:
    return sum(
        place.collection.count_documents({name: {"$regex": "^[$]"}})
        for place in store.sealed.places
        for name in place.fields
    )


@pytest.mark.usefixtures("quick")
def test_what_others_write_meanwhile_stays(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is posted between reading and storing, and an account is deleted; neither is lost or left behind."""
    store, pair = seen(NEW, OLD), generate("ed25519")
    put(store, 6)
    users = store.databases.users
    replace, done = store.sealed.replace, threading.Event()

    def meanwhile(secret: Any, stored: str) -> bool:
        if secret.place.kind == "DKIM keys" and not done.is_set():
            done.set()
            # A process that was not started again yet still writes under the old key.
            old = seen(OLD, "").dkim
            old.put("5.example", "fresh", pair, old.keys.encrypt(pair.private), "")
            restored = users["deletedusers"].find_one_and_delete({"username": "0.example"})
            users["users"].delete_one({"username": "0.example"})
            users["users"].insert_one({**(restored or {}), "seed": KeyRing(OLD).encrypt("restored")})
        return bool(replace(secret, stored))

    monkeypatch.setattr(store.sealed, "replace", meanwhile)
    tallies = rotate(store.sealed)
    assert done.is_set()
    assert all(tally.states.keys() <= {"current"} for tally in tallies)
    found = texts(store, NEW)
    assert "restored" in found
    assert pair.private in found


@pytest.mark.usefixtures("quick")
def test_two_at_once_do_no_harm(seen: Seen) -> None:
    store = seen(NEW, OLD)
    put(store, 8)
    others = [threading.Thread(target=lambda: rotate(seen(NEW, OLD).sealed)) for _ in range(3)]
    for other in others:
        other.start()
    tallies = rotate(store.sealed)
    for other in others:
        other.join()
    assert texts(store, NEW) == expected(8)
    assert all(tally.states.keys() == {"current"} for tally in tallies)


@pytest.mark.usefixtures("quick")
def test_steps_are_bounded_and_told(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.keys.sealed._STEP", 5)
    store = seen(NEW, OLD)
    put(store)
    told: list[tuple[str, int]] = []

    def report(place: Place, documents: int, tally: Tally) -> None:
        told.append((place.kind, documents))

    rotate(store.sealed, report)
    assert told[:3] == [("TOTP seeds", 5), ("TOTP seeds", 5), ("TOTP seeds", 3)]
    assert max(documents for _, documents in told) == 5
    assert texts(store, NEW) == expected(12)


@pytest.mark.usefixtures("quick")
def test_steps_follow_the_index_of_ids(store: Store, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.keys.sealed._STEP", 5)
    put(store, 12, ("clear",))
    place = store.sealed.places[2]
    entries = profiled(store.databases.main, "dkim", lambda: list(store.sealed.steps(place)))
    assert len(entries) == 4
    for entry in entries[1:]:
        assert_indexed(entry, most=5)


@pytest.mark.usefixtures("quick")
def test_secrets_do_not_show_themselves(seen: Seen) -> None:
    store = seen(NEW, OLD)
    put(store, 1, ("clear",))
    shown = repr([list(store.sealed.steps(place)) for place in store.sealed.places])
    assert not any(word in shown for word in (OLD, NEW, SEED))


@pytest.mark.usefixtures("quick")
def test_a_user_can_log_in_with_totp_before_and_after(seen: Seen) -> None:
    store = seen(NEW, OLD)
    user = store.databases.users["users"].insert_one(
        {
            "_id": ObjectId(),
            "username": "ada",
            "unameview": "ada",
            "seed": sealed(SEED, OLD),
            "enabled2fa": ["totp"],
        }
    )
    rotate(store.sealed)
    row: Row | None = store.databases.users["users"].find_one({"_id": user.inserted_id})
    assert row
    assert KeyRing(NEW).open(row["seed"]).text == SEED
    assert not KeyRing(NEW).open(row["seed"]).is_outdated
    assert store.second_factors.accept_step(row["_id"], row["seed"], 1)

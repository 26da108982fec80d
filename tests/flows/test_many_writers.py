"""Sixteen writers on two mailboxes through several instances of the service, and what must hold whatever they did."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from jobs.runner import Runner
from jobs.sweep import Sweep
from server.contract.operations import Contract
from server.http.app import create_app
from server.processes.mongod import Mongod
from server.settings.table import Settings
from storage.base.database import DatabaseNames
from storage.store import Store
from tests.conftest import Client
from tests.rows import Row

WRITERS, ROUNDS, INSTANCES = 16, 12, 3
RAW = {"Content-Type": "message/rfc822"}
FILE = (
    b"From: g@example.com\r\nSubject: %d\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n"
    b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + b"QUJD" * 19
    + b"\r\n--b--\r\n"
)
Seen = dict[int, list[str] | None]


@pytest.fixture(params=["replica set", "lone server"])
def clients(
    request: pytest.FixtureRequest,
    mongod: Mongod,
    databases: DatabaseNames,
    settings: Settings,
    contract: Contract,
) -> Iterator[list[Client]]:
    """A client of each instance; instances share the database and nothing else."""
    connections: list[MongoClient[dict[str, Any]]] = [MongoClient(mongod.uri) for _ in range(INSTANCES)]
    stores = [Store(connection, databases) for connection in connections]
    for store in stores:
        if request.param == "lone server":
            store.transactions.available = False
    yield [Client(create_app(settings, store, contract)) for store in stores]
    for connection in connections:
        connection.close()


class Writer:
    """Does one thing after the other, and keeps count of what it was told that it did."""

    def __init__(self, client: Client, account: str, boxes: tuple[str, str], number: int) -> None:
        self.client = client
        self.account = account
        self.boxes = boxes
        self.random = Random(number)
        self.done: Counter[str] = Counter()

    def work(self) -> Counter[str]:
        self.add(self.boxes[0])
        for _ in range(ROUNDS):
            source, target = self.random.sample(self.boxes, 2)
            one = self.random.choice(self.uids(source))
            do = self.random.choice(
                [
                    self.add,
                    self.add,
                    self.flag,
                    self.flag,
                    self.move,
                    self.move,
                    self.delete,
                    self.expire,
                    self.retain,
                ]
            )
            do(source, one, target)
        return self.done

    def uids(self, box: str) -> list[int]:
        """Some that are there, or were a moment ago."""
        rows = self.ask("GET", box, query_string={"limit": 20}).json["results"]
        return [row["id"] for row in rows] or [1]

    def add(self, box: str, *_: Any) -> None:
        self.ask("POST", box, data=FILE % self.random.getrandbits(30), headers=RAW)
        self.done["EXISTS"] += 1

    def flag(self, box: str, uid: int, _: str) -> None:
        body = {self.random.choice(["seen", "flagged", "draft"]): self.random.random() < 0.7}
        answer = self.ask("PUT", box, json={"message": f"{uid},{uid + 1}", **body})
        self.done["FETCH"] += answer.json.get("updated", 0)

    def move(self, box: str, uid: int, target: str) -> None:
        answer = self.ask("PUT", box, json={"message": f"{uid},{uid + 1}", "moveTo": target, "seen": True})
        self.done["EXPUNGE"] += answer.json.get("updated", 0)
        self.done["EXISTS"] += answer.json.get("updated", 0)

    def delete(self, box: str, uid: int, _: str) -> None:
        answer = self.client.delete(f"{self.path(box)}/{uid}")
        assert answer.status_code in (200, 404), answer.json
        self.done["EXPUNGE"] += answer.status_code == 200

    def expire(self, box: str, uid: int, _: str) -> None:
        """The sweep that goes on beside takes it from now on."""
        answer = self.ask("PUT", box, json={"message": str(uid), "expires": "2020-01-01T00:00:00Z"})
        self.done["FETCH"] += answer.json.get("updated", 0)

    def retain(self, box: str, *_: Any) -> None:
        """Dates all that is there anew."""
        days = self.random.choice([0, 30, 60])
        path = self.path(box).removesuffix("/messages")
        answer = self.client.put(path, json={"retention": days * 86_400_000})
        assert answer.status_code == 200, answer.json

    def path(self, box: str) -> str:
        return f"/users/{self.account}/mailboxes/{box}/messages"

    def ask(self, method: str, box: str, **options: Any) -> Any:
        """Somebody else may have been faster with a message; nothing else may go wrong."""
        answer = self.client.request(method, self.path(box), **options)
        assert answer.status_code == 200 or answer.json["code"] == "MessageNotFound", answer.json
        return answer


class Follower:
    """Follows a mailbox as an IMAP session does: entries above the sequence that it has seen, and never looks back.

    Without transactions a change can be seen before its entry, and entries come out of order: then nothing is exact
    before all is done, and flags that two set at once may be told in the other order.
    """

    def __init__(self, store: Store, box: str, *, exact: bool) -> None:
        self.exact = exact
        self.main = store.databases.main
        self.box = ObjectId(box)
        self.modseq = self.highest = self.uid_next = 0
        self.seen: Seen = {}
        self.gone: set[int] = set()

    def follow(self, stop: threading.Event) -> None:
        """Look again and again, and once more when all is done."""
        while not stop.wait(0.005):
            if self.exact:
                self.look()
        self.look()

    def look(self) -> None:
        """Take in what is new."""
        box = self.main["mailboxes"].find_one({"_id": self.box})
        assert box
        assert (box["modifyIndex"], box["uidNext"]) >= (self.highest, self.uid_next), "neither ever goes back"
        self.highest, self.uid_next = box["modifyIndex"], box["uidNext"]
        wanted = {"mailbox": self.box, "modseq": {"$gt": self.modseq}}
        for row in self.main["journal"].find(wanted).sort([("modseq", 1), ("_id", 1)]):
            self.take(row)
            self.modseq = row["modseq"]

    def take(self, row: Row) -> None:
        """A UID comes once, changes only while it is there, and goes once."""
        uid = row["uid"]
        if row["command"] == "EXISTS":
            assert uid not in self.seen, row
            assert uid not in self.gone, row
            self.seen[uid] = None
        elif row["command"] == "EXPUNGE":
            assert uid in self.seen, row
            del self.seen[uid]
            self.gone.add(uid)
        elif self.exact or uid in self.seen:
            assert uid in self.seen, row
            self.seen[uid] = row["flags"]


def sweep(store: Store, stop: threading.Event) -> int:
    """What has expired goes, meanwhile and in the end. How many it took on; others may have been faster with some."""
    taken, ended = 0, False
    while not ended:
        ended = stop.wait(0.05)
        taken += (Sweep(store).run() or {"messages": 0})["messages"]
    return taken


def finish(store: Store) -> None:
    """What was left to jobs."""
    runner = Runner(store)
    while runner.run_one():
        pass


def test_many_writers(
    clients: list[Client], store: Store, make_user: Callable[..., ObjectId], request: pytest.FixtureRequest
) -> None:
    user, exact = make_user(), "lone" not in request.node.callspec.id
    boxes = [
        str(box["_id"]) for box in store.mailboxes.of_user(user) if box["path"] in ("INBOX", "Sent Mail")
    ]
    followers = [Follower(store, box, exact=exact) for box in boxes]
    writers = [Writer(clients[n % INSTANCES], str(user), (boxes[0], boxes[1]), n) for n in range(WRITERS)]
    stop = threading.Event()
    with ThreadPoolExecutor(WRITERS + len(boxes) + 1) as pool:
        followed = [pool.submit(follower.follow, stop) for follower in followers]
        swept = pool.submit(sweep, store, done_writing := threading.Event())
        try:
            done = list(pool.map(Writer.work, writers))
        finally:
            done_writing.set()
            expired = swept.result()
            stop.set()
        for follow in followed:
            follow.result()
    said = sum(done, Counter[str]())
    assert len(said) == 3, "each kind of change must have happened"
    check_journal(store, user, said, expired)
    finish(store)
    for follower in followers:
        check_mailbox(store, clients[0], user, follower)
    check_account(store, user)


def check_journal(store: Store, user: ObjectId, said: Counter[str], expired: int) -> None:
    """An entry for each change that somebody was told of, and none for what did not happen."""
    rows = list(store.databases.main["journal"].find({"user": user, "uid": {"$exists": True}}))
    told = Counter(row["command"] for row in rows)
    assert 0 < told["EXPUNGE"] - said["EXPUNGE"] <= expired
    assert (told["EXISTS"], told["FETCH"]) == (said["EXISTS"], said["FETCH"])
    arrivals = [(row["mailbox"], row["uid"]) for row in rows if row["command"] == "EXISTS"]
    assert len(set(arrivals)) == len(arrivals), "a UID was given twice"
    changes: dict[tuple[ObjectId, int], set[str]] = {}
    for row in rows:
        changes.setdefault((row["mailbox"], row["modseq"]), set()).add(row["command"])
    assert all(len(kinds) == 1 for kinds in changes.values()), "two changes have one sequence"


def replayed(store: Store, box: ObjectId) -> Seen:
    """What a client of getUpdates, which gets entries in the order of their ids, holds in the end."""
    seen: Seen = {}
    for row in store.databases.main["journal"].find({"mailbox": box}).sort("_id", 1):
        if row["command"] == "EXPUNGE":
            seen.pop(row["uid"], None)
        else:
            seen[row["uid"]] = row.get("flags")
    return seen


def check_mailbox(store: Store, client: Client, user: ObjectId, follower: Follower) -> None:
    """What a session saw, what is stored, and what the API counts are the same."""
    box = store.mailboxes.get(user, follower.box)
    here = {row["uid"]: row for row in store.databases.main["messages"].find({"mailbox": follower.box})}
    assert set(follower.seen) == set(here)
    assert replayed(store, follower.box) == follower.seen or not follower.exact
    for uid, flags in follower.seen.items():
        row = here[uid]
        assert flags is None or not follower.exact or sorted(flags) == sorted(row["flags"])
        mirrors = {"\\Seen": not row["unseen"], "\\Flagged": row["flagged"], "\\Draft": row["draft"]}
        assert {flag for flag, is_set in mirrors.items() if is_set} == set(row["flags"])
        assert row["uid"] < box["uidNext"]
        assert row["modseq"] <= box["modifyIndex"]
        if follower.exact:
            assert row["retention"] == box["retention"]
            assert row.get("rdate") == (row["retentionTime"] + box["retention"] if box["retention"] else None)
    counted = client.get(f"/users/{user}/mailboxes/{follower.box}").json
    assert (counted["total"], counted["unseen"]) == (len(here), sum(row["unseen"] for row in here.values()))


def check_account(store: Store, user: ObjectId) -> None:
    """Quota is what the messages take; the file is stored once, with a reference from each message and archived one."""
    main, files = store.databases.main, store.databases.gridfs["attachments.files"]
    messages = list(main["messages"].find({"user": user}))
    archived = list(main["archived"].find({"user": user}))
    assert store.users.get(user)["storageUsed"] == sum(row["size"] for row in messages)
    assert not {row["_id"] for row in messages} & {row["_id"] for row in archived}
    metadata = [file["metadata"] for file in files.find()]
    assert len(metadata) == 1
    assert store.databases.gridfs["attachments.chunks"].count_documents({}) == 1
    assert metadata[0]["c"] == len(messages) + len(archived)
    assert metadata[0]["m"] == sum(row["magic"] for row in messages + archived)

"""getUpdates over real sockets: events in order, resumed without loss or repetition, ended in time."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from bson import ObjectId

from server.processes.mongod import Mongod
from storage.events.documents import JournalEntry
from storage.messages.intake import NewMessage
from storage.messages.uid_set import UidSet
from storage.store import Store
from tests.rows import Row
from tests.updates.conftest import TOKEN, start_api

Listen = Callable[..., Any]
RAW = b"From: grace@example.com\r\nSubject: Hello\r\n\r\nDear Ada"


def entries(client: Any) -> list[Row]:
    """The events that are entries of the journal."""
    return [event for event in client.seen if event["command"] not in ("COUNTERS", "DROP", "LOGOUT")]


def journal(store: Store, user: Row) -> list[str]:
    return [str(row["_id"]) for row in store.databases.main["journal"].find({"user": user["_id"]})]


def test_each_change_is_told_as_it_happens(listen: Listen, store: Store, user: Row, inbox: Row) -> None:
    client = listen(user["_id"]).read(lambda c: bool(c.comments))
    assert client.status == 200
    head = client.head.decode().lower()
    for line in ("content-type: text/event-stream", "cache-control: no-cache", "x-accel-buffering: no"):
        assert line in head
    message = store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
    mailbox = str(inbox["_id"])
    common = {"uid": 1, "message": str(message["_id"]), "thread": str(message["thread"]), "mailbox": mailbox}
    idate = message["idate"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
    first, counters = client.wait(2)
    assert first == {"command": "EXISTS", **common, "idate": idate, "id": first["id"]}
    assert first["id"] in journal(store, user)
    assert counters == {"command": "COUNTERS", "mailbox": mailbox, "total": 1, "unseen": 1, "id": first["id"]}

    store.message_changes.update(user["_id"], inbox["_id"], UidSet((1,)), {"seen": True})
    fetch, counters = client.wait(4)[2:]
    assert fetch == {"command": "FETCH", **common, "flags": ["\\Seen"], "id": fetch["id"]}
    assert (counters["total"], counters["unseen"], counters["id"]) == (1, 0, fetch["id"])
    store.message_changes.update(user["_id"], inbox["_id"], UidSet((1,)), {"flagged": True})
    assert client.wait(5)[4]["flags"] == ["\\Seen", "\\Flagged"]

    store.removal.delete(user["_id"], inbox["_id"], 1)
    gone, counters = client.wait(7)[5:]
    assert gone == {"command": "EXPUNGE", **common, "id": gone["id"]}
    assert (counters["command"], counters["total"], counters["unseen"]) == ("COUNTERS", 0, 0)


def test_mailboxes(listen: Listen, store: Store, user: Row) -> None:
    client = listen(user["_id"]).read(lambda c: bool(c.comments))
    box = store.mailboxes.create(user["_id"], "Work", {}, 100)
    store.mailboxes.update(store.mailboxes.get(user["_id"], box), "Play", {})
    client.wait(2)
    found = store.mailboxes.get(user["_id"], box)
    store.transactions.run(lambda session: store.mailboxes.delete(found, session))
    seen = client.wait(4)
    told = [{name: value for name, value in event.items() if name != "id"} for event in seen]
    mailbox = str(box)
    assert told == [
        {"command": "CREATE", "mailbox": mailbox, "path": "Work"},
        {"command": "RENAME", "mailbox": mailbox, "path": "Play"},
        {"command": "DROP", "mailbox": mailbox},
        {"command": "DELETE", "mailbox": mailbox},
    ]
    assert [bool(event["id"]) for event in seen] == [True, True, False, True]


def test_a_move_tells_both_sides_and_both_counters(
    listen: Listen, store: Store, user: Row, inbox: Row
) -> None:
    junk = store.mailboxes.by_special_use(user["_id"], "\\Junk")["_id"]
    for _ in range(3):
        store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
    client = listen(user["_id"]).read(lambda c: bool(c.comments))
    store.message_changes.move(user["_id"], inbox["_id"], junk, UidSet((1, 2)), {})
    seen = client.wait(6)
    assert [event["command"] for event in seen] == ["EXPUNGE"] * 2 + ["EXISTS"] * 2 + ["COUNTERS"] * 2
    assert [event["junk"] for event in seen[2:4]] == [1, 1]
    assert [(event["mailbox"], event["total"]) for event in seen[4:]] == [
        (str(inbox["_id"]), 1),
        (str(junk), 2),
    ]


def test_without_an_id_nothing_is_replayed(listen: Listen, store: Store, user: Row, inbox: Row) -> None:
    store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
    client = listen(user["_id"]).read(lambda c: bool(c.comments))
    second = store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
    assert [event["uid"] for event in client.wait(2)[:1]] == [second["uid"]]


@pytest.mark.parametrize("place", ["header", "query"])
def test_a_resume_begins_behind_the_id(
    listen: Listen, store: Store, user: Row, inbox: Row, place: str
) -> None:
    client = listen(user["_id"]).read(lambda c: bool(c.comments))
    for _ in range(5):
        store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
    seen = [event for event in client.read(lambda c: len(entries(c)) == 5).seen if "uid" in event]
    client.close()
    last = seen[1]["id"]
    options = {"last": last} if place == "header" else {"query": f"?Last-Event-ID={last}"}
    again = listen(user["_id"], **options).read(lambda c: bool(c.comments))
    assert entries(again) == seen[2:]
    assert [event["command"] for event in again.seen][-1] == "COUNTERS"


def test_an_id_that_never_was(listen: Listen, store: Store, user: Row, inbox: Row) -> None:
    for _ in range(3):
        store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
    everything = listen(user["_id"], last="0" * 24).read(lambda c: bool(c.comments))
    assert [event["uid"] for event in entries(everything)] == [1, 2, 3]
    nothing = listen(user["_id"], last="f" * 24).read(lambda c: bool(c.comments))
    assert nothing.seen == []
    assert nothing.comments == [": idling 1"]


def test_a_long_replay_goes_on_from_page_to_page(listen: Listen, store: Store, user: Row, inbox: Row) -> None:
    rows: list[JournalEntry] = [
        {"command": "FETCH", "uid": n, "modseq": n, "unseenChange": True} for n in range(1, 1051)
    ]
    store.journal.append(user["_id"], inbox["_id"], rows)
    client = listen(user["_id"], last="0" * 24).read(lambda c: bool(c.comments))
    assert [event["uid"] for event in entries(client)] == list(range(1, 1051))
    assert len(client.seen) == 1051, "the counters are told once"


def test_an_entry_of_a_slow_writer_with_a_smaller_id(
    listen: Listen, store: Store, user: Row, inbox: Row
) -> None:
    """Others make ids of their own clock; what appears later comes later, before a cut and behind it."""
    collection = store.databases.main["journal"]
    now = int(time.time())
    ids = [
        ObjectId(bytes([*(now - age).to_bytes(4, "big"), *([n] * 8)]))
        for n, age in enumerate((0, 50, 20, 90))
    ]

    def write(entry: ObjectId) -> None:
        row = {"_id": entry, "user": user["_id"], "mailbox": inbox["_id"], "command": "CREATE", "path": "x"}
        collection.insert_one({**row, "modseq": 1, "created": store.clock()})

    client = listen(user["_id"]).read(lambda c: bool(c.comments))
    write(ids[0])
    write(ids[1])
    assert [event["id"] for event in client.wait(2)] == [str(entry) for entry in ids[:2]]
    client.close()
    write(ids[2])
    again = listen(user["_id"], last=client.seen[0]["id"]).read(lambda c: bool(c.comments))
    write(ids[3])
    assert [event["id"] for event in again.wait(3)] == [str(entry) for entry in ids[1:]]


def test_a_transaction_that_commits_late(listen: Listen, store: Store, user: Row, inbox: Row) -> None:
    client = listen(user["_id"]).read(lambda c: bool(c.comments))
    row: JournalEntry = {"command": "CREATE", "path": "late", "modseq": 1}
    with store.databases.client.start_session() as session, session.start_transaction():
        store.journal.append(user["_id"], inbox["_id"], [row], session=session)
        store.journal.append(user["_id"], inbox["_id"], [{**row, "path": "early"}])
        client.wait(1)
        time.sleep(1.1)
    assert [event["path"] for event in client.wait(2)] == ["early", "late"]
    again = listen(user["_id"], last=client.seen[0]["id"]).read(lambda c: bool(c.comments))
    assert [event["path"] for event in again.seen] == ["late"]


@pytest.mark.timeout(180)
def test_cut_again_and_again_under_concurrent_writers(
    listen: Listen, mongod: Mongod, store: Store, store_name: str, user: Row, inbox: Row
) -> None:
    """What was read before and after every cut is together exactly the journal, each entry once.

    Writers insert in transactions that commit late, with ids of several processes; the client goes to and fro
    between two API processes.
    """
    other = start_api(mongod.uri, store_name)
    stop = threading.Event()

    def write(number: int) -> None:
        chance = random.Random(number)
        while not stop.is_set():
            if number == 0:
                store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
                continue
            rows: list[JournalEntry] = [
                {"command": "FETCH", "uid": 1, "modseq": 1} for _ in range(chance.randint(1, 4))
            ]
            for row in rows:
                age = chance.randint(0, 3)
                seconds = (int(time.time()) - age).to_bytes(4, "big")
                row["_id"] = ObjectId(seconds + chance.randbytes(8))
            with store.databases.client.start_session() as session, session.start_transaction():
                store.journal.append(user["_id"], inbox["_id"], rows, session=session)
                time.sleep(chance.random() * 0.3)

    first = listen(user["_id"]).read(lambda c: bool(c.comments))
    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        seen = [event["id"] for event in entries(first.read(lambda c: len(entries(c)) > 20))]
        last, chance = first.last, random.Random(7)
        ports = [other.port, first.port]
        for cut in range(25):
            client = listen(user["_id"], last=last, port=ports[cut % 2])
            wanted = chance.randint(1, 30)
            client.read(lambda c, wanted=wanted: len(entries(c)) >= wanted)
            client.close()
            seen += [event["id"] for event in entries(client)]
            last = client.last
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    written = journal(store, user)
    rest = listen(user["_id"], last=last, port=other.port)
    rest.read(lambda c: len(seen) + len(entries(c)) >= len(written))
    seen += [event["id"] for event in entries(rest)]
    other.stop()
    assert len(seen) == len(set(seen)), "nothing comes twice"
    assert set(seen) == set(written), "nothing is lost"
    assert len(seen) > 200


def test_others_hear_nothing(
    listen: Listen, store: Store, user: Row, inbox: Row, make_user: Callable[..., ObjectId]
) -> None:
    bob = listen(make_user("bob")).read(lambda c: bool(c.comments))
    client = listen(user["_id"]).read(lambda c: bool(c.comments))
    store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
    client.wait(2)
    bob.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        bob.socket.recv(1)


def test_keep_alive(listen: Listen, user: Row) -> None:
    client = listen(user["_id"])
    begin = time.monotonic()
    client.read(lambda c: len(c.comments) == 2, 20)
    assert 14 < time.monotonic() - begin < 17
    assert client.comments == [": idling 1", ": idling 2"]


def session_of(store: Store, user: Row) -> str:
    return store.tokens.issue(user, secret="a secret cat", ttl=1000)


@pytest.mark.parametrize(
    "reason", ["token", "program's token", "disabled", "suspended", "deleted", "password"]
)
def test_it_ends_with_the_right_to_it(listen: Listen, api: Any, store: Store, user: Row, reason: str) -> None:
    program = reason == "program's token"
    token = (
        store.tokens.provision("app", "webmail", secret="a secret cat")
        if program
        else session_of(store, user)
    )
    client = listen(user["_id"], token=token).read(lambda c: bool(c.comments))
    other = listen(user["_id"]).read(lambda c: bool(c.comments))
    path = f"http://127.0.0.1:{api.port}/users/{user['_id']}"
    changes: dict[str, dict[str, Any]] = {
        "disabled": {"disabled": True}, "suspended": {"suspended": True}, "password": {"password": "new one"},
    }  # fmt: skip
    change = changes.get(reason)
    if reason == "deleted":
        store.users.discard(user["_id"])
    elif change:
        headers = {"X-Access-Token": TOKEN}
        assert requests.put(path, json=change, headers=headers, timeout=10).status_code == 200
    else:
        store.tokens.delete_text(token)
    client.read(lambda c: c.ended, 8)
    assert client.ended
    if reason in ("suspended", "password"):
        assert other.wait(1)[0] == {"command": "LOGOUT", "reason": "Authentication required", "id": None}
    if reason in ("deleted", "disabled", "suspended"):
        other.read(lambda c: c.ended, 8)
    else:
        assert not other.ended


def test_a_session_that_is_kept_goes_on(
    listen: Listen, api: Any, store: Store, user: Row, inbox: Row
) -> None:
    token = session_of(store, user)
    client = listen(user["_id"], token=token).read(lambda c: bool(c.comments))
    change = {"password": "new one", "existingPassword": "correct horse battery"}
    path = f"http://127.0.0.1:{api.port}/users/me"
    assert requests.put(path, json=change, headers={"X-Access-Token": token}, timeout=10).status_code == 200
    assert client.wait(1)[0]["command"] == "LOGOUT"
    time.sleep(6)
    store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
    assert client.wait(2)[1]["command"] == "EXISTS"


def test_a_client_that_does_not_read_is_dropped(
    listen: Listen, api: Any, store: Store, user: Row, inbox: Row
) -> None:
    client = listen(user["_id"], last="0" * 24)
    flags = ["x" * 1000] * 20
    for _ in range(10):
        rows: list[JournalEntry] = [
            {"command": "FETCH", "uid": n, "modseq": n, "flags": flags} for n in range(100)
        ]
        store.journal.append(user["_id"], inbox["_id"], rows)
    before = memory(api.process.pid)
    deadline = time.monotonic() + 50
    while connections(api, client) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not connections(api, client)
    assert memory(api.process.pid) - before < 40_000
    second = listen(user["_id"]).read(lambda c: bool(c.comments))
    assert second.status == 200


def memory(parent: int) -> int:
    """kB of the worker."""
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as children:
        worker = children.read().split()[0]
    with open(f"/proc/{worker}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def connections(api: Any, client: Any) -> bool:
    """Whether the server still holds its side of the client's connection open."""
    own = f"{client.socket.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return any(
        row[1].endswith(f":{api.port:04X}") and row[2].endswith(f":{own}") and row[3] == "01" for row in rows
    )


def test_a_stop_ends_the_streams_at_once(listen: Listen, mongod: Mongod, store_name: str, user: Row) -> None:
    api = start_api(mongod.uri, store_name)
    clients = [listen(user["_id"], port=api.port).read(lambda c: bool(c.comments)) for _ in range(20)]
    seconds = api.stop()
    for client in clients:
        client.read(lambda c: c.ended, 5)
        assert client.ended
    assert seconds < 5


@pytest.mark.parametrize(
    ("path", "options", "status", "code"),
    [
        ("{user}", {"last": "123"}, 400, "InputValidationError"),
        ("{user}", {"query": "?Last-Event-ID=x"}, 400, "InputValidationError"),
        ("{user}", {"query": "?foo=1"}, 400, "InputValidationError"),
        ("{user}", {"token": "f" * 40}, 403, "InvalidToken"),
        ("5d48a1f5fd1a4d1be0d4a1c1", {}, 404, "UserNotFound"),
        ("nobody", {}, 400, "InputValidationError"),
    ],
)
def test_what_is_refused(
    listen: Listen, user: Row, path: str, options: dict[str, str], status: int, code: str
) -> None:
    client = listen(path.format(user=user["_id"]), **options)
    assert (client.status, client.code) == (status, code)


def test_streams_of_others_and_wrong_roles(
    listen: Listen, store: Store, user: Row, make_user: Callable[..., ObjectId]
) -> None:
    bob = store.users.get(make_user("bob"))
    for token in (session_of(store, bob), store.tokens.provision("x", "settings", secret="a secret cat")):
        client = listen(user["_id"], token=token)
        assert (client.status, client.code) == (403, "MissingPrivileges")
    assert listen("me", token=session_of(store, user)).status == 200


def test_a_disabled_account(listen: Listen, store: Store, make_user: Callable[..., ObjectId]) -> None:
    client = listen(make_user("grace", disabled=True))
    assert (client.status, client.code) == (403, "UserDisabled")


def test_one_account_cannot_take_all_places(listen: Listen, user: Row) -> None:
    statuses = [listen(user["_id"]).status for _ in range(101)]
    assert statuses == [200] * 100 + [429]


def test_who_leaves_makes_room_at_once(listen: Listen, user: Row) -> None:
    for _ in range(2):
        clients = [listen(user["_id"]).read(lambda c: bool(c.comments)) for _ in range(100)]
        assert {client.status for client in clients} == {200}
        for client in clients:
            client.close()
        time.sleep(1)


def test_an_idle_stream_costs_a_few_kilobytes(
    listen: Listen, api: Any, make_user: Callable[..., ObjectId]
) -> None:
    users = [make_user(f"u{number}") for number in range(6)]
    for _ in range(90):
        listen(users[0]).read(lambda c: bool(c.comments))
    time.sleep(1)
    before = memory(api.process.pid)
    for user in users[1:]:
        for _ in range(90):
            listen(user).read(lambda c: bool(c.comments))
    time.sleep(1)
    assert (memory(api.process.pid) - before) / 450 < 6, "kB; with a greenlet for each it was 20"


def test_a_client_of_http_1_0(api: Any, store: Store, user: Row, inbox: Row) -> None:
    with socket.create_connection(("127.0.0.1", api.port), 10) as client:
        client.sendall(
            f"GET /users/{user['_id']}/updates HTTP/1.0\r\nX-Access-Token: {TOKEN}\r\n\r\n".encode()
        )
        data = b""
        while b": idling 1" not in data:
            data += client.recv(65536)
        store.intake.add(NewMessage(user=user, mailbox=inbox, raw=RAW))
        while b"COUNTERS" not in data:
            data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert body.startswith(b": idling 1\n\ndata: {")

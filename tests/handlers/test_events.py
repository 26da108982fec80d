"""Each event of the catalogue: what is done, and the whole body that a hook is told.

Beside it: each operation tells the events that the contract names with it (`x-events`), and no others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyotp
import pytest
from bson import ObjectId
from flask import Response

from jobs.runner import Runner
from server.contract.operations import Contract
from server.http.request import ApiRequest
from server.http.wsgi import Application
from storage.events.catalogue import CATALOGUE, DATE, ID, NUMBER, OBJECT, PEOPLE, PERSON, TEXT
from storage.messages.intake import NewMessage
from storage.store import Store
from tests.authority import BETWEEN, issue
from tests.rows import Row

Told = Callable[[], list[Row]]
HEX = re.compile(r"[0-9a-f]{24}")
BY_MAIL = {"message.received"}
_SEEN: set[str] = set()
_TOLD: set[tuple[str, str]] = set()


def is_person(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"name", "address"}


FITS: dict[str, Callable[[Any], bool]] = {
    ID: lambda value: isinstance(value, str) and bool(HEX.fullmatch(value)),
    TEXT: lambda value: isinstance(value, str),
    NUMBER: lambda value: type(value) is int,
    DATE: lambda value: datetime.fromisoformat(value).tzinfo is UTC and len(value) == 24,
    PERSON: is_person,
    PEOPLE: lambda value: all(is_person(person) for person in value),
    OBJECT: lambda value: isinstance(value, dict),
}


def flat(value: Row, kind: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of all that the catalogue names as a field of its own."""
    for name, part in value.items():
        path = prefix + name
        if isinstance(part, dict) and path not in CATALOGUE[kind].fields:
            yield from flat(part, kind, path + ".")
        else:
            yield path, part


def check(body: Row) -> None:
    """Hold a body against the catalogue: no field is missing, none is unknown, each has its type."""
    kind, (first, second, third, *_) = body["ev"], body
    assert (first, second, third) == ("id", "time", "ev")
    assert re.fullmatch(r"[0-9a-f]{24}:\d+", body["id"])
    assert abs(body["time"] / 1000 - datetime.now(UTC).timestamp()) < 60
    fields = CATALOGUE[kind].fields
    found = dict(flat({name: v for name, v in body.items() if name not in ("id", "time", "ev")}, kind))
    needed = {name for name, field in fields.items() if not field.optional}
    assert needed <= found.keys() <= fields.keys(), kind
    for name, value in found.items():
        assert FITS[fields[name].kind](value), (kind, name, value)
    _SEEN.add(kind)


class Tellers:
    """Notes which operation told what; what a job tells, until the next request, counts for the one before it."""

    def __init__(self, store: Store) -> None:
        self._entries = store.databases.main["webhookqueue"]
        self._known: list[Any] = []
        self._operation = ""

    def note(self) -> None:
        new = list(self._entries.find({"_id": {"$nin": self._known}}, {"type": 1}))
        self._known += [row["_id"] for row in new]
        _TOLD.update((self._operation, row["type"]) for row in new if row["type"] not in BY_MAIL)

    def answered(self, request: ApiRequest, response: Response) -> None:
        self._operation = request.operation_id or ""
        self.note()


@pytest.fixture
def told(store: Store, app: Application) -> Told:
    """What hooks were told since the last call, in order, without `id` and `time`, and as the catalogue says."""
    store.webhooks.create(["*", "message.*"], "https://hooks.example.com/", None)
    tellers = Tellers(store)
    app.departures.append(tellers.answered)

    def read() -> list[Row]:
        entries = store.databases.main["webhookqueue"]
        tellers.note()
        bodies = [row["body"] for row in entries.find({}).sort([("user", 1), ("n", 1)])]
        entries.delete_many({})
        for body in bodies:
            check(body)
        return [
            {name: value for name, value in body.items() if name not in ("id", "time")} for body in bodies
        ]

    return read


def one(told: Told) -> Row:
    bodies = told()
    assert len(bodies) == 1, bodies
    return bodies[0]


@pytest.fixture
def ann(client: Any, told: Told) -> str:
    """An account; its making is told already."""
    answer = client.post(
        "/users", json={"username": "ann", "password": "correct horse", "address": "ann@example.com"}
    )
    told()
    return str(answer.json["id"])


def test_an_account_is_made(client: Any, told: Told) -> None:
    targets = ["grace@elsewhere.example", "https://u:secret@hooks.example.com/x"]
    body = {
        "username": "ann",
        "password": "correct horse",
        "name": "Ann",
        "address": "ann@example.com",
        "targets": targets,
    }
    ann = client.post("/users", json=body).json["id"]
    forwards = [
        {"ev": "forward added", "user": ann, "type": "user", "target": target}
        for target in (targets[0], "https://u:***@hooks.example.com/x")
    ]
    created = {
        "ev": "user.created",
        "user": ann,
        "username": "ann",
        "name": "Ann",
        "address": "ann@example.com",
    }
    assert told() == [created, *forwards]


def test_an_account_without_a_name_or_an_address(client: Any, told: Told) -> None:
    ann = client.post(
        "/users", json={"username": "ann", "password": "correct horse", "emptyAddress": True}
    ).json["id"]
    assert one(told) == {"ev": "user.created", "user": ann, "username": "ann", "address": ""}


def test_an_account_that_is_refused_is_not_told(client: Any, told: Told, ann: str) -> None:
    body = {"username": "bob", "password": "correct horse", "address": "ann@example.com"}
    assert client.post("/users", json=body).status_code == 400
    assert told() == []


def test_an_account_is_changed(client: Any, told: Told, ann: str) -> None:
    client.put(f"/users/{ann}", json={"name": "Anna"})
    assert told() == []
    client.put(
        f"/users/{ann}",
        json={"password": "another horse", "disable2fa": True, "targets": ["b@elsewhere.example"]},
    )
    assert told() == [
        {"ev": "user.password.changed", "user": ann},
        {"ev": "mfa.disabled", "user": ann},
        {"ev": "forward added", "user": ann, "type": "user", "target": "b@elsewhere.example"},
    ]
    client.put(f"/users/{ann}", json={"targets": ["c@elsewhere.example", "b@elsewhere.example"]})
    assert [body["target"] for body in told()] == ["c@elsewhere.example"]
    client.post(f"/users/{ann}/password/reset", json={})
    assert told() == []


def test_an_account_is_deleted_and_brought_back(client: Any, told: Told, ann: str) -> None:
    answer = client.delete(f"/users/{ann}?deleteAfter=2090-01-01T00:00:00Z").json
    assert one(told) == {
        "ev": "user.delete.started", "user": ann,
        "result": {
            "user": ann, "addresses": {"deleted": 1}, "deleteAfter": "2090-01-01T00:00:00.000Z", "task": answer["task"],
        },
    }  # fmt: skip
    client.delete(f"/users/{ann}?deleteAfter=2090-01-01T00:00:00Z")
    assert one(told)["result"]["addresses"] == {"deleted": 0}
    client.post(f"/users/{ann}/restore")
    result = {"user": ann, "task": answer["task"], "addresses": {"recovered": 1, "main": "ann@example.com"}}
    assert one(told) == {"ev": "user.delete.cancelled", "user": ann, "result": result}
    assert client.post(f"/users/{ann}/restore").status_code == 404
    assert told() == []


def test_the_data_of_an_account_are_gone(client: Any, store: Store, told: Told, ann: str) -> None:
    box = client.get(f"/users/{ann}/mailboxes/resolve?path=INBOX").json["id"]
    for _ in range(2):
        client.post(f"/users/{ann}/mailboxes/{box}/messages", json={"subject": "Hello", "text": "x"})
    client.post(f"/users/{ann}/asps", json={"description": "phone"})
    task = client.delete(f"/users/{ann}").json["task"]
    told()
    Runner(store).run_one()
    gone = {"mailboxes": 5, "asps": 1, "filters": 0, "autoreplies": 0, "addressregister": 1, "messages": 2}
    assert one(told) == {
        "ev": "user.delete.completed", "user": ann,
        "result": {**{name: {"deleted": count} for name, count in gone.items()}, "task": task},
    }  # fmt: skip


def test_addresses_of_an_account(client: Any, told: Told, ann: str) -> None:
    address = client.post(f"/users/{ann}/addresses", json={"address": "a.nn@example.net"}).json["id"]
    about = {"user": ann, "address": address, "value": "a.nn@example.net"}
    assert one(told) == {"ev": "address.user.created", **about}
    client.delete(f"/users/{ann}/addresses/{address}")
    assert one(told) == {"ev": "address.user.deleted", **about}
    assert client.delete(f"/users/{ann}/addresses/{address}").status_code == 404
    assert told() == []


def test_forwarded_addresses(client: Any, told: Told) -> None:
    body = {"address": "list@example.net", "targets": ["ann@example.com"]}
    address = client.post("/addresses/forwarded", json=body).json["id"]
    about = {"address": address, "value": "list@example.net"}
    assert one(told) == {"ev": "address.forwarded.created", **about}
    client.delete(f"/addresses/forwarded/{address}")
    assert one(told) == {"ev": "address.forwarded.deleted", **about}


def test_a_domain_is_renamed(client: Any, told: Told, ann: str) -> None:
    client.put("/addresses/renameDomain", json={"oldDomain": "Example.com", "newDomain": "example.org"})
    assert one(told) == {"ev": "address.domain.renamed", "previous": "example.com", "current": "example.org"}


def test_domain_aliases(client: Any, told: Told) -> None:
    alias = client.post("/domainaliases", json={"alias": "example.org", "domain": "example.com"}).json["id"]
    about = {"domainalias": alias, "alias": "example.org", "domain": "example.com"}
    assert one(told) == {"ev": "domainalias.created", **about}
    assert (
        client.post("/domainaliases", json={"alias": "example.org", "domain": "example.com"}).status_code
        == 400
    )
    client.delete(f"/domainaliases/{alias}")
    assert one(told) == {"ev": "domainalias.deleted", **about}


def test_filters(client: Any, told: Told, ann: str) -> None:
    body = {"query": {"from": "x"}, "action": {"targets": ["b@elsewhere.example"]}}
    made = client.post(f"/users/{ann}/filters", json=body).json["id"]
    forward = {"ev": "forward added", "user": ann, "type": "filter", "filter": made}
    assert told() == [
        {**forward, "target": "b@elsewhere.example"},
        {"ev": "filter.created", "user": ann, "filter": made},
    ]
    client.put(
        f"/users/{ann}/filters/{made}",
        json={"action": {"targets": ["b@elsewhere.example", "c@elsewhere.example"]}},
    )
    assert one(told) == {**forward, "target": "c@elsewhere.example"}
    client.delete(f"/users/{ann}/filters/{made}")
    assert one(told) == {"ev": "filter.deleted", "user": ann, "filter": made}


def test_application_passwords(client: Any, told: Told, ann: str) -> None:
    asp = client.post(f"/users/{ann}/asps", json={"description": "phone"}).json["id"]
    about = {"user": ann, "asp": asp, "description": "phone"}
    assert one(told) == {"ev": "asp.created", **about}
    client.delete(f"/users/{ann}/asps/{asp}")
    assert one(told) == {"ev": "asp.deleted", **about}


def test_automatic_answers(client: Any, told: Told, ann: str) -> None:
    path = f"/users/{ann}/autoreply"
    client.put(path, json={"status": True, "text": "Away"})
    assert one(told) == {"ev": "autoreply.user.enabled", "user": ann}
    client.put(path, json={"status": True, "text": "Still away"})
    assert told() == []
    client.put(path, json={"status": False})
    assert one(told) == {"ev": "autoreply.user.disabled", "user": ann}
    client.delete(path)
    assert told() == []
    client.put(path, json={"status": True})
    client.delete(path)
    assert [body["ev"] for body in told()] == ["autoreply.user.enabled", "autoreply.user.disabled"]


def test_second_factors(client: Any, told: Told, ann: str) -> None:
    path = f"/users/{ann}/2fa"
    seed = client.post(f"{path}/totp/setup", json={"issuer": "Example"}).json["seed"]
    assert told() == []
    assert client.post(f"{path}/totp/enable", json={"token": "000000"}).status_code == 400
    assert told() == []
    client.post(f"{path}/totp/enable", json={"token": pyotp.TOTP(seed).now()})
    client.put(f"{path}/custom", json={})
    client.delete(f"{path}/totp")
    client.delete(f"{path}/custom")
    client.delete(path)
    assert told() == [
        {"ev": f"mfa.{what}", "user": ann}
        for what in ("totp.enabled", "custom.enabled", "totp.disabled", "custom.disabled", "disabled")
    ]


def test_mailboxes(client: Any, told: Told, ann: str) -> None:
    box = client.post(f"/users/{ann}/mailboxes", json={"path": "Work"}).json["id"]
    assert one(told) == {"ev": "mailbox.created", "user": ann, "mailbox": box, "path": "Work"}
    body = {"query": {"from": "x"}, "action": {"mailbox": box}}
    filters = [client.post(f"/users/{ann}/filters", json=body).json["id"] for _ in range(2)]
    told()
    client.put(f"/users/{ann}/mailboxes/{box}", json={"path": "Play", "subscribed": False})
    assert one(told) == {
        "ev": "mailbox.renamed",
        "user": ann,
        "mailbox": box,
        "previous": "Work",
        "current": "Play",
    }
    client.put(f"/users/{ann}/mailboxes/{box}", json={"subscribed": True})
    assert told() == []
    client.delete(f"/users/{ann}/mailboxes/{box}")
    gone = [{"ev": "filter.deleted", "user": ann, "filter": found} for found in filters]
    assert told() == [*gone, {"ev": "mailbox.deleted", "user": ann, "mailbox": box, "path": "Play"}]


RAW = (
    "From: =?utf-8?q?Gr=C3=A4ce?= <grace@xn--bcher-kva.example>\r\nTo: ann@example.com, Bob <b@example.com>\r\n"
    "Cc: c@example.com\r\nSubject: =?utf-8?q?=C3=9Cber?=\r\nMessage-ID: <1@example.com>\r\n\r\nHello"
)


@pytest.fixture
def boxes(client: Any, ann: str) -> dict[str, str]:
    """Ids by special use, `inbox` for INBOX."""
    found = client.get(f"/users/{ann}/mailboxes").json["results"]
    return {(row["specialUse"] or row["path"]).strip("\\").lower(): row["id"] for row in found}


@pytest.fixture
def stored(client: Any, ann: str, boxes: dict[str, str]) -> int:
    """The UID of a message in INBOX."""
    answer = client.post(
        f"/users/{ann}/mailboxes/{boxes['inbox']}/messages",
        data=RAW.encode(),
        headers={"Content-Type": "message/rfc822"},
    )
    return int(answer.json["message"]["id"])


def marked(client: Any, kind: str, ann: str, box: str, uid: int) -> Row:
    """The event about a message as it stands."""
    shown = client.get(f"/users/{ann}/mailboxes/{box}/messages/{uid}").json
    return {
        "ev": kind, "user": ann, "mailbox": box, "message": uid, "thread": shown["thread"],
        "from": {"name": "Gräce", "address": "grace@bücher.example"},
        "to": [{"name": "", "address": "ann@example.com"}, {"name": "Bob", "address": "b@example.com"}],
        "cc": [{"name": "", "address": "c@example.com"}],
        "messageId": "<1@example.com>", "subject": "Über", "date": shown["idate"],
    }  # fmt: skip


def test_spam_and_no_spam_by_moving(
    client: Any, told: Told, ann: str, boxes: dict[str, str], stored: int
) -> None:
    def move(source: str, uid: int, target: str, **more: Any) -> int:
        answer = client.put(
            f"/users/{ann}/mailboxes/{boxes[source]}/messages",
            json={"message": str(uid), "moveTo": boxes[target], **more},
        )
        return int(answer.json["id"][0][1])

    assert told() == [], "arrival is no event"
    uid = move("inbox", stored, "junk")
    assert one(told) == marked(client, "marked.spam", ann, boxes["junk"], uid)
    uid = move("junk", uid, "trash")
    assert told() == []
    uid = move("trash", uid, "junk")
    assert told() == [], "it was spam all the time"
    uid = move("junk", uid, "inbox")
    assert one(told) == marked(client, "marked.ham", ann, boxes["inbox"], uid)
    uid = move("inbox", uid, "trash", markHam=True)
    assert one(told) == marked(client, "marked.ham", ann, boxes["trash"], uid)
    uid = move("trash", uid, "junk", flagged=True)
    assert one(told)["ev"] == "marked.spam", "spam wins"


@pytest.mark.parametrize("change", [{"markHam": True}, {"markHam": True, "seen": True}, {"flagged": True}])
def test_no_spam_by_an_update(
    client: Any, told: Told, ann: str, boxes: dict[str, str], stored: int, change: Row
) -> None:
    path = f"/users/{ann}/mailboxes/{boxes['inbox']}/messages/{stored}"
    assert client.put(path, json=change).json["updated"] == 1
    assert one(told) == marked(client, "marked.ham", ann, boxes["inbox"], stored)
    client.put(path, json={"flagged": False, "markHam": False})
    assert told() == []


def test_each_message_of_an_update_is_told(
    client: Any, told: Told, ann: str, boxes: dict[str, str], stored: int
) -> None:
    path = f"/users/{ann}/mailboxes/{boxes['inbox']}/messages"
    uids = [stored, *(client.post(path, json={"subject": "x"}).json["message"]["id"] for _ in range(3))]
    client.put(path, json={"message": "1:*", "flagged": True})
    bodies = told()
    assert [body["message"] for body in bodies] == uids
    assert bodies[1]["from"] == {"name": "", "address": "ann@example.com"}


def test_spam_and_no_spam_by_a_restore(
    client: Any, told: Told, ann: str, boxes: dict[str, str], stored: int
) -> None:
    client.delete(f"/users/{ann}/mailboxes/{boxes['inbox']}/messages/{stored}")

    def restore(box: str) -> int:
        archived = client.get(f"/users/{ann}/archived/messages").json["results"][0]["id"]
        answer = client.post(
            f"/users/{ann}/archived/messages/{archived}/restore", json={"mailbox": boxes[box]}
        )
        return int(answer.json["id"])

    uid = restore("junk")
    assert one(told) == marked(client, "marked.spam", ann, boxes["junk"], uid)
    client.delete(f"/users/{ann}/mailboxes/{boxes['junk']}/messages/{uid}")
    uid = restore("inbox")
    assert one(told) == marked(client, "marked.ham", ann, boxes["inbox"], uid)


def test_spam_and_no_spam_by_jobs(
    client: Any, store: Store, told: Told, ann: str, boxes: dict[str, str], stored: int
) -> None:
    def apply(source: str, target: str) -> None:
        body = {"mailbox": boxes[source], "action": {"moveTo": boxes[target]}}
        assert client.post(f"/users/{ann}/search", json=body).status_code == 200
        Runner(store).run_one()

    apply("inbox", "junk")
    assert one(told)["ev"] == "marked.spam"
    apply("junk", "inbox")
    assert one(told)["ev"] == "marked.ham"
    apply("inbox", "junk")
    told()
    client.delete(f"/users/{ann}/mailboxes/{boxes['junk']}/messages")
    client.post(f"/users/{ann}/archived/restore", json={"start": "2026-01-01", "end": "2090-01-01"})
    Runner(store).run_one()
    assert [body["ev"] for body in told()] == ["mailbox.created", "marked.ham"]


def test_a_message_without_a_sender_but_with_results(
    client: Any, store: Store, told: Told, ann: str, boxes: dict[str, str]
) -> None:
    account = store.users.get(ObjectId(ann))
    inbox = store.mailboxes.get(ObjectId(ann), ObjectId(boxes["inbox"]))
    results = {"spf": "example.com", "bimi": ObjectId()}
    message = store.intake.add(
        NewMessage(user=account, mailbox=inbox, raw=b"Subject: x\r\n\r\n", verification_results=results)
    )
    client.put(f"/users/{ann}/mailboxes/{boxes['inbox']}/messages/{message['uid']}", json={"flagged": True})
    body = one(told)
    assert (body["from"], body["verificationResults"]) == (
        {"name": "", "address": ""},
        {"spf": "example.com"},
    )


def test_mail_comes_in(client: Any, store: Store, told: Told, ann: str, boxes: dict[str, str]) -> None:
    account = store.users.get(ObjectId(ann))
    inbox = store.mailboxes.get(ObjectId(ann), ObjectId(boxes["inbox"]))
    message = store.intake.add(
        NewMessage(user=account, mailbox=inbox, raw=RAW.encode(), event="message.received")
    )
    assert one(told) == marked(client, "message.received", ann, boxes["inbox"], message["uid"])


def test_dkim_keys(client: Any, told: Told) -> None:
    made = client.post("/dkim", json={"domain": "Example.com", "selector": "a", "keyType": "ed25519"}).json
    about = {"dkim": made["id"], "domain": "example.com", "selector": "a", "fingerprint": made["fingerprint"]}
    assert one(told) == {"ev": "dkim.created", **about}
    made = client.post("/dkim", json={"domain": "example.com", "selector": "b", "keyType": "ed25519"}).json
    about.update(selector="b", fingerprint=made["fingerprint"])
    assert one(told) == {"ev": "dkim.updated", **about}
    client.delete(f"/dkim/{made['id']}")
    assert one(told) == {"ev": "dkim.deleted", **about}
    assert client.delete(f"/dkim/{made['id']}").status_code == 404
    assert told() == []


def test_certificates(client: Any, told: Told) -> None:
    host = "mail.example.com"
    issued = issue(host, by=BETWEEN)
    body = {"servername": host, "privateKey": issued.key_pem, "cert": f"{issued.pem}\n{BETWEEN.pem}"}
    made = client.post("/certs", json=body).json
    about = {"cert": made["id"], "servername": host, "fingerprint": made["fingerprint"]}
    assert one(told) == {"ev": "cert.created", **about}
    client.post("/certs", json=body)
    assert one(told) == {"ev": "cert.updated", **about}
    client.delete(f"/certs/{made['id']}")
    assert one(told) == {"ev": "cert.deleted", **about}
    registered = client.post("/certs", json={"servername": host, "acme": True}).json["id"]
    assert told() == [], "there is no certificate yet"
    client.delete(f"/certs/{registered}")
    assert one(told)["fingerprint"] == ""


def test_every_event_of_the_catalogue_was_seen() -> None:
    """The last of this file: an event that no test brings about may be told nowhere."""
    if len(_SEEN) < 5:
        pytest.skip("the tests before it did not run")
    assert CATALOGUE.keys() - _SEEN == set()


def test_each_operation_tells_what_the_contract_names(contract: Contract) -> None:
    if len(_SEEN) < len(CATALOGUE):
        pytest.skip("the tests before it did not run")
    items = (item for path in contract.document["paths"].values() for item in path.values())
    operations = [item for item in items if "operationId" in item]
    named = {(item["operationId"], kind) for item in operations for kind in item.get("x-events", ())}
    assert named == _TOLD
    assert {kind for _, kind in named} == CATALOGUE.keys() - BY_MAIL

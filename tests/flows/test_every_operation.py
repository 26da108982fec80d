"""Every operation's main path under `mallard api` as it is run: a patched process, its gevent worker, a real socket.

What works in the tests' own process may fail there: a thread of gevent's pool is no place to start a program, for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests
from pymongo import MongoClient

from server.contract.operations import Contract
from server.processes.mongod import Mongod
from storage.base.database import DatabaseNames
from storage.store import Store
from tests.authority import issue, new_key
from tests.conftest import emptied
from tests.contract.things import NEEDED
from tests.contract.world import World
from tests.rows import Row
from tests.updates.conftest import start_api

OPERATIONS = [operation.operation_id for operation in Contract().operations]
WITH_MAIL = [
    "uploadMessage",
    "submitMessage",
    "submitStoredMessage",
    "updateMessage",
    "forwardStoredMessage",
    "getMessage",
    "getMessageSource",
    "searchApplyMessages",
    "restoreMessage",
    "deleteMessage",
]
WITH_2FA = ["authenticate", "updateUser", "getUser", "createASP", "checkTotp2FA", "resetUserPassword"]
VARIANTS = ["account with PGP", "account with S/MIME", "mailbox with PGP"]
RAW = {"Content-Type": "message/rfc822"}


class Live:
    """Asks a running server as `tests.conftest.Client` asks an application."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._session = requests.Session()

    def request(self, method: str, path: str, **options: Any) -> Any:
        headers, data, files = dict(options.get("headers") or {}), options.get("data"), None
        if "json" in options:
            data = orjson.dumps(options["json"], default=str)
            headers["Content-Type"] = "application/json"
        if isinstance(data, dict):
            stream, name = data["content"]
            files = {"content": (name, stream)}
            data = {key: value for key, value in data.items() if key != "content"}
        answer = self._session.request(
            method, self._base + path, params=options.get("query_string"), headers=headers, data=data,
            files=files, stream=True, timeout=60,
        )  # fmt: skip
        return Heard(answer)


class Heard:
    """An answer, with the names that Werkzeug has for its parts."""

    def __init__(self, answer: requests.Response) -> None:
        self.status_code = answer.status_code
        self.headers = answer.headers
        self.data = b""
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            self.data = answer.content
        answer.close()

    @property
    def json(self) -> Any:
        return orjson.loads(self.data)


@pytest.fixture(scope="module")
def live(mongod: Mongod, databases: DatabaseNames) -> Iterator[Live]:
    """One server for all tests of this file."""
    served = start_api(mongod.uri, databases.main, MALLARD_TOKEN="")
    yield Live(served.port)
    served.stop()


@pytest.fixture(scope="module")
def world(
    mongo: MongoClient[Any], databases: DatabaseNames, contract: Contract, live: Live
) -> Iterator[World]:
    with emptied(mongo, databases):
        yield World(mongo, databases, contract, client=live)


@pytest.fixture(scope="module")
def key_fields(pgp_key: str) -> Row:
    """What an account has for each variant."""
    return {
        "account with PGP": {"pubKey": pgp_key, "encryptMessages": True},
        "account with S/MIME": {
            "smimeCerts": [issue("Ada", key=new_key("rsa")).pem],
            "encryptMessages": True,
        },
        "mailbox with PGP": {"pubKey": pgp_key},
    }


@pytest.fixture(scope="module", params=VARIANTS)
def secret_world(
    request: pytest.FixtureRequest, mongo: MongoClient[Any], databases: DatabaseNames, contract: Contract,
    live: Live, key_fields: Row,
) -> Iterator[World]:  # fmt: skip
    """One where each account, or each mailbox, wants its mail encrypted."""

    def alter(store: Store) -> None:
        store.databases.users["users"].update_many({}, {"$set": key_fields[request.param]})
        if request.param.startswith("mailbox"):
            store.databases.main["mailboxes"].update_many({}, {"$set": {"encryptMessages": True}})

    with emptied(mongo, databases):
        pass  # of what the world of the tests before has made
    with emptied(mongo, databases):
        yield World(mongo, databases, contract, client=live, alter=alter)


def answers(world: World, name: str, *also: str) -> list[Any]:
    """What each example of an operation is answered; every one finds what there was before."""
    names = world.furnish(name, also=also)
    wanted = list(world.requests(name, names))
    if len(wanted) == 1:
        return [world.send(wanted[0])]
    before = world.disk.keep()
    found = []
    for request in wanted:
        found.append(world.send(request))
        world.disk.restore(before)
    return found


def assert_done(found: list[Any]) -> None:
    assert [one.status_code for one in found] == [200] * len(found), [one.data[:500] for one in found]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_under_the_real_worker(world: World, name: str) -> None:
    assert_done(answers(world, name))


@pytest.mark.parametrize("name", WITH_2FA)
def test_an_operation_on_an_account_with_2fa(world: World, name: str) -> None:
    assert_done(answers(world, name, *(() if "totp" in NEEDED[name] else ("totp",))))


@pytest.mark.parametrize("name", WITH_MAIL)
def test_an_operation_on_encrypted_mail(secret_world: World, name: str) -> None:
    assert_done(answers(secret_world, name))


def test_an_upload_is_stored_encrypted(secret_world: World) -> None:
    names = secret_world.furnish("uploadMessage")
    path = f"/users/{names['user']}/mailboxes/{names['mailbox']}/messages"
    raw = b"Subject: secret\r\n\r\n" + b"the words of it\r\n" * 20_000
    answer = secret_world.client.request("POST", path, data=raw, headers=RAW)
    assert answer.status_code == 200, answer.data
    source = secret_world.client.request("GET", f"{path}/{answer.json['message']['id']}/message.eml")
    assert source.status_code == 200
    assert b"the words of it" not in source.data
    assert b"multipart/encrypted" in source.data or b"application/pkcs7-mime" in source.data


@pytest.mark.parametrize("variant", VARIANTS[:2])
def test_keys_are_looked_at_when_they_are_given(world: World, key_fields: Row, variant: str) -> None:
    names = world.furnish("updateUser")
    answer = world.client.request("PUT", f"/users/{names['user']}", json=key_fields[variant])
    assert answer.status_code == 200, answer.data
    shown = world.client.request("GET", f"/users/{names['user']}").json
    assert shown["encryptMessages"] is True
    assert shown["keyInfo"] if "pubKey" in key_fields[variant] else shown["smimeCertInfo"]

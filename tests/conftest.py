"""What all tests share: one real mongod for the run, an empty database for each test, the whole app over it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import orjson
import pytest
from bson import ObjectId
from flask import Flask
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from handlers.call import Call
from handlers.users import create_user
from security.passwords import hash_password
from server.contract.operations import Contract
from server.http.app import create_app
from server.processes import logging as logs
from server.processes.mongod import Mongod
from server.settings.table import Settings
from storage.base.database import DatabaseNames
from storage.store import Store
from tests.rows import Row

# The same examples each time where nobody looks at a new one that fails; others look for more.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

PASSWORD = "correct horse battery"
_HASH = hash_password(PASSWORD)
CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A mongod of the run's own."""
    server = Mongod(tmp_path_factory.mktemp("mongod"), cache=512)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mongo(mongod: Mongod) -> Iterator[MongoClient[dict[str, Any]]]:
    """A connection to it."""
    with MongoClient(mongod.uri) as client:
        yield client


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The contract, read once."""
    return Contract()


@pytest.fixture(scope="session")
def databases(mongo: MongoClient[dict[str, Any]]) -> DatabaseNames:
    """One database with all indexes: one for each test would have mongod hold tens of thousands of files open."""
    names = DatabaseNames(main="test")
    Store(mongo, names).ensure_indexes()
    return names


@contextmanager
def emptied(mongo: MongoClient[dict[str, Any]], databases: DatabaseNames) -> Iterator[None]:
    """Removes all documents in the end; collections and indexes stay."""
    yield
    database = mongo.get_database(databases.main, write_concern=WriteConcern(w=1, j=False))
    for collection in database.list_collection_names():
        database[collection].delete_many({})


@pytest.fixture
def store(mongo: MongoClient[dict[str, Any]], databases: DatabaseNames) -> Iterator[Store]:
    """A store on an empty database, emptied again after the test."""
    with emptied(mongo, databases):
        yield Store(mongo, databases)


@pytest.fixture
def call(store: Store) -> Call:
    """A request of root, for tests that call a handler itself."""
    return Call(store=store)


@pytest.fixture
def make_user(call: Call) -> Callable[..., ObjectId]:
    """Makes accounts through the handler: `make_user("ada", quota=10)`. The password's hash is ready-made."""

    def make(username: str = "ada", **fields: Any) -> ObjectId:
        secret = {} if "password" in fields else {"password": _HASH, "hashedPassword": True}
        body = {"username": username, "address": f"{username}@example.com", **secret, **fields}
        return ObjectId(create_user(call=call, body=body)["id"])

    return make


@pytest.fixture
def user(store: Store, make_user: Callable[..., ObjectId]) -> Row:
    """The document of one account."""
    return store.users.get(make_user())


@pytest.fixture
def settings() -> Settings:
    """Settings of the app under test: open, every answer checked against the contract."""
    return Settings(validate_responses=True, log_level="error", mongo_uri="mongodb://unused")


AppOf = Callable[[Settings, Store], Flask]


@pytest.fixture(scope="session")
def app_of(contract: Contract) -> AppOf:
    """`app_of(settings, store)`: the whole application over a store.

    One for all tests with the same settings, as most would take longer to make it than to do their work; it gets the
    store of each test in turn.
    """
    made: dict[Settings, tuple[Flask, Store]] = {}

    def app_of(settings: Settings, store: Store) -> Flask:
        if settings not in made:
            own = copy.copy(store)
            made[settings] = create_app(settings, own, contract), own
        app, own = made[settings]
        own.__dict__ = store.__dict__
        return app

    return app_of


@pytest.fixture
def make_app(store: Store, settings: Settings, app_of: AppOf) -> Callable[..., Flask]:
    """`make_app(access_control=True)`: the whole application with some settings of its own."""

    def make(**own: Any) -> Flask:
        return app_of(replace(settings, **own), store)

    return make


@pytest.fixture
def app(store: Store, settings: Settings, app_of: AppOf) -> Flask:
    """The whole application."""
    logs.configure("json", "error")
    return app_of(settings, store)


class Client:
    """Speaks to the app as a REST client does; `token` is sent as X-Access-Token."""

    def __init__(self, app: Flask, token: str | None = None) -> None:
        self._client = app.test_client()
        self._headers = {"X-Access-Token": token} if token else {}

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request; `json=` is encoded with orjson, which knows more types than Flask's."""
        headers = {**self._headers, **options.pop("headers", {})}
        if "json" in options:
            options["data"] = orjson.dumps(options.pop("json"), default=str)
            headers.setdefault("Content-Type", "application/json")
        return self._client.open(path, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Any:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Any:
        return self.request("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self.request("DELETE", path, **options)


@pytest.fixture
def client(app: Flask) -> Client:
    """A client without a token, of an open API."""
    return Client(app)


@pytest.fixture
def corpus() -> list[Path]:
    """The files of the corpus of real messages."""
    files = sorted(p for p in CORPUS.rglob("*") if p.is_file() and p.name != "README.md")
    if not files:
        pytest.skip(f"the corpus of real messages is not at {CORPUS}")
    return files


@pytest.fixture(scope="session")
def pgp_key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PGP public key of Ada's, made by a real gpg."""
    import gnupg

    gpg = gnupg.GPG(gnupghome=str(tmp_path_factory.mktemp("gnupg")))
    wanted = gpg.gen_key_input(
        key_type="RSA", key_length=2048, name_real="Ada", name_email="ada@example.com", no_protection=True,
        subkey_type="RSA", subkey_length=2048, name_comment="",
    )  # fmt: skip
    key = gpg.gen_key(wanted)
    return str(gpg.export_keys(key.fingerprint))

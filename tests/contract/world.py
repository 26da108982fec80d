"""The application, and requests to it made of the document's own examples."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import pyotp
from bson import ObjectId
from flask import Flask
from pymongo import MongoClient

from server.contract.operations import Contract, Operation, examples_of
from server.http.app import create_app
from server.processes import logging as logs
from server.settings.table import Settings
from storage.base.database import DatabaseNames, utc_now
from storage.store import Store
from tests.conftest import Client
from tests.contract.ondisk import Disk, Kept
from tests.contract.things import ACCOUNT, Thing, needed_by

Document = dict[str, Any]
Names = dict[str, Any]
RAW = ("message/rfc822", "application/octet-stream")
_CODES = ("token", "totpNonce")


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the values of path, query and headers, and a body of some type."""

    operation: Operation
    path: Mapping[str, Any]
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str | None = None

    @property
    def url(self) -> str:
        """The path with its values."""
        return re.sub(r"{(\w+)}", lambda name: str(self.path[name[1]]), self.operation.path)

    def options(self) -> dict[str, Any]:
        """As `Client.request` takes them."""
        options: dict[str, Any] = {"query_string": dict(self.query), "headers": dict(self.headers)}
        if self.content_type == "multipart/form-data":
            file = (BytesIO(self.body["content"].encode()), self.body.get("filename", "file"))
            return {**options, "data": {**self.body, "content": file}, "content_type": self.content_type}
        if self.content_type in RAW:
            options["headers"]["Content-Type"] = self.content_type
            return {**options, "data": self.body.encode()}
        return {**options, "json": self.body} if self.content_type else options


class World:
    """One application for all operations; each finds the database furnished with what it asks for.

    `client` asks a server that runs already in place of an application made here. `alter` is called after each thing
    that is made, to have it otherwise.
    """

    def __init__(
        self,
        mongo: MongoClient[Document],
        databases: DatabaseNames,
        contract: Contract,
        *,
        client: Any = None,
        alter: Callable[[Store], None] | None = None,
    ) -> None:
        self._alter = alter
        self._later = timedelta()
        self.store = Store(mongo, databases, clock=lambda: utc_now() + self._later)
        self._app = None if client else self._make_app(contract)
        self.client = Client(self._app) if self._app else client
        self.disk = Disk(mongo, databases.main)
        self._empty = self.disk.keep()
        self._account: tuple[Kept, Names] | None = None
        self.operations = {operation.operation_id: operation for operation in contract.operations}

    def _make_app(self, contract: Contract) -> Flask:
        logs.configure("json", "error")
        settings = Settings(validate_responses=True, log_level="error", mongo_uri="mongodb://unused")
        return create_app(settings, self.store, contract)

    def close(self) -> None:
        """End what listens for changes of the database."""
        if self._app:
            self._app.extensions["streams"].shut_down()

    def furnish(self, operation_id: str, *, also: Sequence[str] = ()) -> Names:
        """Remove all there is and make what the operation asks for, and more; what the things made are called."""
        things = needed_by(operation_id, also)
        names: Names = {}
        if self._app is None:
            self._later = (
                timedelta()
            )  # a server has the time of the machine, and every used code is forgotten
        if things.pop("account", None):
            names.update(self._with_account())
        else:
            self.disk.restore(self._empty)
        for thing in things.values():
            self._make(thing, names)
        return names

    def _with_account(self) -> Names:
        """The account that most begin with is made once, since its password takes longer than all else."""
        if self._account is None:
            self.disk.restore(self._empty)
            names: Names = {}
            self._make(ACCOUNT, names)
            self._account = self.disk.keep(), names
        kept, names = self._account
        self.disk.restore(kept)
        return names

    def _make(self, thing: Thing, names: Names) -> None:
        requests = self.requests(thing.operation, names)
        answer = self.send(next(r for r in requests if thing.content_type in (None, r.content_type)))
        assert answer.status_code == 200, (thing, answer.json)
        names.update({name: at(answer.json, place) for name, place in thing.gives.items()})
        if self._alter:
            self._alter(self.store)
        if thing.operation == "enableTotp2FA":
            self._later += timedelta(seconds=30)  # a code is good for one time only

    def requests(self, operation_id: str, names: Names) -> Iterator[Request]:
        """A request for each example that the document has of the operation's body, or the one without a body."""
        return example_requests(self.operations[operation_id], names, self.store.clock())

    def send(self, request: Request) -> Any:
        """Send it as root."""
        return self.client.request(request.operation.method.upper(), request.url, **request.options())


def example_requests(operation: Operation, names: Names, now: datetime) -> Iterator[Request]:
    """A request for each example of the operation's body, with what `names` calls things; `now` is for codes."""
    if "seed" in names:
        names["token"] = pyotp.TOTP(names["seed"]).at(now)
    path = {p["name"]: path_value(p, names) for p in operation.parameters if p["in"] == "path"}
    query = {
        p["name"]: p["example"] for p in operation.parameters if p["in"] == "query" and p.get("required")
    }
    bodies = [
        (renamed(example, names), kind)
        for kind, media in operation.content_types.items()
        for example in examples_of(media)
    ]
    headers = {"X-Access-Token": names["session"]} if operation.access.possession == "token" else {}
    for body, kind in bodies or [(None, None)]:
        yield Request(operation, path, query, headers, body, kind)


def path_value(parameter: Mapping[str, Any], names: Names) -> Any:
    """What stands in the path for a parameter."""
    name, example = parameter["name"], parameter.get("example")
    if isinstance(example, str) and not is_id(example) and is_id(names.get(name)):
        return example  # a name, which a thing has beside its id
    return names.get(name, example)


def renamed(example: Any, names: Names) -> Any:
    """The example with the ids and codes that there are in place of its own."""
    if isinstance(example, list):
        return [renamed(part, names) for part in example]
    if not isinstance(example, dict):
        return example
    return {
        name: names[name] if name in names and _stands_for_another(name, value) else renamed(value, names)
        for name, value in example.items()
    }


def _stands_for_another(name: str, value: Any) -> bool:
    return is_id(value) or (name in _CODES and isinstance(value, str))


def at(answer: Any, place: str) -> Any:
    """`at(answer, "results.0.id")`."""
    for part in place.split("."):
        answer = answer[int(part)] if isinstance(answer, list) else answer[part]
    return answer


def is_id(value: Any) -> bool:
    """Whether a value is the text of an ObjectId."""
    return isinstance(value, str) and len(value) == 24 and ObjectId.is_valid(value)

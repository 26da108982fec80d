"""What made-up requests need to reach more than a 404: accounts, mailboxes and the like that are really there.

Schemathesis finds ids by links in its stateful phase alone. In the other phases each operation gets things of its own,
made by the examples of the document as tests/contract/things.py tells, and new ones once they are worn out.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from server.contract.operations import Operation
from tests.contract.things import Thing, needed_by
from tests.contract.world import RAW, Names, Request, at, example_requests

LIFE = 20
"""Requests after which an operation gets new things, as the requests change those that it has."""


@dataclass(slots=True)
class _Furnished:
    names: Names
    left: int = LIFE


class Ground:
    """Makes things by a running server, `MALLARD_URL` and `MALLARD_TOKEN` of the environment."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations
        self._http = requests.Session()
        self._http.headers["X-Access-Token"] = os.environ["MALLARD_TOKEN"]
        self._url = os.environ["MALLARD_URL"]
        self._made: dict[str, _Furnished] = {}

    def names(self, operation_id: str) -> Names:
        """What things are called that an operation can be asked about."""
        found = self._made.get(operation_id)
        if not found or not found.left:
            found = self._made[operation_id] = _Furnished(self._furnish(operation_id))
        found.left -= 1
        return found.names

    def wear_out(self, operation_id: str) -> None:
        """Make new things for the next request."""
        self._made.pop(operation_id, None)

    def _furnish(self, operation_id: str) -> Names:
        mark = secrets.token_hex(4)
        names: Names = {"username": f"user{mark}"}
        for thing in needed_by(operation_id).values():
            answer = self._make(thing, names, mark)
            names.update({name: at(answer, place) for name, place in thing.gives.items()})
        return names

    def _make(self, thing: Thing, names: Names, mark: str) -> Any:
        wanted = example_requests(self._operations[thing.operation], names, datetime.now(UTC))
        request = next(r for r in wanted if thing.content_type in (None, r.content_type))
        answer = self._send(request, mark)
        if answer.status_code != 200:
            raise RuntimeError(f"{thing.operation} made nothing: {answer.text}")
        return answer.json()

    def _send(self, request: Request, mark: str) -> requests.Response:
        options: dict[str, Any] = {"params": request.query, "headers": dict(request.headers)}
        if request.content_type in RAW:
            options["headers"]["Content-Type"] = request.content_type
            options["data"] = request.body.encode()
        elif request.content_type:
            options["json"] = _unique(request, mark)
        return self._http.request(request.operation.method.upper(), self._url + request.url, **options)


def _unique(request: Request, mark: str) -> dict[str, Any]:
    """The body with names of its own where there can be no two of a name."""
    body: dict[str, Any] = request.body
    kind = request.operation.operation_id.lower()
    own = {
        "username": f"user{mark}",
        "address": f"{kind}{mark}@example.com",
        "alias": f"{kind}{mark}.example.com",
    }
    return {**body, **{name: text for name, text in own.items() if name in body}}

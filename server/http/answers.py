"""What an operation answers as HTTP: JSON, a stream, and the check of both against the contract."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import jsonschema_rs
import orjson
from flask import Response, current_app

from handlers.answers import Stream
from handlers.call import do_nothing
from problems import InvalidContent, Problem, RequestTooLarge, UnsupportedMediaType
from server.contract.operations import Contract, Operation
from server.contract.schemas import to_json_schema
from server.http.errors import problem_response
from server.http.request import ApiRequest

_OF_ANY_OPERATION = (InvalidContent, RequestTooLarge, UnsupportedMediaType)
"""Failures of the body, which a DELETE may have without the contract giving it one."""


class Answer(Response):
    """The JSON of an operation, whole and in memory: sent as it stands, its headers not looked through again."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, content_type="application/json; charset=utf-8")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Called by the WSGI server."""
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response  # type: ignore[return-value]


def stream_response(request: ApiRequest, stream: Stream) -> Response:
    """A stream outlasts its request, a live one by hours, so it holds on to nothing of it.

    Where the worker has a stream hub, the hub takes a live one over, and no greenlet waits for it here.
    """
    hub = current_app.extensions.get("stream_hub")
    handover = hub.handover_body(request.environ, stream.live) if hub and stream.live else None
    chunks = handover or iter(stream.chunks)
    response = Response(chunks, headers=dict(stream.headers), content_type=stream.content_type)
    if handover:
        response.call_on_close(handover.close)
        return response
    if stream.on_end:
        response.call_on_close(stream.on_end)
    if stream.live:
        response.call_on_close(disconnector(request.environ))
    return response


def disconnector(environ: Mapping[str, Any]) -> Callable[[], None]:
    """What cuts the connection of a request, also under a send that waits for the client."""
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return do_nothing

    def disconnect() -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    return disconnect


class ContractBroken(Exception):
    """An answer is not what the contract promises: a fault of the server."""


class ResponseCheck:
    """The compiled response schemas of one operation."""

    def __init__(self, contract: Contract, operation: Operation) -> None:
        self._name = operation.operation_id
        self._validators: Mapping[str, Any] = {
            status: jsonschema_rs.Draft202012Validator(to_json_schema(schema, close=False))
            for status, schema in contract.response_schemas(operation)
        }

    def verify_problem(self, problem: Problem) -> None:
        """Raises ContractBroken when the failure is not documented, as its own code or as one of any operation."""
        if not isinstance(problem, _OF_ANY_OPERATION):
            response = problem_response(problem)
            self.verify(str(response.status_code), response.get_data())

    def verify(self, status: str, data: bytes) -> None:
        """Raises ContractBroken when the status is not documented or the body does not fit it."""
        validator = self._validators.get(status)
        if validator is None:
            raise ContractBroken(f"{self._name} answered {status}, which the contract does not document")
        errors = [f"{list(e.instance_path)}: {e.message}" for e in validator.iter_errors(orjson.loads(data))]
        if errors:
            raise ContractBroken(f"{self._name} answered {status} with {'; '.join(errors)[:2000]}")

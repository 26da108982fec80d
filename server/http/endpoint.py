"""A request's way through one operation: token, body, input, rights, handler, answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from flask import Response

from accounts.context import Caller, Rules
from handlers.answers import Stream
from handlers.call import Call
from problems import Problem
from server.contract.operations import Operation
from server.http.access import Gate, Permission, permit, token_of
from server.http.answers import Answer, ResponseCheck, disconnector, stream_response
from server.http.bodies import read_body, read_query
from server.http.inputs import Arguments, InputReader
from server.http.json import dumps
from server.http.request import ApiRequest, Fields, current_request
from server.http.uploads import Upload
from server.processes.offload import offload
from storage.store import Store
from updates.listeners import Streams


class Endpoint:
    """The view function of one operation."""

    def __init__(
        self,
        operation: Operation,
        function: Callable[..., Any],
        store: Store,
        gate: Gate,
        rules: Rules,
        check: ResponseCheck | None,
        streams: Streams | None = None,
    ) -> None:
        self.operation = operation
        self._function = function
        self._store = store
        self._gate = gate
        self._rules = rules
        self._check = check
        self._streams = streams
        self._headers = [p["name"] for p in operation.parameters if p["in"] == "header"]
        self._reader = InputReader(operation)
        self._arguments = Arguments(operation, function)

    def __call__(self, **path: str) -> Response:
        request = current_request()
        request.operation_id = self.operation.operation_id
        try:
            return self._respond(request, path)
        except Problem as problem:
            if self._check:
                self._check.verify_problem(problem)
            raise

    def _respond(self, request: ApiRequest, path: Mapping[str, str]) -> Response:
        caller = request.caller = self._gate.identify(token_of(request))
        if self.operation.streams:
            self._admit(request, path, caller)
        with ExitStack() as held:
            body, raw = read_body(request, self.operation, held)
            query = self._query(request)
            fields = request.fields = self._reader.read(path, query, body, caller.user_id)
            permission = permit(self.operation.access, caller, fields)
            result = self._result(request, permission, caller, fields, raw)
            return self._response(request, result, permission)

    def _admit(self, request: ApiRequest, path: Mapping[str, str], caller: Caller) -> None:
        """Before a large body is read: what path and query say must be right, and the caller allowed to send it."""
        fields = self._reader.read(path, self._query(request), {}, caller.user_id)
        permit(self.operation.access, caller, fields)

    def _query(self, request: ApiRequest) -> Fields:
        """The query's fields; those that the contract takes from headers as well win over them."""
        headers = {name: request.headers[name] for name in self._headers if name in request.headers}
        return {**read_query(request), **headers}

    def _result(
        self,
        request: ApiRequest,
        permission: Permission,
        caller: Caller,
        fields: Fields,
        raw: bytes | Upload | None,
    ) -> Any:
        arguments, body = self._reader.split(permission.filter_input(fields))
        if raw is not None:
            body["raw"] = raw
        call = Call(
            store=self._store,
            caller=caller,
            rules=self._rules,
            sess=fields.get("sess"),
            ip=fields.get("ip"),
            offload=offload,
            own_only=permission.own_only,
            streams=self._streams,
            disconnect=disconnector(request.environ),
        )
        return self._function(call=call, **self._arguments.fit(arguments, body))

    def _response(self, request: ApiRequest, result: Any, permission: Permission) -> Response:
        if isinstance(result, Stream):
            return stream_response(request, result)
        data = dumps(permission.filter_answer(result))
        if self._check:
            self._check.verify("200", data)
        return Answer(data)

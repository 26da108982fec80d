"""A request's way through one operation: token, body, input, rights, handler, answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from flask import Response, g, request, stream_with_context

from handlers.answer import Stream
from handlers.call import Call, Caller, Rules
from problems import Problem
from server.access import Gate, Permission, permit, token_of
from server.bodies import read_body, read_query
from server.contract import Operation
from server.inputs import Arguments, InputReader
from server.json import dumps
from server.offload import offload
from server.responses import ResponseCheck
from storage.store import Store

Values = dict[str, Any]
_LONGEST_PATH_PARAMETER = 196

log = structlog.get_logger()


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
    ) -> None:
        self.operation = operation
        self._function = function
        self._store = store
        self._gate = gate
        self._rules = rules
        self._check = check
        self._reader = InputReader(operation)
        self._arguments = Arguments(operation, function)

    def __call__(self, **path: str) -> Response:
        if any(len(value) > _LONGEST_PATH_PARAMETER for value in path.values()):
            raise Problem("ResourceNotFound", f"{request.path} does not exist")
        g.operation_id = self.operation.operation_id
        try:
            return self._answer(path)
        except Problem as problem:
            if self._check:
                self._check.verify_problem(problem)
            raise

    def _answer(self, path: Mapping[str, str]) -> Response:
        caller = g.caller = self._gate.identify(token_of(request))
        values, raw = self._input(path, caller)
        permission = permit(self.operation.access, caller, values)
        return self._response(self._result(permission, caller, values, raw), permission)

    def _input(self, path: Mapping[str, str], caller: Caller) -> tuple[Values, bytes | None]:
        body, raw = read_body(request, self.operation)
        values = self._reader.read(path, read_query(request), body, caller.user_id)
        g.input = values
        return values, raw

    def _result(self, permission: Permission, caller: Caller, values: Values, raw: bytes | None) -> Any:
        arguments, body = self._reader.split(permission.filter_input(values))
        if raw is not None:
            body["raw"] = raw
        call = Call(
            store=self._store,
            caller=caller,
            rules=self._rules,
            sess=values.get("sess"),
            ip=values.get("ip"),
            offload=offload,
            own_only=permission.own_only,
        )
        return self._function(call=call, **self._arguments.fit(arguments, body))

    def _response(self, result: Any, permission: Permission) -> Response:
        if isinstance(result, Stream):
            chunks = stream_with_context(iter(result.chunks))
            return Response(chunks, headers=dict(result.headers), content_type=result.content_type)
        data = dumps(permission.filter_answer(result))
        if self._check:
            self._check.verify("200", data)
        return Response(data, content_type="application/json; charset=utf-8")

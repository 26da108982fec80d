"""Answers checked against the contract: always in tests, in production where the setting asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import orjson

from problems import InvalidContent, Problem, RequestTooLarge, UnsupportedMediaType
from server.contract.operations import Contract, Operation
from server.contract.schemas import to_json_schema
from server.http.errors import problem_response

_OF_ANY_OPERATION = (InvalidContent, RequestTooLarge, UnsupportedMediaType)
"""Failures of the body, which a DELETE may have without the contract giving it one."""


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

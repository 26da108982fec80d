"""Connexion's API over the contract: it routes, finds the handlers and serves Swagger UI.

Beyond that a request goes its own way (`server.http.endpoint`), because Connexion reads the whole body before anyone
has looked at the token, validates path, query and body apart and stops at the first fault.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import orjson
from connexion.apis.flask_api import FlaskApi
from connexion.resolver import Resolution, Resolver
from flask import Response

from accounts.context import Rules
from server.contract.operations import Contract, Operation
from server.http.access import Gate
from server.http.answers import ResponseCheck
from server.http.endpoint import Endpoint
from storage.store import Store
from updates.listeners import Streams


def find_handler(operation: Operation) -> Callable[..., Any]:
    """The function of an operation. Raises AttributeError or ImportError: an operation without one is a fault."""
    module = importlib.import_module(operation.module)
    handler: Callable[..., Any] = getattr(module, operation.function)
    return handler


class TagResolver(Resolver):  # type: ignore[misc]
    """operationId → function: the first tag names the module, the operationId the function."""

    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        super().__init__()
        self._endpoints = endpoints

    def resolve(self, operation: Any) -> Resolution:
        """Called by Connexion for every operation of the document."""
        operation_id = operation._operation["operationId"]
        return Resolution(self._endpoints[operation_id], operation_id)


class ContractApi(FlaskApi):  # type: ignore[misc]
    """Connexion's Flask API whose view functions are endpoints."""

    def __init__(
        self,
        contract: Contract,
        store: Store,
        gate: Gate,
        rules: Rules,
        streams: Streams,
        *,
        check_responses: bool,
    ) -> None:
        self._document = orjson.dumps(contract.document)
        endpoints = {
            operation.operation_id: Endpoint(
                operation,
                find_handler(operation),
                store,
                gate,
                rules,
                ResponseCheck(contract, operation) if check_responses else None,
                streams,
            )
            for operation in contract.operations
        }
        super().__init__(
            contract.document,
            base_path="/",
            resolver=TagResolver(endpoints),
            options={"swagger_ui": True, "swagger_url": "/ui"},
        )

    def _add_operation_internal(self, method: str, path: str, operation: Any) -> None:
        """A second path, which the original serves without documenting it, stands in `x-also-at`."""
        raw = operation._operation
        with_slashes = {p["name"] for p in raw.get("parameters", ()) if p.get("x-slashes")}
        for place in (path, raw.get("x-also-at")):
            if place:
                self.blueprint.add_url_rule(
                    _rule(place, with_slashes),
                    operation.operation_id,
                    operation._resolution.function,
                    methods=[method],
                    provide_automatic_options=False,
                )

    def add_openapi_json(self) -> None:
        """Serve the document as it is, encoded once."""
        self.blueprint.add_url_rule(
            self.options.openapi_spec_path,
            f"{self.blueprint.name}_openapi_json",
            lambda: Response(self._document, mimetype="application/json"),
        )


def _rule(path: str, with_slashes: set[str]) -> str:
    """The path as Werkzeug writes it; a `%2F` in those parameters is no end of them, as it is in all others."""
    for name in with_slashes:
        path = path.replace(f"{{{name}}}", f"<path:{name}>")
    return path.replace("{", "<").replace("}", ">")

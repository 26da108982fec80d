"""For each operation a request that passes validation, made of the contract's own examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.contract.operations import Operation, examples_of

AN_ID = "5d48a1f5fd1a4d1be0d4a1c1"


def send(client: Any, operation: Operation, user: str, query: Mapping[str, str] | None = None) -> Any:
    """Call an operation; what takes an account gets `user`. `query` is added to what is needed."""
    path = operation.path
    for parameter in operation.parameters:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", _value(parameter, user))
    needed = [p for p in operation.parameters if p["in"] == "query" and p.get("required")]
    query = {**{parameter["name"]: _value(parameter, user) for parameter in needed}, **(query or {})}
    options = {"json": _body(operation, user)} if operation.has_body else {}
    return client.request(operation.method.upper(), path, query_string=query, **options)


def _value(parameter: Mapping[str, Any], user: str) -> str:
    schema = parameter["schema"]
    if parameter.get("x-name", parameter["name"]) == "user":
        return user
    return (
        AN_ID if schema.get("format") == "object-id" else str(parameter.get("example", schema.get("example")))
    )


def _body(operation: Operation, user: str) -> Any:
    body = examples_of(operation.content_types["application/json"])[0]
    return {**body, "user": user} if "user" in operation.body_properties else body

"""The OpenAPI document, and what the service needs to know of each of its operations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import inflection
import yaml

from server.contract.schemas import Schema, inline, resolve

PATH = Path(__file__).resolve().parents[2] / "openapi.yaml"
METHODS = ("get", "put", "post", "delete")
_LARGEST_BODY = 4 * 1024 * 1024
_PLURAL = re.compile(r"[A-Z]{2,}s$")  # of an abbreviation, which is one word


@dataclass(frozen=True, slots=True)
class Access:
    """Which right an operation asks for, whose things it touches, and where attribute filters apply."""

    resource: str | None
    action: str | None
    possession: str
    filters: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Operation:
    """One operation of the contract, its references resolved."""

    method: str
    path: str
    operation_id: str
    tag: str
    access: Access
    parameters: list[Schema]
    request: Schema = field(default_factory=dict)
    responses: Schema = field(default_factory=dict)
    ignores_unknown: bool = False
    largest_body: int = _LARGEST_BODY
    streams: bool = False

    @property
    def module(self) -> str:
        """The module of the handler: tag `DomainAliases` → `handlers.domain_aliases`."""
        return f"handlers.{inflection.underscore(self.tag)}"

    @property
    def function(self) -> str:
        """The name of the handler: `createDomainAlias` → `create_domain_alias`, `getASPs` → `get_asps`."""
        return inflection.underscore(_PLURAL.sub(lambda match: match[0].capitalize(), self.operation_id))

    @property
    def has_body(self) -> bool:
        """Return whether the operation takes a body."""
        return bool(self.request)

    @cached_property
    def content_types(self) -> Schema:
        """The media types that a body may have."""
        return dict(self.request.get("content", {}))

    @cached_property
    def takes_raw(self) -> bool:
        """Return whether a body may be something else than fields."""
        return any(media.get("schema", {}).get("format") == "binary" for media in self.content_types.values())

    @cached_property
    def form_content(self) -> str | None:
        """The part of a `multipart/form-data` body that is bytes and no field."""
        schema = self.content_types.get("multipart/form-data", {}).get("schema", {})
        parts: Schema = schema.get("properties", {})
        return next((name for name, part in parts.items() if part.get("format") == "binary"), None)

    @cached_property
    def body_properties(self) -> Schema:
        """The schemas of the body's fields."""
        return dict(self._body_schema.get("properties", {}))

    @property
    def _body_schema(self) -> Schema:
        media: Schema = self.content_types.get("application/json", {})
        schema: Schema = media.get("schema", {})
        return schema

    @cached_property
    def required(self) -> list[str]:
        """The fields without which a request is refused, wherever they come from."""
        return [p.get("x-name", p["name"]) for p in self.parameters if p.get("required")] + (
            [] if self.takes_raw else list(self._body_schema.get("required", ()))
        )


class Contract:
    """The document as it is served, and its operations."""

    def __init__(self, path: Path = PATH) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self.document: Schema = yaml.load(path.read_text("utf-8"), loader)

    @cached_property
    def operations(self) -> list[Operation]:
        """All operations, in the order of the document."""
        return list(self._operations())

    def _operations(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield self._operation(method, path, item[method], item.get("parameters", []))

    def _operation(self, method: str, path: str, raw: Schema, shared: list[Any]) -> Operation:
        own = [self._resolved(p) for p in raw.get("parameters", [])]
        names = {(p["in"], p["name"]) for p in own}
        inherited = [p for p in map(self._resolved, shared) if (p["in"], p["name"]) not in names]
        return Operation(
            method=method,
            path=path,
            operation_id=raw["operationId"],
            tag=raw["tags"][0],
            access=_access(raw["x-access"]),
            parameters=[*inherited, *own],
            request=inline(self.document, raw.get("requestBody", {})),
            responses=raw["responses"],
            ignores_unknown=raw.get("x-unknown") == "ignored",
            largest_body=raw.get("x-max-body", _LARGEST_BODY),
            streams=raw.get("x-stream-body", False),
        )

    def _resolved(self, parameter: Schema) -> Schema:
        resolved: Schema = inline(self.document, parameter)
        return resolved

    def response_schemas(self, operation: Operation) -> Iterator[tuple[str, Schema]]:
        """The JSON schema of each documented status of an operation, inlined."""
        for status, response in operation.responses.items():
            if "$ref" in response:
                response = resolve(self.document, response["$ref"])
            media = response.get("content", {}).get("application/json")
            if media:
                yield status, inline(self.document, media["schema"])


def examples_of(media: Schema) -> list[Any]:
    """Return every example of an inlined media type, those with names first."""
    named = [example["value"] for example in media.get("examples", {}).values()]
    return [*named, media["example"]] if "example" in media else named


def _access(raw: Schema) -> Access:
    return Access(
        resource=raw.get("resource"),
        action=raw.get("action"),
        possession=raw["possession"],
        filters=frozenset(raw.get("filter", ())),
    )

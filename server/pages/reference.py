"""The pages that are made of others: `docs/api/`, a page for each tag of the contract, and `docs/events.md`.

`python -m server.pages.reference docs/api` writes the first.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from problems import all_problems
from security.roles import ROLES, permits
from server.contract.operations import Contract, Operation, examples_of
from server.contract.schemas import Schema, inline, resolve
from server.pages.field_words import Row, row, rows
from server.pages.guides import HTML, anchor
from storage.events.catalogue import CATALOGUE, EventType

LABELS = ("sess", "ip")
"""Every operation takes these, so they are described once."""

_JSON = "application/json"
_EVENTS_HEAD = """\
# Events

What webhooks are told of; [webhooks.md](webhooks.md) says how. Made by `make docs` of `storage/events/catalogue.py`.
Every body has `id`, `time`, `ev` and these fields. Ids are 24 hexadecimal digits, dates ISO 8601.
"""
_MEANINGS = {
    **{kind.code: kind.default_text for kind in reversed([*all_problems()])},
    "InputValidationError": "A field is missing, unknown or not as it should be; `details` names each",
}


def _cell(text: str) -> str:
    """A text for a table of Markdown, where a bar would end it."""
    return " ".join(text.replace("|", "\\|").split())


_MARKDOWN = HTML.overlay(autoescape=False)
_MARKDOWN.filters["cell"] = _cell


@dataclass(frozen=True)
class Described:
    """What a page says of one operation; the names are those of its template."""

    operation: Operation
    raw: Schema
    document: Schema

    @property
    def anchor(self) -> str:
        return anchor(self.raw["summary"])

    @cached_property
    def parameters(self) -> list[tuple[str, Row]]:
        """(where it stands, field) of each parameter."""
        return [(p["in"], _row(p)) for p in self.operation.parameters if p["name"] not in LABELS]

    @cached_property
    def body(self) -> list[Row]:
        schema = self.operation.content_types.get(_JSON, {}).get("schema", {})
        return [field for field in rows(schema) if field.name not in LABELS]

    @property
    def other_bodies(self) -> list[str]:
        return [kind for kind in self.operation.content_types if kind != _JSON]

    @property
    def bodies(self) -> str:
        """What else than JSON the body may be."""
        return f"these fields, or {' or '.join(f'`{kind}`' for kind in self.other_bodies)}"

    @cached_property
    def _done(self) -> Schema:
        content: Schema = self._response("200").get("content", {})
        return content

    @property
    def answer(self) -> list[Row]:
        return list(rows(self._done.get(_JSON, {}).get("schema", {})))

    @property
    def other_answers(self) -> list[str]:
        return [f"`{kind}`" for kind in self._done if kind != _JSON]

    @property
    def errors(self) -> Iterator[tuple[str, str, str]]:
        """(status, code, what it means) of each failure."""
        for status in self.operation.responses:
            if status != "200":
                for code, shown in self._response(status)["content"][_JSON]["examples"].items():
                    yield status, code, _MEANINGS.get(code, shown["summary"])

    def _response(self, status: str) -> Schema:
        response: Schema = inline(self.document, self.operation.responses[status])
        return response

    @property
    def access(self) -> str:
        return " ".join(_access(self.operation))

    @property
    def events(self) -> list[tuple[str, str]]:
        """(name, link to the page about events) of each event that webhooks get."""
        return [(kind, f"../events.md#{anchor(kind)}") for kind in self.raw.get("x-events", ())]

    @property
    def curl(self) -> str:
        words = [f'curl -s "$API{self._target()}" -H "X-Access-Token: $TOKEN"']
        method = self.operation.method.upper()
        if method not in ("GET", "POST") or (method == "POST" and not self.body):
            words[0] = words[0].replace("-s", f"-s -X {method}")
        if self.operation.has_body:
            body = examples_of(self.operation.content_types[_JSON])[0]
            words.append(f"-H 'Content-Type: {_JSON}' -d {shlex.quote(pretty(body))}")
        return " \\\n  ".join(words)

    def _target(self) -> str:
        path, query = self.operation.path, {}
        for parameter in self.operation.parameters:
            if parameter.get("required"):
                value = str(parameter.get("example", parameter["schema"].get("example")))
                if parameter["in"] == "path":
                    path = path.replace(f"{{{parameter['name']}}}", quote(value, safe="@"))
                else:
                    query[parameter["name"]] = value
        return path + (f"?{urlencode(query)}" if query else "")

    @property
    def shown(self) -> str | None:
        """The first example of the answer, if it has any."""
        example = next(iter(examples_of(next(iter(self._done.values())))), None)
        return example if isinstance(example, str | None) else pretty(example)


def _row(parameter: Schema) -> Row:
    """Return a parameter as a row of its table."""
    required, description = bool(parameter.get("required")), parameter.get("description", "")
    return row(parameter["name"], parameter["schema"], required=required, description=description)


def _access(operation: Operation) -> Iterator[str]:
    resource, action = operation.access.resource, operation.access.action
    if not resource or not action:
        yield "whoever has a token."
        return
    anybodys = sorted(role for role in ROLES if permits(role, resource, action, own=False))
    own = operation.access.possession != "any" and permits("user", resource, action, own=True)
    yield ", ".join(f"`{role}`" for role in anybodys) + ("; `user` for the own account." if own else ".")
    for role in [*anybodys, *(["user"] if own else [])]:
        yield from _limits(role, permits(role, resource, action, own=True) or (), operation.access.filters)


def _limits(role: str, fields: tuple[str, ...], filters: frozenset[str]) -> Iterator[str]:
    hidden = ", ".join(f"`{name[1:]}`" for name in fields if name.startswith("!"))
    if hidden and "request" in filters:
        yield f"What `{role}` sends of {hidden} is passed over."
    if hidden and filters - {"request"}:
        yield f"`{role}` does not see {hidden}."
    if "request" in filters and "*" not in fields:
        yield f"Of what `{role}` sends, only these count: {', '.join(f'`{name}`' for name in fields)}."


def pretty(value: Any) -> str:
    """JSON as people read it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def pages(contract: Contract) -> dict[str, str]:
    """File name → page, and `README.md` that lists them."""
    document = contract.document
    described = [
        Described(operation, document["paths"][operation.path][operation.method], document)
        for operation in contract.operations
    ]
    by_tag = {
        tag["name"]: [o for o in described if o.operation.tag == tag["name"]] for tag in document["tags"]
    }
    template = _MARKDOWN.get_template("tag.md")
    made = {
        file_of(tag["name"]): template.render(tag=tag, operations=by_tag[tag["name"]])
        for tag in document["tags"]
    }
    index = _MARKDOWN.get_template("tags.md").render(
        info=document["info"], tags=document["tags"], by_tag=by_tag, file_of=file_of, labels=_labels(document)
    )
    return {"README.md": index, **made}


def _labels(document: Schema) -> list[Row]:
    parameters = [resolve(document, f"#/components/parameters/{name}") for name in ("Session", "ClientIp")]
    return [_row({**p, "schema": inline(document, p["schema"])}) for p in parameters]


def file_of(tag: str) -> str:
    """`DomainAliases` → `domainaliases.md`."""
    return f"{tag.lower()}.md"


def write(folder: Path) -> None:
    """Write all pages into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages(Contract()).items():
        (folder / name).write_text(page, "utf-8")


def events_page() -> str:
    """The page about events as Markdown."""
    return "\n".join([_EVENTS_HEAD, *(line for kind in CATALOGUE for line in _event(kind, CATALOGUE[kind]))])


def _event(kind: str, event: EventType) -> Iterator[str]:
    yield from (f"## `{kind}`", "", event.when, "", "| field | type | |", "|---|---|---|")
    for name, field in event.fields.items():
        absent = "; absent if there is none" if field.optional else ""
        yield f"| `{name}` | {field.kind} | {field.text}{absent} |"
    yield ""


if __name__ == "__main__":
    write(Path(sys.argv[1]))

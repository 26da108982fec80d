"""`docs/events.md`, made of the table of events."""

from __future__ import annotations

from collections.abc import Iterator

from storage.events.catalogue import CATALOGUE, EventType

_HEAD = """\
# Events

What webhooks are told of; [webhooks.md](webhooks.md) says how. Made by `make docs` of `storage/events/catalogue.py`.
Every body has `id`, `time`, `ev` and these fields. Ids are 24 hexadecimal digits, dates ISO 8601.
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *(line for kind in CATALOGUE for line in _section(kind, CATALOGUE[kind]))])


def _section(kind: str, event: EventType) -> Iterator[str]:
    yield from (f"## `{kind}`", "", event.when, "", "| field | type | |", "|---|---|---|")
    for name, field in event.fields.items():
        absent = "; absent if there is none" if field.optional else ""
        yield f"| `{name}` | {field.kind} | {field.text}{absent} |"
    yield ""

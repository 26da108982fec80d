"""`python tests/contract/seed/make.py DOCUMENT`: keep what clients of WildDuck's own document send and expect.

DOCUMENT is the OpenAPI document of WildDuck 1.37 that Mallard's contract began as. Written beside this file, one
operation a line: `requests.jsonl` has the fields that an operation needs and those that may be left out, each with the
document's example or, where it has none, a value by its schema and `VALUES`; `answers.json` has the schemas of the
answers without their words. `<mailbox>` stands for the id of what the test makes. Cursors are opaque, so only those
that the document shows are kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from server.contract.schemas import inline

HERE = Path(__file__).parent
Schema = dict[str, Any]
METHODS = ("get", "put", "post", "delete")
_LATER, _EARLIER = "2099-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z"

# Values for fields without an example, by `operation.field` or by the field's name.
VALUES: dict[str, Any] = {
    "action": "authentication",
    "address": "grace@example.com",
    "addresses": ["grace@example.com"],
    "alias": "alias.example",
    "allowWildcard": False,
    "bcc": [{"address": "alan@example.com"}],
    "cid": "logo@example.com",
    "content": "aGVsbG8=",
    "contentType": "text/plain",
    "createAudit.end": _LATER,
    "createForwardedAddress.address": "sales@example.com",
    "createUser.address": "john@example.com",
    "createUserAddress.address": "john.doe@example.com",
    "dateend": _LATER,
    "datestart": _EARLIER,
    "deleteAfter": _LATER,
    "description": "Some notes",
    "disable2fa": False,
    "disabledScopes": ["pop3"],
    "domain": "example.com",
    "emptyAddress": True,
    "encoding": "base64",
    "end": _LATER,
    "existingPassword": "correct horse battery",
    "expires": _LATER,
    "filename": "hello.txt",
    "files": ["<file>"],
    "filter": "storage",
    "filterIp": "127.0.0.1",
    "forward": "grace",
    "checkTotp2FA.token": "<token>",
    "enableTotp2FA.token": "<token>",
    "mailboxes.drafts": "Unfinished",
    "mailboxes.junk": "Rubbish",
    "mailboxes.sent": "Gone out",
    "mailboxes.trash": "Bin",
    "updateDkimKey.privateKey": (
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEIA+8PUfwjnLVdonVjKDIHEoFHBOmWwkxOrhp3p7JSb81\n"
        "-----END PRIVATE KEY-----\n"
    ),
    "from": "john",
    "fromWhitelist": ["*@example.com"],
    "hashedPassword": False,
    "headers": [{"key": "X-Purpose", "value": "a test"}],
    "html": "<p>Hello</p>",
    "ip": "127.0.0.1",
    "issuer": "Example Mail",
    "label": "john@example.com",
    "language": "en",
    "listId": "list.example.com",
    "mailbox": "<mailbox>",
    "message": "1",
    "moveTo": "<mailbox>",
    "name": "John Doe",
    "newDomain": "new.example",
    "oldDomain": "example.com",
    "or.from": "john",
    "or.query": "hello",
    "or.subject": "hello",
    "or.to": "john",
    "order": "asc",
    "page": 1,
    "password": "correct horse battery",
    "path": "Work/Plans",
    "protocol": "IMAP",
    "pubKey": "",
    "query": "hello",
    "raw": "Subject: hello\r\n\r\nHello",
    "reason": "Please log in again",
    "reference.action": "reply",
    "reference.attachments": ["ATT00001"],
    "reference.id": "<message>",
    "replacePrevious.id": "<message>",
    "requiredTags": "staff",
    "retention": 86_400_000,
    "scope": "master",
    "selector": "s1",
    "sendTime": "<soon>",
    "sess": "session-1",
    "spamLevel": 50,
    "start": _EARLIER,
    "subject": "Hello",
    "suspended": False,
    "tags": ["staff"],
    "target": 1,
    "targets": ["grace@example.org"],
    "text": "Hello",
    "thread": "<thread>",
    "to": [{"name": "Grace", "address": "grace@example.com"}],
    "type": "user.created",
    "createWebhook.type": ["user.created"],
    "uploadMessage.from": {"name": "John Doe", "address": "john@example.com"},
    "submitMessage.from": {"name": "John Doe", "address": "ada@example.com"},
    "url": "https://example.com/hook",
    "user": "<user>",
    "authenticate.username": "ada",
    "username": "john",
    "validAfter": _EARLIER,
    "value": 1024,
}


def value_of(operation: str, name: str, schema: Schema) -> Any:
    """A value that a client might send in this field."""
    if "example" in schema:
        return schema["example"]
    for key in (f"{operation}.{name}", name, name.rpartition(".")[2]):
        if key in VALUES and fits(VALUES[key], schema):
            return VALUES[key]
    if schema.get("properties"):
        parts = schema["properties"]
        return {part: value_of(operation, f"{name}.{part}", parts[part]) for part in parts}
    if schema.get("type") == "array":
        return [value_of(operation, name, schema["items"])]
    by_type = {"boolean": True, "number": 10, "object": {}, "string": "staff"}
    return by_type.get(str(schema.get("type")), {"key": "value"})


def fits(value: Any, schema: Schema) -> bool:
    """Whether a value has the type of the schema."""
    types = {"string": str, "number": int, "boolean": bool, "array": list, "object": dict}
    kind = types.get(str(schema.get("type")), object)
    return isinstance(value, kind) or (isinstance(value, str) and value.startswith("<"))


def fields(operation: str, schemas: dict[str, Schema], required: list[str]) -> dict[str, Any]:
    """Values of what must be there and of what may."""
    values = {
        name: value_of(operation, name, schema)
        for name, schema in schemas.items()
        if name not in ("next", "previous") or "example" in schema
    }
    return {
        "needed": {name: value for name, value in values.items() if name in required},
        "more": {name: value for name, value in values.items() if name not in required},
    }


def operations(document: Schema) -> Iterator[tuple[str, list[Schema], Schema]]:
    """(operationId, parameters, operation), references followed."""
    for item in document["paths"].values():
        for method in METHODS:
            if method in item:
                operation = inline(document, item[method])
                yield operation["operationId"], operation.get("parameters", []), operation


def request(name: str, parameters: list[Schema], operation: Schema) -> Schema:
    """The fields of the query and those of the body."""
    query = {p["name"]: p["schema"] for p in parameters if p["in"] == "query"}
    required = [p["name"] for p in parameters if p.get("required")]
    found: Schema = {"operation": name, "query": fields(name, query, required)}
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        schema = media["schema"]
        found["type"] = kind
        found["body"] = fields(name, schema.get("properties", {}), schema.get("required") or [])
    return found


def bare(schema: Any) -> Any:
    """A schema without what is only for readers."""
    if isinstance(schema, list):
        return [bare(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: bare(part) for key, part in value.items()} if name == "properties" else bare(value)
        for name, value in schema.items()
        if name in ("$ref", "allOf", "anyOf", "enum", "items", "oneOf", "properties", "required", "type")
    }


def answers(document: Schema) -> Schema:
    """The schemas of all JSON answers, and those that they refer to."""
    found: Schema = {}
    for item in document["paths"].values():
        for method in METHODS:
            if method in item:
                content = item[method]["responses"]["200"].get("content", {})
                if "application/json" in content:
                    found[item[method]["operationId"]] = bare(content["application/json"]["schema"])
    schemas = {name: bare(schema) for name, schema in document["components"]["schemas"].items()}
    needed = references(found, schemas)
    return {"answers": found, "components": {"schemas": {name: schemas[name] for name in sorted(needed)}}}


def references(part: Any, schemas: Schema) -> set[str]:
    """The names of schemas that are referred to, directly or not."""
    if isinstance(part, list):
        return set().union(*(references(one, schemas) for one in part))
    if not isinstance(part, dict):
        return set()
    name = str(part.get("$ref", "")).rpartition("/")[2]
    own = {name} | references(schemas[name], schemas) if name else set()
    return own.union(*(references(one, schemas) for one in part.values()))


def main(path: str) -> None:
    """Write both files."""
    document = yaml.safe_load(Path(path).read_text("utf-8"))
    lines = [json.dumps(request(*operation)) for operation in operations(document)]
    (HERE / "requests.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    text = json.dumps(answers(document), separators=(",", ":"))
    (HERE / "answers.json").write_text(text.replace('},"', '},\n"') + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

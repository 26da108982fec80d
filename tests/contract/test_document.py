"""The document by itself: valid, complete, true to the seed, and its examples fit its schemas."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from problems import InvalidInput, Problem, ServerFault, all_problems
from server.contract.formats import FORMATS
from server.contract.operations import PATH, Contract, Operation, examples_of
from server.contract.schemas import compile_schema, inline, resolve, to_json_schema
from server.http.inputs import InputReader
from tests.contract.conftest import codes_of

PINNED = Path(__file__).with_name("operations.txt").read_text("ascii").splitlines()
SEED_CHECK = Path(__file__).resolve().parents[3] / "shared" / "contract" / "check_contract.py"
AN_ID = "5d48a1f5fd1a4d1be0d4a1c1"
FROM_THE_ROUTER = {"MethodNotAllowed", "ResourceNotFound"}
SUFFIXES = ("Request", "Response", "Result")
CREDENTIALS = [{"accessToken": []}, {"bearer": []}, {"accessTokenQuery": []}, {}]


def faults(schema: Mapping[str, Any], value: Any, *, close: bool = False) -> list[str]:
    json_schema = to_json_schema(schema, close=close)
    validator = jsonschema_rs.Draft202012Validator(json_schema, formats=dict(FORMATS), validate_formats=True)
    return [f"{list(error.instance_path)} {error.message}" for error in validator.iter_errors(value)]


def test_it_is_valid_openapi(contract: Contract) -> None:
    assert contract.document["openapi"] == "3.0.3"
    OpenAPIV30SpecValidator(contract.document).validate()


def test_the_operations_are_these(document: Any) -> None:
    found = {
        (o["tags"][0], method.upper(), path, o["operationId"]) for method, path, o in document.operations()
    }
    assert found == {tuple(line.split()) for line in PINNED}
    assert len(found) == len(PINNED) == 106


def test_it_keeps_the_seed() -> None:
    if not SEED_CHECK.exists():
        pytest.skip(f"the seed and its check are not at {SEED_CHECK}")
    done = subprocess.run(
        [sys.executable, str(SEED_CHECK), str(PATH)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "contract kept: 106 operations\n"


def test_an_operation_id_names_one_operation(document: Any) -> None:
    ids = Counter(operation["operationId"] for _, _, operation in document.operations())
    assert [name for name, count in ids.items() if count > 1] == []


def test_every_tag_is_described_and_used(document: Any) -> None:
    described = [tag["name"] for tag in document.raw["tags"]]
    assert all(tag["description"] for tag in document.raw["tags"])
    assert sorted(described) == sorted({o["tags"][0] for _, _, o in document.operations()})


def test_every_operation_says_what_it_does_and_who_may(document: Any) -> None:
    for _, _, operation in document.operations():
        name = operation["operationId"]
        assert len(operation["tags"]) == 1, name
        assert operation["summary"], name
        assert not operation["summary"].endswith("."), name
        assert operation["description"].endswith("."), name
        assert "security" not in operation, f"{name}: it stands once, at the top"
        assert operation["x-access"]["possession"] in ("any", "own", "listing", "token"), name


def test_every_operation_takes_the_same_credentials(document: Any) -> None:
    assert document.raw["security"] == CREDENTIALS


def test_every_extension_is_explained_in_the_head(document: Any) -> None:
    explained = re.findall(r"^\| `(x-[a-z-]+)` \|", document.raw["info"]["description"], re.MULTILINE)
    assert explained == sorted(extensions(document.raw))


def extensions(part: Any) -> set[str]:
    """The keys that begin with `x-`, at any depth."""
    if isinstance(part, list):
        return set().union(*map(extensions, part))
    if not isinstance(part, dict):
        return set()
    return {name for name in part if name.startswith("x-")}.union(*map(extensions, part.values()))


@pytest.mark.parametrize("kind", ["parameters", "examples", "responses", "schemas"])
def test_components_stand_in_the_order_that_the_head_says(document: Any, kind: str) -> None:
    components = document.raw["components"][kind]
    groups = [group(kind, name, component) for name, component in components.items()]
    assert list(components) == [
        name for _, name in sorted(zip(groups, components, strict=True), key=in_order)
    ]


def in_order(entry: tuple[int, str]) -> tuple[int, str]:
    place, name = entry
    return place, name.lower()


def group(kind: str, name: str, component: dict[str, Any]) -> int:
    """Examples of failures come last; schemas by their suffix, those without one last."""
    if kind == "examples":
        return int(is_failure(component))
    endings = [place for place, suffix in enumerate(SUFFIXES) if name.endswith(suffix)]
    return (endings or [len(SUFFIXES)])[0] if kind == "schemas" else 0


def is_failure(example: dict[str, Any]) -> bool:
    return "error" in example["value"]


def test_what_is_used_twice_stands_once(document: Any) -> None:
    """Parameters, and the examples of bodies and answers."""
    written = [
        json.dumps(part)
        for _, _, operation in document.operations()
        for part in [*operation.get("parameters", ()), *written_examples(operation)]
        if "$ref" not in part
    ]
    assert [part for part, count in Counter(written).items() if count > 1] == []


def written_examples(part: Any) -> Iterator[Any]:
    """The examples of media types below, as they are written."""
    if isinstance(part, list):
        for item in part:
            yield from written_examples(item)
    elif isinstance(part, dict):
        if "schema" in part and "in" not in part:
            yield from part.get("examples", {}).values()
            yield from [part["example"]] if "example" in part else []
        for item in part.values():
            yield from written_examples(item)


def test_every_component_is_used(document: Any) -> None:
    used = set(re.findall(r"#/(components/\w+/\w+)", PATH.read_text("utf-8")))
    components = document.raw["components"]
    kinds = components.keys() - {"securitySchemes"}
    assert used == {f"components/{kind}/{name}" for kind in kinds for name in components[kind]}


def test_every_parameter_and_field_of_a_path_is_described(document: Any) -> None:
    for _, path, operation in document.operations():
        parameters = [document.inline(p) for p in operation.get("parameters", ())]
        shared = [document.inline(p) for p in document.raw["paths"][path].get("parameters", ())]
        named = {p["name"] for p in [*parameters, *shared] if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), path
        assert [p["name"] for p in parameters if not p.get("description")] == [], operation["operationId"]


def test_every_body_has_an_example_that_the_server_takes(contract: Contract, document: Any) -> None:
    """Through the reader of the server itself: coerced, every format checked, unknown fields refused."""
    for operation in contract.operations:
        for kind, media in operation.content_types.items():
            examples = examples_of(media)
            assert examples or kind != "application/json", f"{operation.operation_id} lacks an example"
            if kind == "application/json":
                path = {p["name"]: example_of(p) for p in operation.parameters if p["in"] == "path"}
                query = {p["name"]: example_of(p) for p in operation.parameters if needed(p)}
                for example in examples:
                    InputReader(operation).read(path, query, example, None)


def test_every_number_of_an_input_has_limits(contract: Contract) -> None:
    for where, schema in input_schemas(contract):
        if schema.get("type") in ("integer", "number"):
            assert {"minimum", "maximum"} <= schema.keys(), where


def test_a_text_that_blanks_are_cut_of_says_whether_it_may_be_blank(contract: Contract) -> None:
    """A limit on the length says nothing of a text of blanks, which is empty once they are cut."""
    for where, schema in input_schemas(contract):
        if schema.get("minLength") and "trim" in schema.get("x-normalize", ()):
            assert {"pattern", "format", "enum"} & schema.keys(), where


def input_schemas(contract: Contract) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema in a request, at any depth, with the operation and the field."""
    for operation in contract.operations:
        fields = {parameter["name"]: parameter["schema"] for parameter in operation.parameters}
        for name, schema in [*fields.items(), *operation.body_properties.items()]:
            for part in parts(schema):
                yield f"{operation.operation_id} {name}", part


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all that it is made of."""
    if isinstance(schema, list):
        yield from (part for item in schema for part in parts(item))
    elif isinstance(schema, dict):
        yield schema
        yield from (part for item in schema.values() for part in parts(item))


def test_a_field_has_the_same_limits_in_each_form_that_a_body_may_have(contract: Contract) -> None:
    for operation in contract.operations:
        for media in operation.content_types.values():
            for name, schema in media["schema"].get("properties", {}).items():
                if schema.get("format") != "binary":
                    assert limits(schema) == limits(operation.body_properties[name]), operation.operation_id


def limits(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in schema.items() if name not in ("description", "example", "x-empty")
    }


def needed(parameter: Mapping[str, Any]) -> bool:
    return parameter["in"] == "query" and bool(parameter.get("required"))


def example_of(parameter: Mapping[str, Any]) -> Any:
    return parameter.get("example", AN_ID)


def test_trying_an_operation_out_sends_no_filter_that_nobody_asked_for(contract: Contract) -> None:
    """Swagger UI fills in the examples of parameters, so those that may be left out must not have any."""
    for operation in contract.operations:
        for parameter in operation.parameters:
            if not parameter.get("required"):
                shown = {"example", "examples"} & (parameter.keys() | parameter["schema"].keys())
                assert not shown, f"{operation.operation_id} {parameter['name']}"


def test_every_example_of_a_parameter_fits(contract: Contract) -> None:
    for operation in contract.operations:
        for parameter in operation.parameters:
            if "example" in parameter:
                compiled = compile_schema(parameter["schema"])
                example = str(parameter["example"])
                value = compiled.coerce(example) if compiled.coerce else example
                assert faults(compiled.json_schema, value) == [], operation.operation_id


def test_every_example_of_a_field_fits(document: Any) -> None:
    """Those of schemas: of a field, or of the items of a list."""
    wrong = {
        path: found
        for path, schema in schemas_in(document.raw["components"]["schemas"], "")
        if "example" in schema and (found := faults(document.inline(schema), schema["example"]))
    }
    assert wrong == {}


def schemas_in(part: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, schema) of all that stand below."""
    for name, below in part.items() if isinstance(part, dict) else ():
        if isinstance(below, dict) and name not in ("example", "default"):
            yield f"{path}/{name}", below
            yield from schemas_in(below, f"{path}/{name}")


def test_every_answer_has_an_example_that_fits(document: Any) -> None:
    """Closed: an example must not show a field that the schema does not name."""
    for name, status, media in document.answers():
        examples = examples_of(media)
        assert examples, f"{name} {status} lacks an example"
        for example in examples:
            assert faults(media["schema"], example, close=status == "200") == [], f"{name} {status}"


def test_every_failure_is_an_error_with_codes_of_its_own(document: Any) -> None:
    """Written so, generators of clients make one class of all failures, which `allOf` of two would not."""
    for name, response in document.raw["components"]["responses"].items():
        schema = response["content"]["application/json"]["schema"]
        assert schema["allOf"] == [{"$ref": "#/components/schemas/Error"}], name
        assert schema["properties"]["code"]["enum"], name


def test_every_failure_is_documented_under_the_status_it_has(document: Any) -> None:
    known = {(str(kind.status), kind.code) for kind in all_problems()}
    wrong = [
        (name, status, code) for name, status, code, _ in document.failures() if (status, code) not in known
    ]
    assert wrong == []


def test_every_failure_has_an_example_with_its_code(document: Any) -> None:
    for name, status, code, example in document.failures():
        assert example, f"{name} {status} {code} lacks an example"
        assert example["code"] == code
        assert example["message"] == example["error"], code


def test_the_example_of_a_failure_says_what_its_class_says(document: Any) -> None:
    shown = {name: e for name, e in document.raw["components"]["examples"].items() if is_failure(e)}
    classes = {kind.__name__: kind for kind in all_problems() if kind.code not in FROM_THE_ROUTER}
    assert shown.keys() == classes.keys()
    for name, kind in classes.items():
        value = shown[name]["value"]
        assert (value["code"], value["error"]) == (kind.code, text_of(kind, value))


def text_of(kind: type[Problem], value: dict[str, Any]) -> str:
    """The text of an answer to a problem of this class that gives none of its own."""
    if kind is InvalidInput:
        return InvalidInput(value["details"]).text
    request_id = f". Request id: {value['requestId']}" if issubclass(kind, ServerFault) else ""
    return kind.default_text + request_id


def test_every_failure_shows_the_example_of_its_class(document: Any) -> None:
    classes = {(str(kind.status), kind.code): kind.__name__ for kind in all_problems()}
    for _, _, operation in document.operations():
        for status, response in operation["responses"].items():
            if status != "200":
                media = resolve(document.raw, response["$ref"])["content"]["application/json"]
                assert media["examples"] == {
                    code: {"$ref": f"#/components/examples/{classes[status, code]}"}
                    for code in codes_of(media["schema"])
                }


def test_every_code_is_documented(document: Any) -> None:
    documented = {code for _, _, code, _ in document.failures()}
    raised = {kind.code for kind in all_problems()}
    assert sorted(raised - documented - FROM_THE_ROUTER) == []
    assert all(f"`{code}`" in document.raw["info"]["description"] for code in FROM_THE_ROUTER)


def test_every_operation_documents_what_can_always_go_wrong(contract: Contract, document: Any) -> None:
    found = {(name, code) for name, _, code, _ in document.failures()}
    for operation in contract.operations:
        wanted = {"InvalidToken", "InternalDatabaseError", "InternalError"}
        wanted |= {"InputValidationError"} if operation.parameters or operation.has_body else set()
        if operation.access.resource:
            wanted.add("MissingPrivileges")
        if operation.has_body:
            wanted |= {"InvalidContent", "RequestTooLarge", "UnsupportedMediaType"}
        missing = {code for code in wanted if (operation.operation_id, code) not in found}
        assert missing == set(), operation.operation_id


def test_every_link_leads_somewhere(contract: Contract) -> None:
    """It names an operation, gives all that its path needs, and takes it from what is there."""
    operations = {operation.operation_id: operation for operation in contract.operations}
    links = [
        (operation, link)
        for operation in contract.operations
        for link in operation.responses["200"].get("links", {}).values()
    ]
    assert links
    for operation, link in links:
        target = operations[link["operationId"]]
        assert link["parameters"].keys() == {p["name"] for p in target.parameters if p["in"] == "path"}
        for expression in link["parameters"].values():
            assert is_there(contract, operation, expression), f"{operation.operation_id} {expression}"


def is_there(contract: Contract, operation: Operation, expression: str) -> bool:
    """Whether a runtime expression finds something in the request or in the example of the answer."""
    if expression.startswith("$request.path."):
        name = expression.removeprefix("$request.path.")
        return any(p["name"] == name and p["in"] == "path" for p in operation.parameters)
    if expression.startswith("$request.body#/"):
        return expression.removeprefix("$request.body#/") in operation.body_properties
    answer = inline(contract.document, operation.responses["200"])
    found: Any = examples_of(answer["content"]["application/json"])[0]
    for part in expression.removeprefix("$response.body#/").split("/"):
        found = found[int(part)] if isinstance(found, list) else found.get(part, {})
    return found != {}


def test_every_object_says_what_may_be_in_it(document: Any) -> None:
    """A bare `type: object` is an object that must be empty to TypeScript."""
    bare = [place for place, schema in objects(document.raw["components"]["schemas"]) if not contents(schema)]
    assert bare == []


def objects(part: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield place, part
        for name in part.keys() - {"example", "default", "enum"}:
            yield from objects(part[name], f"{place}/{name}")
    elif isinstance(part, list):
        for item in part:
            yield from objects(item, place)


def contents(schema: dict[str, Any]) -> set[str]:
    return {"properties", "additionalProperties", "allOf"} & schema.keys()

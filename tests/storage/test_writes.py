"""Each collection is written by one package of `storage`, the one that `storage.WRITES` names.

Read from the source. A class opens a collection in `databases.<role>["name"]`, keeps it as an attribute or a local
name, and writes it by a method of PyMongo's, or by handing it to one of `HELPERS`, which write what they are given.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import storage
from storage import WRITES

ROOT = Path(storage.__file__).parent
ROLES = {"main", "users", "gridfs", "sender"}
METHODS = {
    "bulk_write", "delete_many", "delete_one", "find_one_and_delete", "find_one_and_replace", "find_one_and_update",
    "insert_many", "insert_one", "replace_one", "update_many", "update_one",
    "open_upload_stream_with_id", "upload_from_stream_with_id",
}  # fmt: skip
HELPERS = {"write_chunks", "delete_rows_of", "Place"}


@dataclass(frozen=True)
class Module:
    """A file of storage; `constants` are its names of collections."""

    package: str
    path: Path
    tree: ast.Module
    constants: Mapping[str, str]


@dataclass
class Writer:
    """A class or a function of a module: which collections its names stand for, and which of these it writes."""

    opened: dict[str, str] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)


def constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for target, value in zip(names, values, strict=True):
                    if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
                        yield target.id, str(value.value)


def modules() -> list[Module]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        package = path.relative_to(ROOT).parts[0].removesuffix(".py")
        found.append(Module(package, path, tree, dict(constants(tree))))
    return found


MODULES = modules()
BY_NAME = {".".join(("storage", *m.path.relative_to(ROOT).with_suffix("").parts)): m for m in MODULES}


def names_in(module: Module) -> dict[str, str]:
    """The module's constants and those that it imports, by the name that they have in it."""
    known = dict(module.constants)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (source := BY_NAME.get(node.module or "")):
            for alias in node.names:
                if alias.name in source.constants:
                    known[alias.asname or alias.name] = source.constants[alias.name]
    return known


def collection_in(node: ast.AST, known: Mapping[str, str]) -> str | None:
    """The collection that an expression opens, somewhere in it; of a GridFS bucket that of its files."""
    for part in ast.walk(node):
        match part:
            case ast.Call(func=ast.Name(id="GridFSBucket"), args=[_, ast.Name(id=name), *_]):
                return f"{known[name]}.files"
            case ast.Subscript(value=ast.Attribute(attr=role), slice=key) if role in ROLES:
                match key:
                    case ast.Constant(value=str(name)):
                        return name
                    case ast.Name(id=name) if name in known:
                        return known[name]
                    case ast.JoinedStr(values=parts):
                        return "".join(text_of(value, known) for value in parts)
    return None


def text_of(node: ast.expr, known: Mapping[str, str]) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.Name(id=name)):
            return known[name]
    raise AssertionError(ast.dump(node))


def handle(node: ast.AST) -> str | None:
    """The name under which an object is kept: `self._rows` and `rows` alike."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="with_options")):
            return handle(value)
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
        case ast.Name(id=name):
            return name
    return None


def read(scope: ast.AST, known: Mapping[str, str]) -> Writer:
    found = Writer()
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=[target], value=value):
                if (name := handle(target)) and (collection := collection_in(value, known)):
                    found.opened[name] = collection
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                if (name := handle(target)) and (collection := collection_in(value, known)):
                    found.opened[name] = collection
            case ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"), args=args
            ):
                for collection in filter(None, (collection_in(value, known) for value in args)):
                    found.opened["_collection"] = collection
    for node in ast.walk(scope):
        match node:
            case ast.Call(func=ast.Attribute(value=target, attr=method)) if method in METHODS:
                note(found, target, known)
            case ast.Call(func=ast.Name(id=name), args=args) if name in HELPERS:
                for value in args:
                    if handle(value) in found.opened or collection_in(value, known):
                        note(found, value, known)
    return found


def note(found: Writer, target: ast.AST, known: Mapping[str, str]) -> None:
    collection = collection_in(target, known)
    name = handle(target)
    if collection:
        found.written.add(collection)
    elif name in found.opened:
        found.written.add(found.opened[name])
    else:
        found.unknown.add(name or ast.unparse(target))


@dataclass
class Scope:
    """A class or a function at the top of a file, and what it writes."""

    module: Module
    name: str
    bases: list[str]
    writer: Writer


def scopes() -> list[Scope]:
    found = []
    for module in MODULES:
        known = names_in(module)
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                found.append(Scope(module, node.name, bases, read(node, known)))
            elif isinstance(node, ast.FunctionDef):
                found.append(Scope(module, node.name, [], read(node, known)))
    return found


SCOPES = scopes()
CLASSES = {scope.name: scope for scope in SCOPES}


def inherited(scope: Scope) -> dict[str, str]:
    opened: dict[str, str] = {}
    for base in scope.bases:
        if base in CLASSES:
            opened |= inherited(CLASSES[base]) | CLASSES[base].writer.opened
    return opened


def written(scope: Scope) -> set[str]:
    """What a scope writes; a name that nobody knows stands in for its collection, so that it is seen."""
    known = inherited(scope)
    helper = scope.name in HELPERS
    unknown = {known.get(name, f"?{name}") for name in scope.writer.unknown}
    return scope.writer.written | {name for name in unknown if not (helper and name.startswith("?"))}


def test_only_its_package_writes_a_collection() -> None:
    owners = {collection: package for package, own in WRITES.items() for collection in own}
    strangers = [
        f"{scope.module.path.relative_to(ROOT)}: {scope.name} writes {collection}"
        for scope in SCOPES
        for collection in sorted(written(scope))
        if owners.get(collection) != scope.module.package
    ]
    assert strangers == []


@pytest.mark.parametrize("package", sorted(WRITES))
def test_the_table_names_what_a_package_writes(package: str) -> None:
    found = {name for scope in SCOPES if scope.module.package == package for name in written(scope)}
    assert found == set(WRITES[package])


def test_every_package_is_in_the_table_and_every_collection_once() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == WRITES.keys()
    assert sum(map(len, WRITES.values())) == len(frozenset().union(*WRITES.values()))

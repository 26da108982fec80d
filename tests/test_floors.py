"""The walls of the house: who may import whom, and where MongoDB may be known."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.imports import ROOT, circles, import_graph, imported_names, nodes_of

LOWER = {"mail", "network", "security", "storage", "problems"}
# Each floor, from the top, and what it may import
MAY_IMPORT = {
    "commands": {"commands", "server", "transfer", "delivery", "jobs", *LOWER},
    "server": {"server", "handlers", "accounts", "updates", "delivery", "jobs", *LOWER},
    "handlers": {"handlers", "accounts", "updates", "delivery", "jobs", *LOWER},
    "transfer": {"transfer", "mail", "security", "storage", "problems"},
    "updates": {"updates", "mail", "security", "storage", "problems"},
    "accounts": {"accounts", *LOWER},
    "delivery": {"delivery", "jobs", *LOWER},
    "jobs": {"jobs", *LOWER},
    "storage": {"storage", "mail", "security", "problems"},
    "network": {"network", "security", "problems"},
    "security": {"security", "mail", "problems"},
    "mail": {"mail", "problems"},
    "problems": set(),
}
FILES = [
    *(file for floor in MAY_IMPORT for file in sorted((ROOT / floor).rglob("*.py"))),
    ROOT / "problems.py",
]
ABOVE_STORAGE = [file for file in FILES if file.relative_to(ROOT).parts[0] != "storage"]

# The only files outside storage/ that speak to MongoDB themselves
MAY_USE_PYMONGO = {
    "commands/check.py",  # looks whether the database is reachable and fit
    "server/processes/mongod.py",  # runs a mongod
    "server/processes/store.py",  # makes the client
}

# An operator (`$set`, `$elemMatch`), a path of an expression (`$row.uid`) or a place in a list (`flags.$`);
# neither an IMAP keyword (`$Forwarded`) nor a password's hash (`$2b$12$…`)
OPERATOR = re.compile(r"\${1,2}[a-z_][\w.]*|[\w.]+\.\$(\[\w*\])?(\..+)?")
# Mallard's own fields beside WildDuck's; not a host name behind an @
OWN_FIELD = re.compile(r"(?<!@)\bmallard\.")
JSON_SCHEMA = {"$ref", "$defs", "$id", "$schema"}


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def floor_of(file: Path) -> str:
    return file.relative_to(ROOT).with_suffix("").parts[0]


def test_no_file_imports_from_a_higher_floor() -> None:
    faults = []
    for file in FILES:
        floor = floor_of(file)
        higher = MAY_IMPORT.keys() - MAY_IMPORT[floor]
        if upwards := sorted(name for name in imported_names(file) if name.split(".")[0] in higher):
            faults.append(
                f"{name_of(file)} imports {', '.join(upwards)}; {floor} may import only from "
                f"{', '.join(sorted(MAY_IMPORT[floor])) or 'nothing'}: move the code down, or pass it in from above"
            )
    assert not faults, report(faults)


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports within functions and under TYPE_CHECKING count, too."""
    found = list(circles(import_graph(FILES)))
    assert not found, report(f"these files import each other in a circle: {', '.join(g)}" for g in found)


def test_no_packages_of_storage_import_each_other_in_a_circle() -> None:
    packages: dict[str, set[str]] = defaultdict(set)
    for module, targets in import_graph(FILES).items():
        for target in targets:
            source, other = package_of_storage(module), package_of_storage(target)
            if source and other and source != other:
                packages[source].add(other)
    found = list(circles(packages))
    assert not found, report(
        f"packages of storage/ import each other in a circle: {', '.join(g)}" for g in found
    )


def package_of_storage(module: str) -> str:
    """The subject that a module of storage/ belongs to; empty for others and for those beside the packages."""
    parts = module.split(".")
    return parts[1] if parts[0] == "storage" and parts[1:] and (ROOT / "storage" / parts[1]).is_dir() else ""


def test_only_storage_uses_the_database_driver() -> None:
    """Of `bson`, which is the driver's, everybody may use ObjectId: the type of ids."""
    faults = []
    for file in ABOVE_STORAGE:
        used = sorted(
            name
            for name in imported_names(file)
            if name.split(".")[0] in ("pymongo", "gridfs", "bson") and name != "bson.ObjectId"
        )
        if used and name_of(file) not in MAY_USE_PYMONGO:
            faults.append(f"{name_of(file)} imports {', '.join(used)}: give a repository a method for it")
    assert not faults, report(faults)


def test_only_storage_knows_operators_of_the_database() -> None:
    faults = [
        f"{place}: {text!r} is an operator of MongoDB: give a repository a method for it"
        for place, text in literals(ABOVE_STORAGE)
        if OPERATOR.fullmatch(text) and text not in JSON_SCHEMA
    ]
    assert not faults, report(faults)


def test_only_storage_knows_where_fields_of_our_own_are() -> None:
    faults = [
        f"{place}: {text!r} names a field under `mallard.`: give a repository a method for it"
        for place, text in literals(ABOVE_STORAGE)
        if OWN_FIELD.search(text)
    ]
    assert not faults, report(faults)


def test_no_file_hands_on_names_of_another() -> None:
    faults = [
        f"{name_of(file)}:{node.lineno} hands on {alias.name} (`as {alias.name}`): import it from where it is defined"
        for file in FILES
        for node in nodes_of(file)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    ]
    assert not faults, report(faults)


def literals(files: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """The string literals of files and their places, also those within f-strings; docstrings are none."""
    for file in files:
        prose = {id(node.value) for node in nodes_of(file) if isinstance(node, ast.Expr)}
        for node in nodes_of(file):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                yield f"{name_of(file)}:{node.lineno}", node.value


def report(faults: Iterable[str]) -> str:
    return "\n" + "\n".join(faults)


def test_the_rules_see_what_they_forbid() -> None:
    forbidden = ["$set", "$$row.uid", "$row.uid", "flags.$", "rows.$[row].n", "$elemMatch"]
    assert all(map(OPERATOR.fullmatch, forbidden))
    allowed = ["$Forwarded", "$Label1", "$", "$2b$12$abc", "$argon2id$v=19$m=1", "$1$"]
    assert not any(map(OPERATOR.fullmatch, allowed))
    assert OWN_FIELD.search("mallard.keyInfo")
    assert OWN_FIELD.search("$unset mallard.x")
    assert not OWN_FIELD.search("@mallard.invalid>")
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]

"""The product's files and what each imports, read from the source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Graph = Mapping[str, set[str]]


@cache
def nodes_of(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file's syntax tree."""
    return tuple(ast.walk(ast.parse(file.read_text("utf-8"))))


def module_of(file: Path) -> str:
    """The name under which a file is imported: `storage.base.database`."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imported_names(file: Path) -> frozenset[str]:
    """Every dotted name that a file imports, wherever in it: at the top, in a function, under TYPE_CHECKING."""
    return frozenset(_imported(file))


def _imported(file: Path) -> Iterator[str]:
    for node in nodes_of(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph(files: Iterable[Path]) -> Graph:
    """Which of the files imports which, by their modules' names."""
    modules = {module_of(file): file for file in files}
    return {
        module: {
            target for name in imported_names(file) if (target := _home(name, modules)) not in (None, module)
        }
        for module, file in modules.items()
    }


def _home(name: str, modules: Mapping[str, Path]) -> str | None:
    """The module that a dotted name is, or in which it is defined."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def circles(graph: Graph) -> list[list[str]]:
    """Groups of nodes that each reach one another, the smallest first (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            position = stack.index(node)
            if len(group := stack[position:]) > 1:
                found.append(sorted(group))
            del stack[position:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted(found, key=len)

"""Each operation has the whole set of tests, which stand in tables or go over the contract by themselves.

the whole answer, what was written    expected.yaml, test_examples.py
no token, wrong role                  test_access.py
unknown id, somebody else's           every id of the contract, test_unknown_ids.py
bad input                             every field of the contract, test_bad_input.py
what its clients have always sent     seed/, test_older_clients.py
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import pytest

from server.contract.operations import Contract
from tests.contract.test_access import ROWS
from tests.contract.test_examples import EXPECTED
from tests.contract.things import NEEDED

TABLES: Mapping[str, Collection[str]] = {
    "what it needs": NEEDED,
    "what it answers and writes": EXPECTED,
    "who may": ROWS,
}


def lacking(operations: Iterable[str]) -> dict[str, list[str]]:
    """By table the operations that it has not."""
    wanted = list(operations)
    found = {table: [name for name in wanted if name not in rows] for table, rows in TABLES.items()}
    return {table: names for table, names in found.items() if names}


def test_no_operation_is_without_its_tests(contract: Contract) -> None:
    assert lacking(operation.operation_id for operation in contract.operations) == {}


def test_one_that_is_added_without_tests_is_found(contract: Contract) -> None:
    added = replace(contract.operations[0], operation_id="eatSandwich")
    names = [operation.operation_id for operation in [*contract.operations, added]]
    assert lacking(names) == {table: ["eatSandwich"] for table in TABLES}


@pytest.mark.parametrize("table", TABLES)
def test_no_table_is_about_what_there_is_not(contract: Contract, table: str) -> None:
    assert set(TABLES[table]) <= {operation.operation_id for operation in contract.operations}

"""The check of answers against the contract, and the form of what is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId

from problems import InvalidContent, MailboxExists, MessageNotFound, UserNotFound
from server.contract.operations import Contract
from server.http.answers import ContractBroken, ResponseCheck
from server.http.json import dumps


@pytest.fixture
def check(contract: Contract) -> ResponseCheck:
    """The check of createMailbox."""
    return ResponseCheck(contract, next(o for o in contract.operations if o.operation_id == "createMailbox"))


def test_an_answer_as_promised(check: ResponseCheck) -> None:
    check.verify("200", b'{"success": true, "id": "5d48a1f5fd1a4d1be0d4a1c1"}')


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"success": true, "id": 5}',
        b'{"success": true, "id": null}',
        b'{"success": "yes", "id": "x"}',
    ],
)
def test_an_answer_that_breaks_the_promise(check: ResponseCheck, data: bytes) -> None:
    with pytest.raises(ContractBroken, match="createMailbox answered 200 with"):
        check.verify("200", data)


def test_a_status_nobody_was_told_of(check: ResponseCheck) -> None:
    with pytest.raises(ContractBroken, match="answered 201, which the contract does not document"):
        check.verify("201", b"{}")


def test_a_failure_is_documented_or_a_fault(check: ResponseCheck) -> None:
    check.verify_problem(UserNotFound())
    check.verify_problem(MailboxExists(id="5d48a1f5fd1a4d1be0d4a1c1"))
    check.verify_problem(InvalidContent())
    with pytest.raises(ContractBroken):
        check.verify_problem(MessageNotFound())


def test_the_form_of_json(client: Any) -> None:
    answer = client.get("/users")
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert answer.data.startswith(b'{\n  "success": true,\n')
    assert answer.data.endswith(b"}\n")


def test_ids_and_dates() -> None:
    moment = datetime(2026, 1, 31, 12, 20, 30, 123999, tzinfo=timezone(timedelta(hours=2)))
    answer = {"id": ObjectId("5D48A1F5FD1A4D1BE0D4A1C1"), "date": moment, "none": None, "text": "ünï"}
    assert dumps(answer).decode() == (
        '{\n  "id": "5d48a1f5fd1a4d1be0d4a1c1",\n  "date": "2026-01-31T10:20:30.123Z",\n'
        '  "none": null,\n  "text": "ünï"\n}\n'
    )
    assert dumps(datetime(999, 1, 1, tzinfo=UTC)) == b'"0999-01-01T00:00:00.000Z"\n'
    with pytest.raises(TypeError):
        dumps(object())

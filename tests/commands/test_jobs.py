"""`mallard jobs list`, `show` and `retry`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bson import ObjectId

from storage.store import Store


def fail_for_good(store: Store) -> ObjectId:
    user = ObjectId()
    store.tasks.add("user-delete", {"user": user})
    task = store.tasks.claim(["user-delete"])
    assert task
    store.tasks.advance(task, {"step": 3}, 3, 9)
    store.databases.main["tasks"].update_one({"_id": task.id}, {"$set": {"attempts": 10}})
    store.tasks.fail(task, "no room left")
    return task.id


def test_a_failed_task_is_seen_and_started_again(run: Any, store: Store) -> None:
    task = fail_for_good(store)
    listed = run("jobs", "list")
    assert listed.stdout.split() == [
        str(task), "user-delete", "failed", "9999-12-31T00:00:00Z", "3/9", "no", "room", "left",
    ]  # fmt: skip
    (row,) = json.loads(run("jobs", "list", "--json").stdout)
    assert (row["id"], row["status"], row["progress"]) == (str(task), "failed", {"done": 3, "total": 9})
    assert run("jobs", "list").exit_code == 0
    assert run("jobs", "list", "--failed").exit_code == 1
    assert run("jobs", "list", "--failed").stdout == listed.stdout
    assert run("jobs", "retry", str(task)).exit_code == 0
    assert run("jobs", "retry", str(task)).exit_code == 1
    assert run("jobs", "retry", "nonsense").exit_code == 1
    again = store.tasks.claim(["user-delete"])
    assert again
    assert again.resume == {"step": 3}


def test_nothing_to_do(run: Any) -> None:
    assert run("jobs", "list").stdout.strip() == ""
    assert json.loads(run("jobs", "list", "--json").stdout) == []
    failed = run("jobs", "list", "--failed", "--json")
    assert (failed.exit_code, json.loads(failed.stdout)) == (0, [])


def test_one_task_in_full(run: Any, store: Store) -> None:
    task = fail_for_good(store)
    shown = run("jobs", "show", str(task))
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert {f"id: {task}", "task: user-delete", "status: failed", "error: no room left"} <= set(lines)
    assert 'progress: { "done": 3, "total": 9 }' in lines
    row = json.loads(run("jobs", "show", str(task), "--json").stdout)
    assert (row["id"], row["resume"], row["runs"]) == (str(task), {"step": 3}, 1)


@pytest.mark.parametrize("task", ["nonsense", "5d48a1f5fd1a4d1be0d4a1ff"])
def test_a_task_that_is_not_there(run: Any, task: str) -> None:
    for words in (("show",), ("show", "--json"), ("retry",)):
        answer = run("jobs", *words, task)
        assert (answer.exit_code, answer.stdout) == (1, "")


def test_what_was_done_can_be_seen_for_a_day(run: Any, store: Store) -> None:
    task = store.tasks.add("quota", {})
    held = store.tasks.claim(["quota"])
    assert held
    store.tasks.advance(held, {"after": 7}, 7, 9)
    store.tasks.finish(held)
    assert run("jobs", "list").stdout.strip() == ""
    (row,) = json.loads(run("jobs", "list", "--finished", "--json").stdout)
    assert (row["id"], row["status"], row["progress"]) == (str(task), "finished", {"done": 7, "total": 9})
    assert run("jobs", "list", "--finished").stdout.split()[:3] == [str(task), "quota", "finished"]
    assert json.loads(run("jobs", "show", str(task), "--json").stdout) == row
    store.databases.main["finishedtasks"].update_many({}, {"$set": {"expires": store.clock()}})
    assert run("jobs", "list", "--finished").stdout.strip() == ""

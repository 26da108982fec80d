"""CPU-heavy work in threads, so that it does not stall the other requests of a gevent worker."""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import ParamSpec, TypeVar

import gevent
from gevent.monkey import is_module_patched
from gevent.threadpool import ThreadPool

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_NICENESS = 10


def offload(
    function: Callable[Arguments, Result], /, *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Run `function` in a thread and wait for it; here, where gevent does not schedule."""
    if not is_module_patched("threading"):
        return function(*arguments, **named)
    outcome = _pool().apply(_run_behind, (partial(function, *arguments, **named),))
    if isinstance(outcome, _Failed):
        raise outcome.error
    result: Result = outcome
    return result


@dataclass(frozen=True, slots=True)
class _Failed:
    """What was raised in a thread, as a result: gevent writes every exception in one to the error output."""

    error: Exception


@cache
def _pool() -> ThreadPool:
    """As many threads as processors: more would only take time from each other and from the event loop."""
    return ThreadPool(os.cpu_count() or 1, hub=gevent.get_hub())


def _run_behind(function: Callable[[], Result]) -> Result | _Failed:
    """The event loop goes first where there are not enough processors for both. On Linux, threads have priorities."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, _thread.get_native_id(), _NICENESS)
    try:
        return function()
    except Exception as error:
        return _Failed(error)

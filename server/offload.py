"""CPU-heavy work in threads, so that it does not stall the other requests of a gevent worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import gevent
from gevent.monkey import is_module_patched

Result = TypeVar("Result")


def offload(function: Callable[..., Result], *arguments: Any) -> Result:
    """Run `function` in gevent's thread pool and wait for it; here, where gevent does not schedule."""
    if not is_module_patched("threading"):
        return function(*arguments)
    result: Result = gevent.get_hub().threadpool.apply(function, arguments)
    return result

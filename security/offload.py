"""How CPU-heavy work is handed over, so that it need not be known here where it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Offload(Protocol):
    """Calls a function, perhaps in another thread, and waits for its result. What it raises is raised here."""

    def __call__(
        self,
        function: Callable[Arguments, Result],
        /,
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """Return what `function` returns."""
        ...


def run_here(
    function: Callable[Arguments, Result], /, *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Call `function` in this thread."""
    return function(*arguments, **named)

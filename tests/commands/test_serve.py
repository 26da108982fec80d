"""`mallard serve` and its parts: how they fail at start."""

from __future__ import annotations

import socket
from collections.abc import Callable

from click.testing import Result

Run = Callable[..., Result]


def test_lmtp_says_why_it_cannot_listen(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        failed = run("lmtp", MALLARD_LMTP_BIND=bind)
    assert (failed.exit_code, failed.stderr.count("\n")) == (1, 1)
    assert failed.stderr.startswith(f"Error: MALLARD_LMTP_BIND is {bind}: ")

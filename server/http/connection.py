"""The connection below a request, as far as the WSGI server shows it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from handlers.call import do_nothing


def disconnector(environ: Mapping[str, Any]) -> Callable[[], None]:
    """What cuts the connection of a request, also under a send that waits for the client."""
    connection = environ.get("gunicorn.socket")
    if connection is None:
        return do_nothing

    def disconnect() -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    return disconnect

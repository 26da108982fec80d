"""Bodies that are needed whole: on disk until all is there, and only a few large ones in memory at a time.

So clients that send slowly, or many at once, cost a worker no memory; what is too much waits on disk.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from tempfile import SpooledTemporaryFile
from threading import BoundedSemaphore

from flask import Request

from server.http.incoming import read_pieces

LARGE = 1024 * 1024
AT_ONCE = 2


def read_whole(request: Request, limit: int, held: ExitStack) -> bytes:
    """The body, inflated. A large one keeps one of the places of the worker until `held` is closed.

    Raises Problem as `read_pieces` does.
    """
    with SpooledTemporaryFile(LARGE) as spool:
        for piece in read_pieces(request, limit):
            spool.write(piece)
        size = spool.tell()
        if size > LARGE:
            held.enter_context(_places())
        spool.seek(0)
        return spool.read(size)


@cache
def _places() -> BoundedSemaphore:
    """Made at the first use: by then a worker has its own kind of threads."""
    return BoundedSemaphore(AT_ONCE)

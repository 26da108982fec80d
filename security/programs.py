"""Other people's programs, gpg and openssl, as functions of bytes.

What goes in and comes out are files without a name, so that nothing is pumped through pipes and nothing secret is left
on a disk. The caller waits: its thread does, or under gevent its greenlet alone. There a program can be started in the
thread of the event loop only, so a thread for CPU work is no place to call this from.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

_SECONDS = 60.0
_AT_ONCE = threading.BoundedSemaphore(2 * (os.cpu_count() or 1))
"""More at a time would only take time from each other, and memory."""
_MOST_BYTES = 256 * 1024 * 1024
_LAST_WORDS = 4096
_BLOCK = 512
_LIMITED = ("sh", "-c", 'ulimit -f "$0" && exec "$@"')
"""A shell sets the limit before the program begins (POSIX `ulimit -f`, in blocks): nothing is written without it."""


class ProgramFailed(Exception):
    """The program did not run, took too long, wrote too much, or says that it failed; the text says which."""


def run_program(
    command: Sequence[str], data: bytes = b"", *, seconds: float = _SECONDS, most: int = _MOST_BYTES
) -> bytes:
    """What a program writes when it reads `data`, at most `most` bytes. Raises ProgramFailed.

    After `seconds`, which include waiting for a turn, it is killed with all that it started.
    """
    deadline = time.monotonic() + seconds
    if not _AT_ONCE.acquire(timeout=seconds):
        raise ProgramFailed(f"{command[0]} did not run: too many programs are at work")
    try:
        with _nameless() as given, _nameless() as written, _nameless() as said:
            given.write(data)
            given.seek(0)
            status = _status(command, (given, written, said), deadline, most)
            if status:
                raise ProgramFailed(f"{command[0]} says: {_last_words(said) or f'status {status}'}")
            return _read(written)
    finally:
        _AT_ONCE.release()


def _nameless() -> IO[bytes]:
    """A file in memory where the system has such, or one that is removed already."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("mallard"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _status(command: Sequence[str], files: tuple[IO[bytes], ...], deadline: float, most: int) -> int:
    given, written, said = files
    limited = [*_LIMITED, str(most // _BLOCK), *command]
    try:
        process = subprocess.Popen(limited, stdin=given, stdout=written, stderr=said, start_new_session=True)
    except OSError as error:
        raise ProgramFailed(f"{command[0]} did not run: {error}") from error
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{command[0]} took too long") from error
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing running, however the wait ended."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _last_words(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LAST_WORDS))
    return file.read().decode("utf-8", "replace").strip()[-300:]

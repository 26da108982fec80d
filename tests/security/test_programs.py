"""Programs that are started: what they read and write, and that none can hold its caller up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from security.programs import ProgramFailed, run_program

PATCHED = """
from gevent import monkey; monkey.patch_all()
import gevent
from security.programs import ProgramFailed, run_program

beats = []
def beat():
    while True:
        beats.append(1)
        gevent.sleep(0.01)
gevent.spawn(beat)
assert run_program(["cat"], b"abc") == b"abc"
asked = [gevent.spawn(run_program, ["sh", "-c", "sleep 0.2; cat"], b"%d" % n) for n in range(12)]
gevent.joinall(asked, raise_error=True)
assert [one.value for one in asked] == [b"%d" % n for n in range(12)]
assert len(beats) > 10, "the loop stood still"
try:
    run_program(["sleep", "60"], seconds=0.2)
except ProgramFailed as error:
    assert "too long" in str(error)
else:
    raise AssertionError
cut = gevent.spawn(run_program, ["sleep", "61.25"])
gevent.sleep(0.3)
cut.kill()
"""


def test_a_program_reads_and_writes_more_than_a_pipe_holds() -> None:
    data = os.urandom(3_000_000)
    assert run_program(["cat"], data) == data


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(ProgramFailed, match="too long"):
        run_program(["sh", "-c", f"echo $$ > {pids}; sleep 60 & echo $! >> {pids}; wait"], seconds=0.5)
    for pid in map(int, pids.read_text().split()):
        assert is_gone(pid)


def is_gone(pid: int) -> bool:
    """Gone, or a zombie that its new parent has not looked after yet."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_program_that_writes_without_end_is_ended() -> None:
    with pytest.raises(ProgramFailed, match="head says"):
        run_program(["head", "-c", "50000000", "/dev/zero"], most=100_000)


def test_what_a_program_says_of_its_failure() -> None:
    with pytest.raises(ProgramFailed, match="sh says: no such key"):
        run_program(["sh", "-c", "echo no such key >&2; exit 3"])


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ProgramFailed, match="not found"):
        run_program(["/no/such/program"])


def test_under_gevent_the_loop_goes_on_and_nothing_is_left() -> None:
    subprocess.run([sys.executable, "-c", PATCHED], check=True, timeout=60)
    running = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            running.append(entry.read_bytes())
    assert b"sleep\0" + b"61.25\0" not in running

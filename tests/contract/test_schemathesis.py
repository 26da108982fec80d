"""The running server against its document, by requests that Schemathesis makes up; `make contract` is the long run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("fuzz") / "run.py"
SHORT = ("--seed", "1", "--max-examples", "2", "--phases", "examples,fuzzing", "--no-color")


@pytest.mark.timeout(300)
def test_requests_that_are_made_up_are_answered_as_documented() -> None:
    done = subprocess.run([sys.executable, RUN, *SHORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "106 selected / 106 total" in done.stdout

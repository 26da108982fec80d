"""Where an import stands, in a file, so that it can be broken off at any moment and started again."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import orjson

_WRITE_SECONDS = 1.0


class Checkpoint:
    """The position in each folder of one source that is behind what is stored.

    Written once a second: what was stored since is met again after a crash, and known as a duplicate.
    """

    def __init__(self, folder: Path, source: str, user: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = hashlib.sha256(f"{user}\n{source}".encode()).hexdigest()[:32]
        self._file = folder / f"{digest}.json"
        self._written = 0.0
        self._positions: dict[str, Any] = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            positions = orjson.loads(self._file.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return positions if isinstance(positions, dict) else {}

    def position(self, folder: str) -> Any:
        """Where to go on, None for the beginning."""
        return self._positions.get(folder)

    def forget(self) -> None:
        """Begin all folders anew."""
        self._positions.clear()

    def note(self, folder: str, position: Any) -> None:
        """All up to here is stored."""
        self._positions[folder] = position
        if time.monotonic() - self._written > _WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Put it on disk, the new file in place of the old one in one step."""
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(self._positions))
        os.replace(fresh, self._file)
        self._written = time.monotonic()

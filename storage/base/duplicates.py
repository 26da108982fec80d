"""Telling writes that a unique index refused from those that failed."""

from __future__ import annotations

from pymongo.errors import BulkWriteError, DuplicateKeyError

_DUPLICATE = 11000


def is_duplicate(error: Exception) -> bool:
    """Whether a unique index alone was against it."""
    if not isinstance(error, BulkWriteError):
        return isinstance(error, DuplicateKeyError)
    faults = _faults(error)
    concern = (error.details or {}).get("writeConcernErrors")
    return bool(faults) and not concern and all(code == _DUPLICATE for _, code in faults)


def has_duplicate(error: BulkWriteError) -> bool:
    """Return whether a unique index was against one of the writes."""
    return any(code == _DUPLICATE for _, code in _faults(error))


def refused(error: BulkWriteError) -> set[int]:
    """Positions of the documents that were not written."""
    return {position for position, _ in _faults(error)}


def _faults(error: BulkWriteError) -> list[tuple[int, int]]:
    return [(fault["index"], fault["code"]) for fault in (error.details or {}).get("writeErrors") or ()]

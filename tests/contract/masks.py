"""What differs from run to run, replaced by words: ids, the time of the run, what is made at random."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import Int64, ObjectId

from server.contract.operations import PATH

RANDOM = frozenset(
    {
        "bucket", "dnsTxt", "fingerprint", "ids", "m", "outbound", "password", "pendingSeed", "privateKey",
        "publicKey", "publicKeyDer", "qrcode", "queueId", "s", "secret", "seed", "tempPassword",
        "token", "totpNonce", "totpStep",
    }
)  # fmt: skip
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_HEX = re.compile(r"\b[0-9a-f]{24}\b|\b[0-9a-f]{64}\b")
_GIVEN = frozenset(_ISO.findall(PATH.read_text("utf-8")))


def masked(value: Any, names: Mapping[str, Any], field: str = "") -> Any:
    """The same value with `<user>` for the id of that name and `<id>` for another or for a digest.

    A date that does not stand in the document becomes `<date>`; of a field of `RANDOM` only its name is kept.
    """
    if field in RANDOM and value and not isinstance(value, bool):
        return f"<{field}>"
    match value:
        case dict():
            return {name: masked(part, names, name) for name, part in value.items()}
        case list():
            return [masked(part, names, field) for part in value]
        case bytes():
            return "<bytes>"
        case Int64():
            return int(value)
        case datetime():
            return _date(value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        case ObjectId() | str():
            return _text(str(value), names)
    return value


def _text(text: str, names: Mapping[str, Any]) -> str:
    return _date(text) if _ISO.fullmatch(text) else _HEX.sub(lambda found: _id(found[0], names), text)


def _date(text: str) -> str:
    return text if text in _GIVEN else "<date>"


def _id(text: str, names: Mapping[str, Any]) -> str:
    return f"<{min((name for name, its in names.items() if its == text), default='id')}>"

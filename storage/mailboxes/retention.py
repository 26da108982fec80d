"""When a message expires: what its mailbox says, unless somebody set a date by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from storage.base.database import Document
from storage.mailboxes.documents import Mailbox


def milliseconds(date: datetime) -> int:
    """Milliseconds since 1970, the form that expiry times have on disk."""
    return round(date.timestamp() * 1000)


def retention_fields(mailbox: Mailbox, joined: datetime) -> Document:
    """The fields of a message that joins a mailbox; `rdate` is None where it does not expire."""
    retention = mailbox.get("retention") or 0
    base = milliseconds(joined)
    return {
        "retention": retention,
        "retentionTime": base,
        "exp": bool(retention),
        "rdate": base + int(retention) if retention else None,
    }


def expiry_fields(expires: Any) -> Document:
    """The fields of a message whose expiry was set by hand, or lifted with False."""
    if isinstance(expires, datetime):
        return {"exp": True, "rdate": milliseconds(expires), "retention": None}
    return {"exp": False, "rdate": None, "retention": None}

"""What listings of accounts and of addresses may ask for alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from security.normalise import tag_list
from storage.database import Document
from storage.patterns import literal


def common_conditions(fields: Mapping[str, Any]) -> Iterator[Document]:
    """The conditions of `forward`, `tags` (one of them) and `requiredTags` (all of them)."""
    if forward := fields.get("forward"):
        yield {"targets.value": {"$regex": literal(forward), "$options": "i"}}
    required = tag_list(fields.get("requiredTags") or "")
    some = [tag for tag in tag_list(fields.get("tags") or "") if tag not in required]
    if required:
        yield {"tagsview": {"$all": required}}
    if some:
        yield {"tagsview": {"$in": some}}

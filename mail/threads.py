"""What ties messages into a thread: the subject without reply marks, and hashes of the ids they refer to."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

_PREFIX = re.compile(r"^(?:re|fwd?)\s*:\s*", re.I)
_TAG = re.compile(r"^\[[^\]]*\]\s+(?=\S)")
_SUFFIX = re.compile(r"\s*\(fwd\)$", re.I)
_SPACES = re.compile(r"\s+")
_MOST_IDS = 10
_THREAD_INDEX = 22
_LONGEST_SUBJECT = 2000


def normalize_subject(subject: str) -> str:
    """`Re: [EXTERNAL] Re: Fwd: X (fwd)` → `X`; upper and lower case stay."""
    text, before = _SPACES.sub(" ", subject[:_LONGEST_SUBJECT]).strip(), None
    while text != before:
        before = text
        text = _SUFFIX.sub("", _TAG.sub("", _PREFIX.sub("", text))).strip()
    return text


def thread_ids(parsed: Mapping[str, Any]) -> list[str]:
    """Hashes of the Message-IDs that a message is or refers to, at most ten."""
    values = [_text(parsed.get(name)) for name in ("message-id", "in-reply-to", "thread-index", "references")]
    values[2] = values[2][:_THREAD_INDEX]
    words = [word.strip().strip("<>").strip() for value in values for word in value.split()]
    return list(dict.fromkeys(_hash(word) for word in words if word))[:_MOST_IDS]


def _text(value: Any) -> str:
    last = value[-1] if isinstance(value, list) and value else value
    return str(last or "").strip()


def _hash(word: str) -> str:
    return b64encode(hashlib.sha1(word.encode(), usedforsecurity=False).digest()).decode().rstrip("=")

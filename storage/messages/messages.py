"""Messages: stored, read, changed, deleted. What a method says it did is on disk."""

from __future__ import annotations

from storage.messages.bulk import MovingMessages
from storage.messages.changing import ChangeMessages
from storage.messages.encrypting import EncryptMessages
from storage.messages.expiring import ExpireMessages
from storage.messages.restoring import RestoreMessages
from storage.messages.search_tokens import TokenMessages
from storage.messages.searching import SearchMessages


class Messages(
    EncryptMessages,
    MovingMessages,
    ChangeMessages,
    ExpireMessages,
    RestoreMessages,
    SearchMessages,
    TokenMessages,
):
    """Repository of messages, made of its sides."""

"""Messages: stored, read, changed, deleted. What a method says it did is on disk."""

from __future__ import annotations

from storage.messages_add import AddMessages
from storage.messages_change import ChangeMessages
from storage.messages_expire import ExpireMessages
from storage.messages_moving import MovingMessages
from storage.messages_restore import RestoreMessages
from storage.messages_search import SearchMessages
from storage.messages_tokens import TokenMessages


class Messages(
    AddMessages,
    MovingMessages,
    ChangeMessages,
    ExpireMessages,
    RestoreMessages,
    SearchMessages,
    TokenMessages,
):
    """Repository of messages, made of its sides."""

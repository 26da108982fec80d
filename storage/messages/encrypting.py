"""Messages at rest, readable for nobody but the owner of a key."""

from __future__ import annotations

from typing import cast

import structlog
from bson import ObjectId

from mail.encrypted import is_encrypted
from mail.message import Indexed, index
from problems import MessageNotEncrypted, summary
from security.encryption import EncryptionFailed, encrypt_for_owner, has_key
from security.offload import Offload, run_here
from storage.accounts.documents import User
from storage.accounts.users import Users
from storage.base.database import Databases, Session, Transactions, holding, may_be_committed
from storage.mailboxes.documents import Mailbox
from storage.messages.attachments import Attachments
from storage.messages.documents import Message, own_fields, to_fit
from storage.messages.messages import Messages

log = structlog.get_logger()

_KEYS = dict.fromkeys(("encryptMessages", "pubKey", "smimeCerts", "smimeCipher", "smimeKeyTransport"), 1)
_RENEWED = ("text", "textFooter", "html", "intro", "attachments")


class EncryptionAtRest:
    """Encrypts stored messages that move to where that is wanted."""

    def __init__(
        self,
        databases: Databases,
        *,
        transactions: Transactions,
        users: Users,
        attachments: Attachments,
        messages: Messages,
    ) -> None:
        self._collection = holding(databases.main["messages"], Message)
        self._transactions = transactions
        self._users = users
        self._attachments = attachments
        self._messages = messages

    def encrypt_before_move(
        self, user_id: ObjectId, source: ObjectId, place: Mailbox, ids: list[ObjectId]
    ) -> None:
        """Encrypt messages that are about to move to `place`, where that is wanted and not done.

        Before, so that nothing arrives there in clear, and nothing moves when it cannot be done.
        """
        user = self._users.get(user_id, _KEYS)
        if not wants_encryption(user, place):
            return
        for message in self._collection.find({"_id": {"$in": ids}, "mailbox": source}):
            if not is_encrypted(message["mimeTree"]["parsedHeader"]):
                self._encrypt_one(user, place, message)

    def _encrypt_one(self, user: User, place: Mailbox, message: Message) -> None:
        """Replace a message by its encrypted form; its references to attachments move with it, once each."""
        magic = message["magic"]
        raw = b"".join(self._messages.source(message))
        encrypted = encrypted_at_rest(user, place, raw, run_here)
        indexed = to_fit(index(encrypted, message["idate"]), encrypted, message["idate"])
        self._attachments.store(indexed.bodies, magic)
        fresh = [body.hash for body in indexed.bodies]
        stale = list((message["mimeTree"].get("attachmentMap") or {}).values())
        try:
            replaced = self._transactions.run(
                lambda session: self._replace(user["_id"], message, indexed, session)
            )
        except Exception as error:
            if not may_be_committed(error):
                self._attachments.release(fresh, magic)
            raise
        self._attachments.release(stale if replaced else fresh, magic)

    def _replace(self, user: ObjectId, message: Message, indexed: Indexed, session: Session) -> bool:
        fields: Message = {
            **cast("Message", indexed.document),  # it has some of a message's fields, and no others
            "msgid": message["msgid"],
            "mallard": own_fields(indexed),
        }
        gone = [name for name in _RENEWED if name not in fields]
        condition = {"_id": message["_id"], "mailbox": message["mailbox"], "size": message["size"]}
        change = {"$set": fields, "$unset": dict.fromkeys(gone, "")}
        if not self._collection.update_one(condition, change, session=session).modified_count:
            return False
        self._users.release_storage(user, message["size"] - fields["size"], session=session)
        return True


def encrypted_at_rest(user: User, mailbox: Mailbox, raw: bytes, offload: Offload) -> bytes:
    """The message as it is to be stored: encrypted where account or mailbox want it and there is a key.

    Raises MessageNotEncrypted: a message that should be secret is not stored in clear.
    """
    if not wants_encryption(user, mailbox):
        return raw
    try:
        return encrypt_for_owner(raw, user, offload)
    except EncryptionFailed as error:
        log.warning("a message was not encrypted", user=str(user["_id"]), reason=summary(error))
        raise MessageNotEncrypted from error


def wants_encryption(user: User, mailbox: Mailbox) -> bool:
    """Return whether account or mailbox ask for it and the account has a key to do it with."""
    asked = user.get("encryptMessages") or mailbox.get("encryptMessages")
    return bool(asked and has_key(user))

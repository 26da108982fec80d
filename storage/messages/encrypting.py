"""Messages at rest, readable for nobody but the owner of a key."""

from __future__ import annotations

import structlog
from bson import ObjectId
from pymongo.client_session import ClientSession

from mail.listing import is_encrypted
from mail.message import Indexed, index
from problems import MessageNotEncrypted, summary
from security.encryption import EncryptionFailed, encrypt_for_owner, has_key
from storage.accounts.documents import User
from storage.base.database import Document, may_be_committed
from storage.base.offload import Offload, run_here
from storage.mailboxes.documents import Mailbox
from storage.messages.base import MessagesBase, own_fields, to_fit

log = structlog.get_logger()

_KEYS = dict.fromkeys(("encryptMessages", "pubKey", "smimeCerts", "smimeCipher", "smimeKeyTransport"), 1)
_RENEWED = ("text", "textFooter", "html", "intro", "attachments")


class EncryptMessages(MessagesBase):
    """Encrypts what is added to, or moved into, a place where that is wanted."""

    def encrypt_before_move(
        self, user_id: ObjectId, source: ObjectId, place: Mailbox, ids: list[ObjectId]
    ) -> None:
        """Encrypt messages that are about to move to `place`, where that is wanted and not done.

        Before, so that nothing arrives there in clear, and nothing moves when it cannot be done.
        """
        user = self._store.users.get(user_id, _KEYS)
        if not wants_encryption(user, place):
            return
        for message in self._collection.find({"_id": {"$in": ids}, "mailbox": source}):
            if not is_encrypted(message["mimeTree"]["parsedHeader"]):
                self._encrypt_one(user, place, message)

    def _encrypt_one(self, user: User, place: Mailbox, message: Document) -> None:
        """Replace a message by its encrypted form; its references to attachments move with it, once each."""
        store, magic = self._store, message["magic"]
        raw = b"".join(store.messages.source(message))
        encrypted = encrypted_at_rest(user, place, raw, run_here)
        indexed = to_fit(index(encrypted, message["idate"]), encrypted, message["idate"])
        store.attachments.store(indexed.bodies, magic)
        fresh = [body.hash for body in indexed.bodies]
        stale = list((message["mimeTree"].get("attachmentMap") or {}).values())
        try:
            replaced = store.transactions.run(
                lambda session: self._replace(user["_id"], message, indexed, session)
            )
        except Exception as error:
            if not may_be_committed(error):
                store.attachments.release(fresh, magic)
            raise
        store.attachments.release(stale if replaced else fresh, magic)

    def _replace(
        self, user: ObjectId, message: Document, indexed: Indexed, session: ClientSession | None
    ) -> bool:
        fields = {**indexed.document, "msgid": message["msgid"], "mallard": own_fields(indexed)}
        gone = [name for name in _RENEWED if name not in fields]
        wanted = {"_id": message["_id"], "mailbox": message["mailbox"], "size": message["size"]}
        change = {"$set": fields, "$unset": dict.fromkeys(gone, "")}
        if not self._collection.update_one(wanted, change, session=session).modified_count:
            return False
        self._store.users.release_storage(user, message["size"] - fields["size"], session=session)
        return True


def encrypted_at_rest(user: User, mailbox: Mailbox, raw: bytes, offload: Offload) -> bytes:
    """The message as it is to be stored: encrypted where account or mailbox want it and there is a key.

    Raises MessageNotEncrypted: a message that should be secret is not stored in clear.
    """
    if not wants_encryption(user, mailbox):
        return raw
    try:
        return offload(encrypt_for_owner, raw, user)
    except EncryptionFailed as error:
        log.warning("a message was not encrypted", user=str(user["_id"]), reason=summary(error))
        raise MessageNotEncrypted from error


def wants_encryption(user: User, mailbox: Mailbox) -> bool:
    """Return whether account or mailbox ask for it and the account has a key to do it with."""
    asked = user.get("encryptMessages") or mailbox.get("encryptMessages")
    return bool(asked and has_key(user))

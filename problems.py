"""What can go wrong for a caller's own reasons: a class for each case, with the code that clients match on.

    Problem
    ├── InvalidInput             400  names every field at fault
    ├── NotFound                 404
    │   ├── AddressNotFound
    │   ├── AliasNotFound
    │   ├── AspNotFound
    │   ├── AttachmentNotFound
    │   ├── AuditNotFound
    │   ├── CertNotFound
    │   ├── DeletedAccountNotFound
    │   ├── DkimNotFound
    │   ├── DomainNotFound
    │   ├── EventNotFound
    │   ├── FileNotFound
    │   ├── FilterNotFound
    │   ├── MailboxNotFound
    │   ├── MessageNotFound
    │   ├── PathNotFound
    │   ├── QueueEntryNotFound
    │   ├── SettingNotFound
    │   ├── UserNotFound
    │   └── WebhookNotFound
    ├── Unreadable               400
    │   ├── EmptyMessage
    │   └── InvalidContent
    ├── Denied                   403
    │   ├── AuthFailed
    │   ├── ConfirmationRequired
    │   ├── InsecurePassword
    │   ├── InvalidAuthScope
    │   ├── InvalidToken
    │   ├── InvalidTotpNonce
    │   ├── MissingPrivileges
    │   ├── RateLimited
    │   ├── TempPasswordNotYetValid
    │   ├── TooManyItems
    │   └── UserDisabled
    ├── NotPossible              400
    │   ├── AddressExists
    │   ├── AliasChain
    │   ├── AliasExists
    │   ├── ChangeNotAllowed
    │   ├── CustomDisabled
    │   ├── CustomEnabled
    │   ├── DeleteInProgress
    │   ├── FormerNameTaken
    │   ├── InvalidProfileScope
    │   ├── InvalidSetupCode
    │   ├── MailLoop
    │   ├── MailboxExists
    │   ├── MailboxProtected
    │   ├── MainAddressProtected
    │   ├── MessageNotDraft
    │   ├── MessageNotEncrypted
    │   ├── NoRecipients
    │   ├── NoUpdates
    │   ├── OverQuota
    │   ├── TotpDisabled
    │   ├── TotpEnabled
    │   ├── UnusableHash
    │   ├── UserExists
    │   └── WildcardNotPermitted
    ├── TooLarge                 413
    │   ├── MessageTooLarge
    │   └── RequestTooLarge
    ├── ServerFault              500
    │   ├── ConfigFault
    │   ├── DatabaseFault
    │   └── InternalFault
    ├── MethodNotAllowed         405
    ├── TooManyStreams           429
    ├── UnsupportedMediaType     415
    └── UriTooLong               414

Every floor raises these, and `server.http.errors` alone makes HTTP of them. Any other exception is a fault of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self


class Problem(Exception):
    """A case that the caller can do something about.

    `code` is what clients match on, `status` the HTTP status, `text` what people read; `extra` are further top-level
    fields of the answer.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    default_text: ClassVar[str]

    def __init__(self, text: str | None = None, **extra: Any) -> None:
        self.text = text or self.default_text
        self.extra = extra
        super().__init__(f"{self.code}: {self.text}")

    def about(self, **extra: Any) -> Self:
        """Return the same problem with further fields that say what it is about."""
        return type(self)(self.text, **{**self.extra, **extra})


class InvalidInput(Problem):
    """The request is at fault. `faults` maps the path of each field, levels joined by a comma, to its text."""

    code = "InputValidationError"
    status = 400
    default_text = "The request is not valid"

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__(". ".join(faults.values()), details=dict(faults))


class NotFound(Problem):
    """What the path or the input names is not there."""

    status = 404


class AddressNotFound(NotFound):
    code = "AddressNotFound"
    default_text = "Invalid or unknown address identifier"


class AliasNotFound(NotFound):
    code = "AliasNotFound"
    default_text = "Invalid or unknown alias"


class AspNotFound(NotFound):
    code = "AspNotFound"
    default_text = "Invalid or unknown ASP key"


class AttachmentNotFound(NotFound):
    code = "AttachmentNotFound"
    default_text = "This attachment does not exist"


class AuditNotFound(NotFound):
    code = "AuditNotFoundError"
    default_text = "Audit not found"


class CertNotFound(NotFound):
    code = "CertNotFound"
    default_text = "Invalid or unknown certificate"


class DeletedAccountNotFound(NotFound):
    code = "AccountNotFound"
    default_text = "There is no deleted account with this id"


class DkimNotFound(NotFound):
    code = "DkimNotFound"
    default_text = "Invalid or unknown DKIM key"


class DomainNotFound(NotFound):
    code = "DomainNotFound"
    default_text = "Domain was not found"


class EventNotFound(NotFound):
    code = "EventNotFound"
    default_text = "Event was not found"


class FileNotFound(NotFound):
    code = "FileNotFound"
    default_text = "This file does not exist"


class FilterNotFound(NotFound):
    code = "FilterNotFound"
    default_text = "This filter does not exist"


class MailboxNotFound(NotFound):
    code = "NoSuchMailbox"
    default_text = "This mailbox does not exist"


class MessageNotFound(NotFound):
    code = "MessageNotFound"
    default_text = "This message does not exist"


class PathNotFound(NotFound):
    code = "ResourceNotFound"
    default_text = "This path does not exist"


class QueueEntryNotFound(NotFound):
    code = "NoSuchQueueEntry"
    default_text = "This message is not in the outbound queue"


class SettingNotFound(NotFound):
    code = "SettingNotFound"
    default_text = "There is no such setting"


class UserNotFound(NotFound):
    code = "UserNotFound"
    default_text = "This user does not exist"


class WebhookNotFound(NotFound):
    code = "WebhookNotFound"
    default_text = "This webhook does not exist"


class Unreadable(Problem):
    """The request cannot be read, or says nothing."""

    status = 400


class EmptyMessage(Unreadable):
    code = "EmptyMessage"
    default_text = "Empty message provided"


class InvalidContent(Unreadable):
    code = "InvalidContent"
    default_text = "The request body cannot be read"


class Denied(Problem):
    """Who asks may not, or not now."""

    status = 403


class AuthFailed(Denied):
    code = "AuthFailed"
    default_text = "Authentication failed"


class ConfirmationRequired(Denied):
    code = "ConfirmationRequired"
    default_text = "This change asks for existingPassword, or for token with a code of the authenticator"


class InsecurePassword(Denied):
    code = "InsecurePasswordError"
    default_text = "Provided password was found from breached passwords list"


class InvalidAuthScope(Denied):
    code = "InvalidAuthScope"
    default_text = "Authentication failed. Invalid scope"


class InvalidToken(Denied):
    code = "InvalidToken"
    default_text = "Invalid accessToken value"


class InvalidTotpNonce(Denied):
    code = "InvalidTotpNonce"
    default_text = "Invalid or expired 2FA nonce"


class MissingPrivileges(Denied):
    code = "MissingPrivileges"
    default_text = "Not enough privileges"


class RateLimited(Denied):
    code = "RateLimitedError"
    default_text = "Authentication was rate limited"


class TempPasswordNotYetValid(Denied):
    code = "TempPasswordNotYetValid"
    default_text = "Temporary password is not yet activated"


class TooManyItems(Denied):
    code = "TooMany"
    default_text = "Too many recipients"


class UserDisabled(Denied):
    code = "UserDisabled"
    default_text = "User account is disabled"


class NotPossible(Problem):
    """The thing exists, but its present state forbids the change."""

    status = 400


class AddressExists(NotPossible):
    code = "AddressExistsError"
    default_text = "This email address already exists"


class AliasChain(NotPossible):
    code = "AliasChain"
    default_text = "A domain alias cannot lead to another alias"


class AliasExists(NotPossible):
    code = "AliasExists"
    default_text = "This domain alias already exists"


class ChangeNotAllowed(NotPossible):
    code = "ChangeNotAllowed"
    default_text = "Cannot change a wildcard address"


class CustomDisabled(NotPossible):
    code = "CustomDisabled"
    default_text = "Custom 2FA is not enabled for this user"


class CustomEnabled(NotPossible):
    code = "CustomEnabled"
    default_text = "Custom 2FA is already enabled for this user"


class DeleteInProgress(NotPossible):
    code = "DeleteInProgress"
    default_text = "The deletion has begun, the account cannot be restored"


class FormerNameTaken(NotPossible):
    code = "AccountFound"
    default_text = "An account with this user name exists by now"


class InvalidProfileScope(NotPossible):
    code = "InvalidAuthScope"
    default_text = "Profile file requires either imap or pop3 and smtp scopes"


class InvalidSetupCode(NotPossible):
    code = "InvalidToken"
    default_text = "Invalid authentication token"


class MailLoop(NotPossible):
    code = "ELOOP"
    default_text = "This message was passed on too often"


class MailboxExists(NotPossible):
    code = "MailboxExistsError"
    default_text = "Mailbox already exists"


class MailboxProtected(NotPossible):
    code = "DisallowedMailboxMethod"
    default_text = "This mailbox cannot be changed in that way"


class MainAddressProtected(NotPossible):
    code = "NotPermitted"
    default_text = "Cannot delete main address"


class MessageNotDraft(NotPossible):
    code = "MessageNotDraft"
    default_text = "This message is not a draft"


class MessageNotEncrypted(NotPossible):
    code = "EncryptionFailed"
    default_text = "The message could not be encrypted with the key of the account"


class NoRecipients(NotPossible):
    code = "ENORECIPIENTS"
    default_text = "This message has no recipients"


class NoUpdates(NotPossible):
    code = "NoUpdates"
    default_text = "Nothing was changed"


class OverQuota(NotPossible):
    code = "OverQuotaError"
    default_text = "User is over quota"


class TotpDisabled(NotPossible):
    code = "TotpDisabled"
    default_text = "TOTP 2FA is not enabled for this user"


class TotpEnabled(NotPossible):
    code = "TotpEnabled"
    default_text = "TOTP 2FA is already enabled for this user"


class UnusableHash(NotPossible):
    code = "HashError"
    default_text = "The password hash is not one that can be used"


class UserExists(NotPossible):
    code = "UserExistsError"
    default_text = "This username already exists"


class WildcardNotPermitted(NotPossible):
    code = "WildcardNotPermitted"
    default_text = "A wildcard address cannot be the main address"


class TooLarge(Problem):
    """What is sent is larger than it may be."""

    status = 413


class MessageTooLarge(TooLarge):
    code = "MessageTooLarge"
    default_text = "The message is larger than 64 MiB"


class RequestTooLarge(TooLarge):
    code = "RequestTooLarge"
    default_text = "The request body is larger than this operation takes"


class ServerFault(Problem):
    """Our fault. Its text shows no inner detail; the log has it."""

    status = 500


class ConfigFault(ServerFault):
    code = "InternalConfigError"
    default_text = "The server lacks the key of a stored secret"


class DatabaseFault(ServerFault):
    code = "InternalDatabaseError"
    default_text = "The database did not answer as it should"


class InternalFault(ServerFault):
    code = "InternalError"
    default_text = "The server failed"


class MethodNotAllowed(Problem):
    code = "MethodNotAllowed"
    status = 405
    default_text = "This method is not allowed here"


class TooManyStreams(Problem):
    code = "TooManyStreams"
    status = 429
    default_text = "Too many event streams are open"


class UnsupportedMediaType(Problem):
    code = "UnsupportedMediaType"
    status = 415
    default_text = "content encoding not supported"


class UriTooLong(Problem):
    code = "UriTooLong"
    status = 414
    default_text = "The request line is too long"


def all_problems() -> Iterator[type[Problem]]:
    """Yield every class that has a code, in the order of this file."""
    waiting: list[type[Problem]] = [Problem]
    while waiting:
        kind = waiting.pop(0)
        waiting.extend(kind.__subclasses__())
        if "code" in kind.__dict__:
            yield kind


def summary(error: BaseException) -> str:
    """Return what an exception says, short enough for a line of the log."""
    return str(error)[:300]

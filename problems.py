"""What can go wrong for a caller's own reasons.

    Problem                 any case with a code that clients match on
    └── InvalidInput        the request itself is at fault; names every field

Every floor raises these; only `server.http.errors` knows which HTTP status a code has. A fault of ours is any
other exception and becomes a 500.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXTS: Mapping[str, str] = {
    "AccountFound": "An account with this user name exists by now",
    "AccountNotFound": "There is no deleted account with this id",
    "AddressExistsError": "This email address already exists",
    "AddressNotFound": "Invalid or unknown address identifier",
    "AliasChain": "A domain alias can not lead to another alias",
    "AliasExists": "This domain alias already exists",
    "AliasNotFound": "Invalid or unknown alias",
    "AspNotFound": "Invalid or unknown ASP key",
    "AttachmentNotFound": "This attachment does not exist",
    "AuditNotFoundError": "Audit not found",
    "AuthFailed": "Authentication failed",
    "CertNotFound": "Invalid or unknown certificate",
    "ChangeNotAllowed": "Can not change a wildcard address",
    "ConfirmationRequired": "This change asks for existingPassword, or for token with a code of the authenticator",
    "CustomDisabled": "Custom 2FA is not enabled for this user",
    "CustomEnabled": "Custom 2FA is already enabled for this user",
    "DeleteInProgress": "The deletion has begun, the account can not be restored",
    "DisallowedMailboxMethod": "This mailbox can not be changed in that way",
    "DkimNotFound": "Invalid or unknown DKIM key",
    "DomainNotFound": "Domain was not found",
    "ELOOP": "This message was passed on too often",
    "ENORECIPIENTS": "This message has no recipients",
    "EmptyMessage": "Empty message provided",
    "EncryptionFailed": "The message could not be encrypted with the key of the account",
    "EventNotFound": "Event was not found",
    "FileNotFound": "This file does not exist",
    "FilterNotFound": "This filter does not exist",
    "HashError": "The password hash is not one that can be used",
    "InsecurePasswordError": "Provided password was found from breached passwords list",
    "InternalConfigError": "The server lacks the key of a stored secret",
    "InternalDatabaseError": "The database did not answer as it should",
    "InternalError": "The server failed",
    "InvalidAuthScope": "Authentication failed. Invalid scope",
    "InvalidContent": "The request body can not be read",
    "InvalidProfileScope": "Profile file requires either imap or pop3 and smtp scopes",
    "InvalidSetupCode": "Invalid authentication token",
    "InvalidToken": "Invalid accessToken value",
    "InvalidTotpNonce": "Invalid or expired 2FA nonce",
    "MailboxExistsError": "Mailbox already exists",
    "MessageNotDraft": "This message is not a draft",
    "MessageNotFound": "This message does not exist",
    "MessageTooLarge": "The message is larger than 64 MiB",
    "MethodNotAllowed": "This method is not allowed here",
    "MissingPrivileges": "Not enough privileges",
    "NoSuchMailbox": "This mailbox does not exist",
    "NoSuchQueueEntry": "This message is not in the outbound queue",
    "NoUpdates": "Nothing was changed",
    "NotPermitted": "Can not delete main address",
    "OverQuotaError": "User is over quota",
    "RateLimitedError": "Authentication was rate limited",
    "RequestTooLarge": "The request body is larger than this operation takes",
    "ResourceNotFound": "This path does not exist",
    "SettingNotFound": "There is no such setting",
    "TempPasswordNotYetValid": "Temporary password is not yet activated",
    "TooMany": "Too many recipients",
    "TooManyStreams": "Too many event streams are open",
    "TotpDisabled": "TOTP 2FA is not enabled for this user",
    "TotpEnabled": "TOTP 2FA is already enabled for this user",
    "UnsupportedMediaType": "content encoding not supported",
    "UriTooLong": "The request line is too long",
    "UserDisabled": "User account is disabled",
    "UserExistsError": "This username already exists",
    "UserNotFound": "This user does not exist",
    "WebhookNotFound": "This webhook does not exist",
    "WildcardNotPermitted": "A wildcard address can not be the main address",
}


class Problem(Exception):
    """A case that the caller can do something about.

    `code` is what clients match on, `text` what people read, `extra` further top-level fields of the answer.
    """

    def __init__(self, code: str, text: str | None = None, **extra: Any) -> None:
        self.code = code
        self.text = text or TEXTS[code]
        self.extra = extra
        super().__init__(f"{code}: {self.text}")


class InvalidInput(Problem):
    """The request is at fault. `faults` maps the path of each field, levels joined by a comma, to its text."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("InputValidationError", ". ".join(faults.values()), details=dict(faults))

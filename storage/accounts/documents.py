"""What stands in the collections of accounts.

Old rows, and rows that WildDuck wrote, may lack any field but the id: `get` reads those.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict

from bson import ObjectId

from storage.addresses.documents import Address, Target


class OldPassword(TypedDict):
    """A password from before."""

    date: datetime  # when it was replaced
    hash: str


class TemporaryPassword(TypedDict):
    """A password that an operator has set."""

    password: str  # its hash
    created: datetime
    validAfter: datetime


class LastLogin(TypedDict):
    """The last log-in; each part False where it is not known."""

    time: datetime | Literal[False]
    authEvent: ObjectId | Literal[False]
    ip: str | Literal[False]


class Credential(TypedDict, total=False):
    """A security key of WebAuthn, of WildDuck's."""

    rawId: bytes
    description: str
    created: datetime


class Credentials(TypedDict, total=False):
    """The security keys of an account."""

    credentials: list[Credential]


class OwnUserFields(TypedDict, total=False):
    """What Mallard keeps of an account beside WildDuck's fields."""

    keyInfo: dict[str, str] | None  # of the PGP key, see `security.keys`; None: it cannot be used
    keyOf: str  # the mark of the key that `keyInfo` is about
    smimeCertInfo: list[dict[str, str]]  # of the certificates; empty: one of them cannot be used
    certsOf: str  # the mark of the certificates that `smimeCertInfo` is about
    totpStep: int  # the last step of TOTP that was used
    addressChanges: int  # counts only so that transactions conflict
    audits: int  # the same


class User(TypedDict, total=False):
    """An account."""

    _id: ObjectId
    username: str
    unameview: str  # the form to compare with: no dots, lower case
    name: str | None
    language: str | None
    address: str  # the main one; empty without
    password: str  # its hash; empty without
    oldPasswords: list[OldPassword]
    tempPassword: TemporaryPassword | Literal[False]
    passwordChange: datetime
    lastPwnedCheck: datetime
    passwordPwned: bool
    authVersion: int  # sessions and pending log-ins of an older one have ended
    enabled2fa: list[str] | bool  # in old documents true for TOTP alone
    seed: str  # of TOTP, encrypted
    pendingSeed: str  # waits for its first code
    pendingSeedChanged: datetime | Literal[False]
    webauthn: Credentials
    require2faEnabled: bool
    storageUsed: int  # bytes
    quota: int  # bytes; here and in the limits below 0 means the default
    recipients: int
    forwards: int
    filters: int
    imapMaxUpload: int
    imapMaxDownload: int
    pop3MaxDownload: int
    pop3MaxMessages: int
    imapMaxConnections: int
    receivedMax: int
    targets: list[Target]
    mtaRelay: Target | Literal[False]
    autoreply: bool
    uploadSentMessages: bool
    pubKey: str
    smimeCerts: list[str]
    smimeCipher: str
    smimeKeyTransport: str
    encryptMessages: bool
    encryptForwarded: bool
    spamLevel: int  # 0 all is spam, 100 nothing is
    retention: int  # milliseconds; of mailboxes made later
    disabledScopes: list[str]
    fromWhitelist: list[str]
    tags: list[str]
    tagsview: list[str]  # the tags in lower case
    metaData: str  # JSON
    internalData: str  # JSON
    featureFlags: dict[str, bool]
    lastLogin: LastLogin
    activated: bool
    disabled: bool
    suspended: bool
    created: datetime
    mallard: OwnUserFields


class DeleteInfo(TypedDict, total=False):
    """What is known of a deletion, beside the account that was deleted."""

    deletedAt: datetime
    deleteAfter: datetime  # of our own: until then nobody else gets the names
    mainAddress: str
    addresses: list[Address]


class DeletedUser(User, total=False):
    """A deleted account, kept until its data go (soft delete)."""

    deleteInfo: DeleteInfo


class Counter(TypedDict):
    """A counter that runs; see `storage.base.counters`."""

    _id: str
    value: int
    expires: datetime


class UserSummary(User, total=False):
    """An account without its secrets, with what is counted about it."""

    hasPassword: bool
    tempCreated: datetime  # when the temporary password was set
    counters: list[Counter]
    filterCount: int


class Asp(TypedDict, total=False):
    """An application password."""

    _id: ObjectId
    user: ObjectId
    description: str
    scopes: list[str]
    password: str  # its hash
    selector: str | None  # tells which of an account's passwords was given, without trying all
    slot: int  # unique for an account, so that their number stays limited
    ttl: int | None  # seconds from the last use to its end
    expires: datetime | None
    used: datetime | Literal[False]
    authEvent: ObjectId | Literal[False]  # the entry of the last log-in
    authIp: str | Literal[False]
    created: datetime


class AccessToken(TypedDict, total=False):
    """A token of a program, or a session of an account."""

    _id: str  # the hash of the token
    user: str  # a name, or an account's id
    role: str
    created: datetime
    ttl: int  # of a session, seconds from its last use to its end
    expires: datetime
    authVersion: int
    s: str  # a signature, so that nobody makes tokens in the database


class TokenWithAccount(AccessToken, total=False):
    """A token, and its account: none, or one that is there."""

    account: list[User]


class PendingLogin(TypedDict, total=False):
    """A log-in that waits for its second factor."""

    _id: str  # the hash of its nonce
    user: ObjectId
    authVersion: int
    methods: list[str]
    tokenRequested: bool
    created: datetime
    expires: datetime


class AuthLogEntry(TypedDict, total=False):
    """An entry of the security log; like events share one."""

    _id: ObjectId
    user: ObjectId
    action: str
    result: str | None
    protocol: str | None
    ip: str | None
    sess: str | None
    created: datetime
    last: datetime  # the last of the events
    events: int  # how many share the entry
    expires: datetime
    key: bytes  # WildDuck's mark of like events
    bucket: str  # ours; it goes when the entry is closed


class OwnFilterFields(TypedDict, total=False):
    """What Mallard keeps of a filter beside WildDuck's fields."""

    slot: int


class Filter(TypedDict, total=False):
    """A filter of an account."""

    _id: ObjectId
    user: ObjectId
    name: str
    query: dict[str, Any]  # what it looks for
    action: dict[str, Any]  # what it does, as `mailbox`, `targets`, `seen`
    disabled: bool
    created: datetime
    metaData: str  # JSON
    mallard: OwnFilterFields


class Autoreply(TypedDict, total=False):
    """What an account answers by itself."""

    _id: ObjectId
    user: ObjectId
    status: bool
    name: str | None
    subject: str | None
    text: str | None
    html: str | None
    start: datetime | Literal[False] | None
    end: datetime | Literal[False] | None
    created: datetime
    updated: datetime

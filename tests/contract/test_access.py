"""Who may do what: every operation asked by every role, against the rights as WildDuck documents them.

The two tables are written down here once more, so that a slip in the contract or in the role table shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from pymongo import MongoClient, ReplaceOne
from pymongo.write_concern import WriteConcern

from handlers.call import Call
from handlers.users import create_user
from security.roles import ROLES, permits
from security.tokens import new_token, signature, token_hash
from server.contract.operations import Access, Contract, Operation
from server.http.app import create_app
from server.settings.table import Settings
from storage.base.database import DatabaseNames
from storage.store import Store
from tests.conftest import Client, emptied
from tests.contract.valid_requests import send

Document = dict[str, Any]

# The rights of a role on a resource: C create, R read, U update, D delete. The role `user` has them on things of
# its own account alone, all others on everybody's.
RIGHTS = """
                 root  manager  webmail  user  auth  tokenAuth  attachments  audit  auditclient  export  settings  downloader
addresslisting   R     R        -        R     -     -          -            -      -            -       -         -
addresses        CRUD  CRUD     CRUD     CRUD  -     -          -            -      -            -       -         -
authentication   CR    CR       CR       CR    C     C          -            -      -            -       -         -
userlisting      R     R        -        R     -     -          -            -      -            -       -         -
users            CRUD  CRUD     RU       RU    -     -          -            R      -            -       -         -
asps             CRD   CRD      CRD      CRD   -     -          -            -      -            -       -         -
messages         CRUD  -        CRUD     CRUD  -     -          -            -      -            -       -         R
attachments      CRUD  -        CRUD     CRUD  -     -          R            -      -            -       -         -
storage          CRUD  -        CRUD     CRUD  -     -          -            -      -            -       -         -
mailboxes        CRUD  -        CRUD     CRUD  -     -          -            -      -            -       -         -
autoreplies      CRUD  CRUD     CRUD     CRUD  -     -          -            -      -            -       -         -
filters          CRUD  CRUD     CRUD     CRUD  -     -          -            -      -            -       -         -
certs            CRUD  CRUD     -        -     -     -          -            -      -            -       -         -
dkim             CRUD  CRUD     -        -     -     -          -            -      -            -       -         -
domainaccess     CRUD  CRUD     CRUD     -     -     -          -            -      -            -       -         -
domainaliases    CRUD  CRUD     -        -     -     -          -            -      -            -       -         -
webhooks         CRUD  CRUD     CRUD     R     -     -          -            -      -            -       -         -
settings         CRUD  -        -        -     -     -          -            -      -            -       CRUD      -
audit            CRUD  -        -        -     -     -          -            CRUD   R            -       -         -
export           -     -        -        -     -     -          -            -      -            C       -         -
import           -     -        -        -     -     -          -            -      -            C       -         -
"""  # noqa: E501

# What an operation asks for. `own`: the account's own thing if the token is that account's, else anybody's. `any`:
# anybody's, whosever it is. `list`: anybody's, else only the account's own are listed. `token`: no right at all.
# The last words say where a role's list of fields is applied: to what it sends, to the answer, to rows of a listing.
# `logoutUser` asks for more than WildDuck, where reading is enough: who may only read ends nobody's sessions.
OPERATIONS = """
getAddresses             addresslisting  R  list  results
getUserAddresses         addresses       R  own   results
getUserAddress           addresses       R  own   response
getUserAddressregister   addresses       R  own
createUserAddress        addresses       C  own   request
updateUserAddress        addresses       U  own   request
deleteUserAddress        addresses       D  own
createForwardedAddress   addresses       C  any   request
updateForwardedAddress   addresses       U  any   request
deleteForwardedAddress   addresses       D  any
getForwardedAddress      addresses       R  any   response
resolveAddress           addresses       R  any   response
renameDomain             addresses       U  any
getASPs                  asps            R  own
getASP                   asps            R  own
createASP                asps            C  own
deleteASP                asps            D  own
getArchivedMessages      messages        R  own
restoreMessage           messages        U  own
restoreMessages          messages        U  own
createAudit              audit           U  any
getAudit                 audit           R  any
getAuditEmails           audit           R  any
authenticate             authentication  C  any   request response
invalidateAccessToken    -               -  token
getAuthlog               authentication  R  own
getAuthlogEvent          authentication  R  own
getAutoreply             autoreplies     R  own
updateAutoreply          autoreplies     U  own
deleteAutoreply          autoreplies     D  own
getTLSCerticates         certs           R  any
getTLSCerticate          certs           R  any
resolveTLSCertificate    certs           R  any
updateTLSCertificate     certs           C  any
deleteTlsCert            certs           D  any
getDkimKeys              dkim            R  any
getDkimKey               dkim            R  any
resolveDkim              dkim            R  any
updateDkimKey            dkim            C  any
deleteDkimKey            dkim            D  any
getAllowedDomain         domainaccess    R  any
getBlockedDomain         domainaccess    R  any
createAllowedDomain      domainaccess    C  any
createBlockedDomain      domainaccess    C  any
deleteDomainListing      domainaccess    D  any
getDomainAliases         domainaliases   R  any
getDomainAlias           domainaliases   R  any
resolveDomainAlias       domainaliases   R  any
createDomainAlias        domainaliases   C  any
deleteDomainAlias        domainaliases   D  any
getAllFilters            filters         R  list  results
getFilters               filters         R  own   results
getFilter                filters         R  own   response
createFilter             filters         C  own
updateFilter             filters         U  own
deleteFilter             filters         D  own
getMailboxes             mailboxes       R  own
getMailbox               mailboxes       R  own
createMailbox            mailboxes       C  own
updateMailbox            mailboxes       U  own
deleteMailbox            mailboxes       D  own
getMessages              messages        R  own
getMessage               messages        R  own
getMessageSource         messages        R  own
searchMessages           messages        R  own
getMessageAttachment     attachments     R  own
updateMessage            messages        U  own
searchApplyMessages      messages        U  own
deleteMessage            messages        D  own
deleteMessagesInMailbox  messages        D  own
deleteOutboundMessage    messages        D  own
uploadMessage            messages        C  own
forwardStoredMessage     messages        C  own
submitStoredMessage      messages        C  own
getFiles                 storage         R  own
getFile                  storage         R  own
uploadFile               storage         C  own
deleteFile               storage         D  own
submitMessage            messages        C  own
setupTotp2FA             users           U  own
enableTotp2FA            users           U  own
disableTotp2FA           users           U  own
enableCustom2FA          users           U  own
disableCustom2FA         users           U  own
disable2FA               users           U  own
checkTotp2FA             authentication  C  own   response
getUsers                 userlisting     R  list  results
createUser               users           C  any   request
resolveUser              users           R  any
getUser                  users           R  own   response
getUpdates               users           R  own
restoreUserInfo          users           R  own
logoutUser               users           U  own
updateUser               users           U  own   request
recalculateQuota         users           U  own
restoreUser              users           U  own
recalculateQuotaAllUsers users           U  any
resetUserPassword        users           U  any
deleteUser               users           D  any
getWebhooks              webhooks        R  list  results
createWebhook            webhooks        C  own   request
deleteWebhook            webhooks        D  own
getSettings              settings        R  any
getSetting               settings        R  any
createSetting            settings        C  any   request
deleteSetting            settings        D  any
"""

OWN, ANY, NOBODY = "the own account", "another account", "a token of no account"


def read_rights() -> dict[tuple[str, str], str]:
    """(role, resource) → letters."""
    roles, *lines = (line.split() for line in RIGHTS.strip("\n").splitlines())
    return {
        (role, resource): letters
        for resource, *cells in lines
        for role, letters in zip(roles, cells, strict=True)
    }


ROWS: Mapping[str, list[str]] = {
    line.split()[0]: line.split()[1:] for line in OPERATIONS.strip().splitlines()
}
LETTERS = read_rights()
ACTIONS = {"C": "create", "R": "read", "U": "update", "D": "delete"}
TABLE_ROLES = sorted({role for role, _ in LETTERS})


def expected(operation: str, role: str, whose: str) -> str:
    """What the tables say."""
    resource, letter, mode, *_ = ROWS[operation]
    if mode == "token":
        return "permitted"
    has_right = letter in LETTERS[role, resource]
    if role == "user":
        has_right = has_right and ((mode == "own" and whose == OWN) or (mode == "list" and whose != NOBODY))
    return "permitted" if has_right else "MissingPrivileges"


def decision(answer: Any) -> str:
    """Whether the request was let in; what came of it then is of no interest, but it is no fault of ours."""
    if answer.status_code == 403 and answer.json["code"] in ("MissingPrivileges", "InvalidToken"):
        return str(answer.json["code"])
    assert answer.status_code < 500 or answer.status_code == 501, answer.json
    return "permitted"


class World:
    """The app with access control on, two accounts, and their tokens put right again before each request."""

    def __init__(self, mongo: MongoClient[Document], databases: DatabaseNames, contract: Contract) -> None:
        self.store = Store(mongo, databases)
        settings = Settings(
            access_control=True, validate_responses=True, log_level="error", mongo_uri="mongodb://unused"
        )
        self.secret = settings.secret
        self._app: Flask = create_app(settings, self.store, contract)
        fast = mongo.get_database(databases.main, write_concern=WriteConcern(w=1, j=False))
        self._users, self._tokens = fast["users"], fast["accesstokens"]
        self._accounts = [self._account(name) for name in ("ada", "bob")]
        self.ada, self.bob = (str(account["_id"]) for account in self._accounts)

    def _account(self, name: str) -> Any:
        body = {"username": name, "password": "correct horse", "address": f"{name}@example.net"}
        return self.store.users.get(ObjectId(create_user(call=Call(store=self.store), body=body)["id"]))

    def ask(self, operation: Operation, role: str, whose: str) -> Any:
        """Call an operation with a role's token. Programs have tokens of no account, people those of their own."""
        is_account = whose == OWN or (role == "user" and whose == ANY)
        self.restore()
        token = self.token(self.ada if is_account else "robot", role, self.secret)
        return send(Client(self._app, token), operation, self.ada if whose == OWN else self.bob)

    def ask_with(self, operation: Operation, token: str | None) -> Any:
        return send(Client(self._app, token), operation, self.ada)

    def restore(self) -> None:
        """Bring the accounts back that the request before may have changed or removed."""
        self._users.bulk_write([ReplaceOne({"_id": a["_id"]}, a, upsert=True) for a in self._accounts])

    def token(self, user: str, role: str, secret: str) -> str:
        """A token as it stands on disk: that of an account is a session and knows the account's `authVersion`."""
        text, now = new_token(), self.store.clock()
        version = 1 if ObjectId.is_valid(user) else None
        record: Document = {"_id": token_hash(text), "user": user, "role": role, "created": now}
        if version is not None:
            record.update(authVersion=version, ttl=3600, expires=now + timedelta(hours=1))
        self._tokens.insert_one({**record, "s": signature(secret, record["_id"], user, role, version)})
        return text


@pytest.fixture(scope="module")
def world(mongo: MongoClient[Document], databases: DatabaseNames, contract: Contract) -> Iterator[World]:
    """One app for all tests of this file."""
    with emptied(mongo, databases):
        yield World(mongo, databases, contract)


@pytest.fixture(scope="module")
def operations(contract: Contract) -> dict[str, Operation]:
    """The operations by their ids."""
    return {operation.operation_id: operation for operation in contract.operations}


def test_the_tables_are_whole(operations: dict[str, Operation]) -> None:
    assert sorted(ROWS) == sorted(operations)
    assert len(ROWS) == 106
    assert sorted(ROLES) == TABLE_ROLES
    asked_for = {resource for resource, _, mode, *_ in ROWS.values() if mode != "token"}
    assert asked_for | {"export", "import"} == {resource for _, resource in LETTERS}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_the_contract_says_what_the_tables_say(operations: dict[str, Operation], name: str) -> None:
    """Beside the answers, because a slip among rights that the same roles have does not show in them."""
    resource, letter, mode, *filters = ROWS[name]
    wanted = Access(
        resource=None if mode == "token" else resource,
        action=ACTIONS.get(letter),
        possession="listing" if mode == "list" else mode,
        filters=frozenset(filters),
    )
    assert operations[name].access == wanted


@pytest.mark.parametrize("role", TABLE_ROLES)
def test_a_role_has_the_rights_of_the_table_and_no_others(role: str) -> None:
    resources = {resource for _, resource in LETTERS} | {"nothing"}

    def rights(resource: str, *, own: bool) -> str:
        found = [letter for letter, action in ACTIONS.items() if permits(role, resource, action, own=own)]
        return "".join(found) or "-"

    wanted = {resource: LETTERS.get((role, resource), "-") for resource in resources}
    assert {resource: rights(resource, own=True) for resource in resources} == wanted
    if role == "user":
        wanted = dict.fromkeys(resources, "-")
    assert {resource: rights(resource, own=False) for resource in resources} == wanted


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_role_may_what_the_tables_say(
    world: World, operations: dict[str, Operation], name: str
) -> None:
    asked = [(role, whose) for role in TABLE_ROLES for whose in (OWN, ANY)] + [("user", NOBODY)]
    found = {key: decision(world.ask(operations[name], *key)) for key in asked}
    assert found == {key: expected(name, *key) for key in asked}


FORGERIES: Mapping[str, Callable[[World], str | None]] = {
    "none": lambda _: None,
    "unknown": lambda _: "0" * 40,
    "of another form": lambda _: "not a token",
    "signed by someone else": lambda world: world.token("robot", "root", "another secret"),
    "of a role that there is not": lambda world: world.token("robot", "nobody", world.secret),
    "of an account that is gone": lambda world: world.token(str(ObjectId()), "root", world.secret),
}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_nobody_gets_in_without_a_good_token(
    world: World, operations: dict[str, Operation], name: str
) -> None:
    found = {
        kind: decision(world.ask_with(operations[name], make(world))) for kind, make in FORGERIES.items()
    }
    assert found == dict.fromkeys(FORGERIES, "InvalidToken")

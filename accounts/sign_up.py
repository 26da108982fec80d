"""Sign-up: an account with its mailboxes and its first address, all of it or nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.changes import emit_targets, log_targets
from accounts.context import Context
from problems import AddressExists, InvalidInput, MailboxProtected, UserExists
from security.normalize import domain_of, is_plain, normalize_address
from storage.accounts.documents import TemporaryPassword, User
from storage.accounts.user_changes import KeyFacts
from storage.base.database import Session
from storage.mailboxes.names import checked_path, mailbox_names

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUp:
    """All that an account starts with."""

    username: str
    address: str  # the first one, checked by `first_address`; empty for none
    password: str = ""  # a hash; empty for none
    is_temporary: bool = False  # the password must be changed soon
    fields: Mapping[str, Any] = field(default_factory=dict)  # settings, as a request gives them
    keys: KeyFacts = field(default_factory=KeyFacts)
    tag_address: bool = False  # the address gets the account's tags
    mailbox_names: Mapping[str, str] = field(default_factory=dict)  # see `checked_names`


def sign_up(context: Context, new: SignUp) -> User:
    """Make an account. Raises UserExists or AddressExists, which say whose name or address is taken."""
    try:
        user = context.store.transactions.run(lambda session: _insert(context, new, session))
    except (AddressExists, UserExists) as problem:
        raise problem.about(username=new.username) from problem
    if user["address"]:
        context.store.addresses.remember_domain(user["address"])
    context.log_event(user["_id"], "account created", result="success")
    log_targets(context, user["_id"], new.fields.get("targets") or ())
    return user


def _insert(context: Context, new: SignUp, session: Session) -> User:
    store, fields = context.store, new.fields
    user = store.users.create(new.username, _document(context, new), session=session)
    if new.address:
        _insert_address(context, new, user, session)
    names, retention = new.mailbox_names, fields.get("retention") or 0
    store.mailboxes.create_defaults(user["_id"], fields.get("language"), names, retention, session=session)
    about = {"username": user["username"], "name": user["name"], "address": user["address"]}
    store.events.emit("user.created", user=user["_id"], session=session, **about)
    emit_targets(context, user["_id"], fields.get("targets") or (), session)
    return user


def _document(context: Context, new: SignUp) -> dict[str, Any]:
    """The account's own fields. A password that must be changed soon is a temporary one."""
    fields = {**new.fields, **new.keys.as_document(), "address": new.address}
    if not new.is_temporary or not new.password:
        return {**fields, "password": new.password}
    now = context.now
    temporary = TemporaryPassword(validAfter=now, password=new.password, created=now)
    return {**fields, "tempPassword": temporary}


def _insert_address(context: Context, new: SignUp, user: User, session: Session) -> None:
    """Both names are claimed before mailboxes are made, so that without transactions one step takes all back."""
    tags = {"tags": user["tags"]} if new.tag_address and user.get("tags") else {}
    try:
        context.store.addresses.create(user["_id"], user["address"], tags, session=session)
    except AddressExists:
        if session is None:
            context.store.users.discard(user["_id"])
        raise


def first_address(context: Context, username: str, given: str | None) -> str:
    """The given address, else the one that the user name makes. Raises InvalidInput."""
    if given and "*" in given:
        raise InvalidInput({"address": '"address" cannot contain *'})
    address = normalize_address(given or _derived(context, username), without_label=True)
    if not is_plain(address):
        text = (
            '"address" must be a valid email'
            if given
            else '"username" makes no address, so "address" is required'
        )
        raise InvalidInput({"address": text})
    if target := context.store.addresses.alias_targets([domain_of(address)]):
        domain = next(iter(target.values()))
        raise InvalidInput({"address": f"The domain is an alias, use the address at {domain}"})
    return address


def _derived(context: Context, username: str) -> str:
    """The user name itself where a host stands behind its `@`, else what stands before that at our own domain."""
    local, _, host = username.partition("@")
    if _HOST_NAME.fullmatch(host):
        return username
    return f"{local}@{context.rules.email_domain or socket.gethostname()}"


def checked_names(names: Mapping[str, str], language: str | None) -> dict[str, str]:
    """The paths of the special-use mailboxes that have one of their own.

    Raises InvalidInput where one is too long, is INBOX, or is the path of another one, given or in the language.
    """
    paths = {use: _checked_path(use, path) for use, path in names.items() if path}
    taken = ["INBOX", *mailbox_names(language, paths).values()]
    for use, path in reversed(paths.items()):
        if taken.count(path) > 1:
            raise InvalidInput({f"mailboxes,{use}": f"Duplicate mailbox name: {path}"})
    return paths


def _checked_path(use: str, path: str) -> str:
    try:
        return checked_path(path)
    except MailboxProtected as problem:
        raise InvalidInput({f"mailboxes,{use}": problem.text}) from problem

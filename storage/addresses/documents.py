"""What stands in the collections of addresses and domains."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict

from bson import Binary, ObjectId


class Target(TypedDict, total=False):
    """Where mail is forwarded to, of accounts, filters and forwarded addresses alike."""

    id: ObjectId
    type: str  # `mail`, `relay` (SMTP) or `http`
    value: str  # an address or a URL
    user: ObjectId  # whose account it is, of a forwarded address


class AddressAutoreply(TypedDict, total=False):
    """What a forwarded address answers by itself. WildDuck stores null for what was not given."""

    status: bool
    name: str | None
    subject: str | None
    text: str | None
    html: str | None
    start: datetime | Literal[False] | None
    end: datetime | Literal[False] | None


class Address(TypedDict, total=False):
    """An address of an account, or with `targets` and no `user` a forwarded address."""

    _id: ObjectId
    user: ObjectId
    name: str | None
    address: str  # normalized, as it is shown
    addrview: str  # the form to compare with: no dots, no label, lower case
    tags: list[str]
    tagsview: list[str]  # the tags in lower case
    metaData: str  # JSON
    internalData: str  # JSON
    created: datetime
    targets: list[Target]
    forwards: int  # messages a day; 0 means the default
    forwardedDisabled: bool
    autoreply: AddressAutoreply


Owner: TypeAlias = Mapping[str, Any]
"""Whose mail it is: the row of an account, or of a forwarded address. What one of them lacks is read with `get`."""


class DomainAlias(TypedDict, total=False):
    """A domain that stands for another one."""

    _id: ObjectId
    alias: str
    domain: str
    created: datetime


class Domain(TypedDict, total=False):
    """A domain that mail is taken for; WildDuck's `domaincache`."""

    _id: ObjectId
    domain: str


class DomainRule(TypedDict, total=False):
    """A sender domain that accounts with a tag always or never trust."""

    _id: ObjectId
    action: str  # `allow` or `block`
    tag: str
    tagview: str  # the tag in lower case
    domain: str


class KnownAddress(TypedDict, total=False):
    """An address that an account has exchanged mail with."""

    _id: ObjectId
    user: ObjectId
    address: str
    addrview: str
    name: str
    disabled: bool  # the user has hidden it
    updated: datetime  # the last use


class MarkCertificate(TypedDict, total=False):
    """The verified mark certificate of a logo (VMC)."""

    type: str


class Logo(TypedDict, total=False):
    """A brand indicator (BIMI) that WildDuck has fetched."""

    _id: ObjectId
    type: str  # `authority` or `self`
    url: str
    content: Binary
    vmc: MarkCertificate

"""What a search asks for → the conditions that the store is asked with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from problems import InvalidInput
from storage.base.database import Document
from storage.search.fields import terms_of
from storage.search.language import QuerySyntaxError, parse_query
from storage.search.plan import Places, plan
from storage.search.terms import NotSpamOrTrash


def condition(places: Places, user: ObjectId, fields: Mapping[str, Any]) -> list[Document]:
    """The conditions of a search by the API's names, one of which must hold.

    `q` takes the place of all but `useAndSearch` and `searchable`.
    Raises InvalidInput where `q` is no query.
    """
    all_words = bool(fields.get("useAndSearch"))
    if not fields.get("q"):
        return plan(user, terms_of(fields), places, all_words=all_words)
    try:
        term = parse_query(fields["q"])
    except QuerySyntaxError as error:
        raise InvalidInput({"q": f'"q" cannot be read: {error}'}) from error
    within = [NotSpamOrTrash()] if fields.get("searchable") else []
    return plan(user, term, places, all_words=all_words, within=within)


def is_restricted(fields: Mapping[str, Any]) -> bool:
    """Whether a search asks for anything at all, and not for every message of the account."""
    return bool(fields.get("q") or terms_of(fields).parts)

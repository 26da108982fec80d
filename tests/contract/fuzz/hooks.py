"""What Schemathesis must know of this contract: its formats, and which findings are none, each with the reason why."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

import orjson
import schemathesis
from hypothesis import strategies as st
from leniency import CONTRACT, is_taken_leniently
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData, UnsupportedMethodResponse

from server.formats import FORMATS as SERVER_FORMATS

_LETTERS = string.ascii_lowercase + string.digits
_WORD = st.text(_LETTERS, min_size=1, max_size=12)
_DOMAIN = st.builds("{}.{}".format, _WORD, st.sampled_from(["com", "org", "example", "test"]))
_ADDRESS = st.builds("{}@{}".format, _WORD, _DOMAIN)
_HEX_ID = st.text("0123456789abcdef", min_size=24, max_size=24)


def _cursor(row_id: str) -> str:
    inner = orjson.dumps({"$oid": row_id}).decode()
    return base64.urlsafe_b64encode(orjson.dumps([inner, 2])).decode().rstrip("=")


FORMATS: dict[str, st.SearchStrategy[str]] = {
    "cursor": _HEX_ID.map(_cursor),
    "date-time-input": st.datetimes().map(lambda date: date.isoformat() + "Z"),
    "email-address": _ADDRESS,
    "email-or-wildcard": _ADDRESS | st.builds("*{}".format, _ADDRESS),
    "host-name": _DOMAIN,
    "host-name-or-any": _DOMAIN | st.just("*"),
    "host-name-or-ip": _DOMAIN | st.ip_addresses().map(str),
    "ip": st.ip_addresses().map(str),
    "login-name": _WORD | _ADDRESS,
    "metadata": st.dictionaries(_WORD, st.integers(-9, 9) | _WORD, max_size=3).map(
        lambda value: orjson.dumps(value).decode()
    ),
    "object-id": _HEX_ID,
    "sender-pattern": _ADDRESS | _DOMAIN.map("*@{}".format) | _WORD.map("{}*".format),
    "target": _ADDRESS | _DOMAIN.map("smtp://{}:25".format) | _DOMAIN.map("https://{}/mail".format),
    "uri": _DOMAIN.map("https://{}/hook".format),
    "username": _WORD,
}
assert FORMATS.keys() - {"object-id"} == SERVER_FORMATS.keys(), "each format of the contract, and no other"
for _name, _strategy in FORMATS.items():
    schemathesis.openapi.format(_name, _strategy)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A finding that is none: `reason` for the reader, `applies(failure, case, body)` for the run."""

    reason: str
    applies: Callable[[Failure, Any, Any], bool]


def _fields_at_fault(failure: Failure, body: Any) -> set[str]:
    if not isinstance(failure, RejectedPositiveData) or body.get("code") != "InputValidationError":
        return set()
    return {name.split(",")[0] for name in body.get("details") or ()}


def _are_all_in(names: set[str], known: Set[str]) -> bool:
    return bool(names) and names <= known


RULES: dict[str, frozenset[str]] = {
    # a `*` only where `allowWildcard` lets it, in the forms that the description tells; no label behind a `+`
    "createForwardedAddress": frozenset({"address"}),
    "createUserAddress": frozenset({"address"}),
    # later than now
    "createAudit": frozenset({"expires"}),
    # of another domain than itself
    "createDomainAlias": frozenset({"alias"}),
    # each setting has a type of its own
    "createSetting": frozenset({"value"}),
    # no two mailboxes of one name; X.509 certificates that are fit for encryption
    "createUser": frozenset({"mailboxes", "smimeCerts"}),
    "updateUser": frozenset({"smimeCerts"}),
    # another domain than the old one
    "renameDomain": frozenset({"newDomain"}),
    # deletes, or changes something, not both
    "searchApplyMessages": frozenset({"action"}),
    # of a key that is to be made; one that is given has a type
    "updateDkimKey": frozenset({"keyType"}),
    # needed unless they are there already or `acme` gets them
    "updateTLSCertificate": frozenset({"privateKey", "cert"}),
    # stands in the body or in the path
    "updateMessage": frozenset({"message"}),
    # another address becomes the main one; it can not cease to be one
    "updateUserAddress": frozenset({"main"}),
    # in the encoding that another field names
    "uploadFile": frozenset({"content"}),
}
"""Rules between fields, or on what a text means, which JSON Schema has no words for; the descriptions tell them."""

SECOND_PATHS = frozenset(
    operation["x-also-at"]
    for path in CONTRACT.document["paths"].values()
    for operation in path.values()
    if isinstance(operation, dict) and "x-also-at" in operation
)

EXCLUSIONS = (
    Exclusion(
        "The state of the data refuses it, not its form: the original answers 400 to these conflicts and its clients"
        " match on the code, so they keep it.",
        lambda failure, case, body: (
            isinstance(failure, RejectedPositiveData)
            and body.get("code") not in ("InputValidationError", "InvalidContent")
        ),
    ),
    Exclusion(
        "A cursor is opaque: whether a text is one, and one of this listing, only the server that made it can tell.",
        lambda failure, case, body: (
            bool(_fields_at_fault(failure, body)) and _fields_at_fault(failure, body) <= {"next", "previous"}
        ),
    ),
    Exclusion(
        "A rule that the description tells and JSON Schema can not.",
        lambda failure, case, body: _are_all_in(
            _fields_at_fault(failure, body), RULES.get(case.operation.definition.raw["operationId"], set())
        ),
    ),
    Exclusion(
        "Numbers and booleans may come as text, blanks are cut, nothing means absent: the document's head says so.",
        lambda failure, case, body: isinstance(failure, AcceptedNegativeData) and is_taken_leniently(case),
    ),
    Exclusion(
        "A second path of another operation, which `x-also-at` there tells.",
        lambda failure, case, body: (
            isinstance(failure, UnsupportedMethodResponse | AllowHeaderMismatch)
            and case.operation.path in SECOND_PATHS
        ),
    ),
)


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Called for each finding; whether it is one."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = {}
    body = body if isinstance(body, dict) else {}
    return not any(exclusion.applies(failure, case, body) for exclusion in EXCLUSIONS)

"""What Schemathesis must know of this contract: its formats, and which findings are none, each with the reason why."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

import orjson
import schemathesis
from ground import Ground
from hypothesis import strategies as st
from leniency import CONTRACT, OPERATIONS, is_taken_leniently
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData, UnsupportedMethodResponse

from server.contract.formats import FORMATS as SERVER_FORMATS
from server.contract.operations import Operation
from tests.contract.world import Names, path_value, renamed

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
    "smtp-uri": _DOMAIN.map("smtp://{}:25".format) | _DOMAIN.map("smtps://ada:secret@{}".format),
    "target": _ADDRESS | _DOMAIN.map("smtp://{}:25".format) | _DOMAIN.map("https://{}/mail".format),
    "uri": _DOMAIN.map("https://{}/hook".format),
    "username": _WORD,
}
assert FORMATS.keys() - {"object-id"} == SERVER_FORMATS.keys(), "each format of the contract, and no other"
for _name, _strategy in FORMATS.items():
    schemathesis.openapi.format(_name, _strategy)

schemathesis.serializer.alias("message/rfc822", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A finding that is none: `reason` for the reader, `applies(failure, case, body)` for the run."""

    reason: str
    applies: Callable[[Failure, Any, Any], bool]


def _fields_at_fault(failure: Failure, body: Any) -> set[str]:
    """`action.targets` of the text that `action,targets,0` has in an answer."""
    if not isinstance(failure, RejectedPositiveData) or body.get("code") != "InputValidationError":
        return set()
    paths = [name.split(",") for name in body.get("details") or ()]
    return {".".join(part for part in path if not part.isdigit()) for path in paths}


def _are_all_in(names: set[str], known: Set[str]) -> bool:
    """Whether each name is one that is known, or within one."""
    return bool(names) and all(any(f"{name}.".startswith(f"{own}.") for own in known) for name in names)


RULES: dict[str, frozenset[str]] = {
    # `master` where a token is asked for
    "authenticate": frozenset({"scope"}),
    # later than now; keys and numbers that MongoDB can store
    "createAudit": frozenset({"expires", "meta"}),
    # of another domain than itself
    "createDomainAlias": frozenset({"alias"}),
    # forwards to somebody else than its own account
    "createFilter": frozenset({"action.targets"}),
    "updateFilter": frozenset({"action.targets"}),
    # a `*` only where `allowWildcard` lets it, in the forms that the description tells, and no label behind a `+`;
    # forwards to another address than itself; an answer that ends after it begins
    "createForwardedAddress": frozenset({"address", "targets", "autoreply.end"}),
    "updateForwardedAddress": frozenset({"address", "targets", "autoreply.end"}),
    # each setting has a type of its own
    "createSetting": frozenset({"value"}),
    # a name that makes no address needs one beside it; no two mailboxes of one name; X.509 certificates that are fit
    # for encryption
    "createUser": frozenset({"address", "mailboxes", "smimeCerts"}),
    "updateUser": frozenset({"smimeCerts"}),
    # as for forwarded ones; none with a `*` is the main one, and that does not cease to be it but for another
    "createUserAddress": frozenset({"address", "main"}),
    "updateUserAddress": frozenset({"address", "main"}),
    # another domain than the old one
    "renameDomain": frozenset({"newDomain"}),
    # deletes, or changes something, not both
    "searchApplyMessages": frozenset({"action"}),
    # it ends after it begins
    "updateAutoreply": frozenset({"end"}),
    # a key that is given has a type; a key is one in PEM, or an Ed25519 seed
    "updateDkimKey": frozenset({"keyType", "privateKey"}),
    # stands in the body or in the path
    "updateMessage": frozenset({"message"}),
    # needed unless they are there already or `acme` gets them; certificates and keys in PEM that fit each other
    "updateTLSCertificate": frozenset({"privateKey", "cert", "ca"}),
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
        "A rule that the description tells and JSON Schema cannot.",
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


GROUND = Ground(OPERATIONS)
ENDLESS = "getUpdates"  # a stream of an account that is there ends with the account
STATELESS = {TestPhase.EXAMPLES, TestPhase.COVERAGE, TestPhase.FUZZING}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Called for each request: ids that are of the right form become ids of things that are there."""
    name = case.operation.definition.raw["operationId"]
    if name == ENDLESS or not case.meta or case.meta.phase.name not in STATELESS:
        return
    names = GROUND.names(name)
    if is_right(case, ParameterLocation.PATH):
        case.path_parameters = {**case.path_parameters, **placed(OPERATIONS[name], names)}
    if is_right(case, ParameterLocation.BODY):
        case.body = renamed(case.body, names)
    if case.method == "DELETE":
        GROUND.wear_out(name)


def is_right(case: Any, location: ParameterLocation) -> bool:
    """Whether that part of the request is there and meant to be taken."""
    part = case.meta.components.get(location)
    return part is not None and part.mode is GenerationMode.POSITIVE


def placed(operation: Operation, names: Names) -> dict[str, Any]:
    """The values of the path."""
    return {p["name"]: path_value(p, names) for p in operation.parameters if p["in"] == "path"}


@schemathesis.hook
def filter_failure(context: Any, failure: Failure, case: Any, response: Any) -> bool:
    """Called for each finding; whether it is one."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = {}
    body = body if isinstance(body, dict) else {}
    return not any(exclusion.applies(failure, case, body) for exclusion in EXCLUSIONS)

"""`mallard check`: does Mallard have all that it needs, and what to do about what is missing."""

from __future__ import annotations

import resource
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import URLError
from urllib.request import urlopen

import click
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from commands.shared import json_option, print_json, settings_in_force
from problems import summary
from server.contract.operations import Contract
from server.processes.mongod import MongodError, find_mongod
from server.processes.store import database_names
from server.settings.table import DEFAULT_SECRET, Settings
from storage.base.database import Databases, Document
from storage.base.indexes import missing_indexes

_SELECTION_MS = 5000
_OLDEST_WIRE_VERSION = 9  # MongoDB 4.4
_MOST_SECONDS_APART = 5.0
_FEWEST_FILES = 4096
_PROBE = "health"
_Client: TypeAlias = MongoClient[Document]


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was looked at; `advice` says what to do, also where it is fine but could be better."""

    what: str
    _: KW_ONLY
    fine: bool
    detail: str
    advice: str = ""


def _ok(subject: str, detail: str, advice: str = "") -> Result:
    return Result(subject, fine=True, detail=detail, advice=advice)


def _fault(subject: str, detail: str, advice: str) -> Result:
    return Result(subject, fine=False, detail=detail, advice=advice)


@click.command()
@json_option
def check(as_json: bool) -> None:
    """Check everything that Mallard needs, and say what to do about what is missing. Exit status 1 if something is."""
    results = list(_run_checks(settings_in_force()))
    fine = all(result.fine for result in results)
    if as_json:
        print_json({"fine": fine, "checks": [asdict(result) for result in results]})
    else:
        click.echo("\n".join(line for result in results for line in _lines(result)))
    sys.exit(0 if fine else 1)


def _lines(result: Result) -> Iterator[str]:
    yield f"{'ok  ' if result.fine else 'FAIL'}  {result.what}: {result.detail}"
    if result.advice:
        yield f"      {result.advice}"


def _run_checks(settings: Settings) -> Iterator[Result]:
    """Look at everything; a failure of one does not hide the others."""
    yield _ok("contract", f"{len(Contract().operations)} operations")
    if settings.mongo_uri:
        yield from _database(settings)
    else:
        yield _own_database(settings)
    yield _address(settings)
    yield _gpg()
    yield _files()
    yield _access(settings)
    yield _secrets(settings)
    if settings.user_addresses == "any":
        yield _ok(
            "addresses", "users take addresses of any domain", "MALLARD_USER_ADDRESSES=registered ends that"
        )


def _own_database(settings: Settings) -> Result:
    try:
        binary = find_mongod()
        settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _try_writing(settings.state_dir)
    except (MongodError, OSError) as error:
        advice = "Set MALLARD_MONGO_URI to a MongoDB, or MALLARD_STATE_DIR to a folder that can be written"
        return _fault("database", str(error), advice)
    return _ok("database", f"own mongod ({binary}), data in {settings.state_dir}")


def _try_writing(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"-")


def _database(settings: Settings) -> Iterator[Result]:
    client: _Client = MongoClient(settings.mongo_uri, serverSelectionTimeoutMS=_SELECTION_MS)
    try:
        hello = client.admin.command("hello")
        version = client.server_info()["version"]
    except PyMongoError as error:
        yield _fault(
            "database",
            f"MALLARD_MONGO_URI does not answer: {summary(error)}",
            "Is it running, does a firewall stand between, are user and password right?",
        )
    else:
        yield _kind(settings, hello, version)
        yield _clock(hello["localTime"])
        yield from _rights(settings, client)
        yield _indexes(settings, client)
    finally:
        client.close()


def _kind(settings: Settings, hello: Mapping[str, Any], version: str) -> Result:
    kind = "replica set" if "setName" in hello else "sharded cluster" if hello.get("msg") else "lone mongod"
    detail = f"MongoDB {version}, {kind}, database {settings.database}"
    if hello["maxWireVersion"] < _OLDEST_WIRE_VERSION:
        return _fault("database", detail, "Upgrade MongoDB to 4.4 or later")
    alone = "Without transactions; make it a replica set of one (--replSet) to have them"
    return _ok("database", detail, alone if kind == "lone mongod" else "")


def _clock(theirs: datetime) -> Result:
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    fine = apart <= _MOST_SECONDS_APART
    advice = "" if fine else "Leases and codes of second factors need one time: run NTP on both machines"
    return Result("clock", fine=fine, detail=f"{apart:.1f} s apart from the database's", advice=advice)


def _rights(settings: Settings, client: _Client) -> Iterator[Result]:
    names = {settings.database, settings.users_database, settings.gridfs_database, settings.sender_database}
    for name in sorted(names - {""}):
        probe = {"_id": ObjectId(), "check": datetime.now(UTC)}
        try:
            client[name][_PROBE].insert_one(probe)
            client[name][_PROBE].delete_one({"_id": probe["_id"]})
        except PyMongoError as error:
            advice = f"Give the user of MALLARD_MONGO_URI the role readWrite on {name}"
            yield _fault("rights", f"{name} cannot be written: {summary(error)}", advice)
        else:
            yield _ok("rights", f"{name} can be written")


def _indexes(settings: Settings, client: _Client) -> Result:
    """A database that is new has none, and lacks nothing that a start would not make."""
    try:
        missing = missing_indexes(Databases(client, database_names(settings)))
    except PyMongoError as error:
        advice = "Give the user of MALLARD_MONGO_URI the role readWrite on each database"
        return _fault("indexes", f"cannot be listed: {summary(error)}", advice)
    advice = "`mallard jobs` and `mallard serve` make them when they start" if missing else ""
    detail = f"{len(missing)} missing: {', '.join(missing[:5])} …" if missing else "all there"
    return _ok("indexes", detail, advice)


def _address(settings: Settings) -> Result:
    """Free to be taken, or taken by a Mallard that answers."""
    host, port = settings.host, int(settings.bind.rpartition(":")[2])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind((host, port))
        return _ok("address", f"{settings.bind} is free")
    except OSError as error:
        if _is_mallard(settings.url):
            return _ok("address", f"Mallard answers on {settings.bind}")
        advice = "Stop the program that has it, or set MALLARD_BIND to an address of this machine"
        return _fault("address", f"{settings.bind}: {error.strerror}", advice)


def _is_mallard(url: str) -> bool:
    """Return whether Mallard answers there. The certificate names another host than the address: it is not checked."""
    url = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    try:
        with urlopen(f"{url}/health", timeout=2, context=ssl._create_unverified_context()) as answer:
            return b'"status"' in answer.read(200)
    except (URLError, OSError, ValueError):
        return False


def _gpg() -> Result:
    gpg = shutil.which("gpg")
    advice = "" if gpg else "Install GnuPG: PGP keys of accounts cannot be checked without"
    return Result("gpg", fine=bool(gpg), detail=gpg or "not found", advice=advice)


def _files() -> Result:
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    fine = limit == resource.RLIM_INFINITY or limit >= _FEWEST_FILES
    advice = (
        "" if fine else f"Each connection is one: allow {_FEWEST_FILES} at least (ulimit -n, LimitNOFILE=)"
    )
    detail = f"{'any number' if limit == resource.RLIM_INFINITY else limit} open at once"
    return Result("files", fine=fine, detail=detail, advice=advice)


def _access(settings: Settings) -> Result:
    if not settings.needs_token:
        return _ok("access", f"open to everyone on {settings.bind}", "MALLARD_ACCESS_CONTROL=on closes it")
    if settings.access_control and settings.secret == DEFAULT_SECRET:
        return _ok("access", "tokens, signed with the default secret", "Set MALLARD_SECRET to a random text")
    return _ok("access", "every request needs a token")


def _secrets(settings: Settings) -> Result:
    if settings.encryption_secret:
        return _ok("secrets", "TOTP seeds and private keys are encrypted")
    advice = "MALLARD_ENCRYPTION_SECRET encrypts them"
    return _ok("secrets", "TOTP seeds and private keys are stored in clear", advice)

"""`mallard check`: is all there that it needs?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from server.contract import Contract
from server.mongod import MongodError, find_mongod
from server.settings import Settings

_SELECTION_MS = 5000


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was looked at."""

    what: str
    fine: bool
    detail: str


def run_checks(settings: Settings) -> Iterator[Result]:
    """Look at everything; a failure of one does not hide the others."""
    yield _contract()
    yield _database(settings) if settings.mongo_uri else _own_database(settings)
    gpg = shutil.which("gpg")
    yield Result(
        "gpg", bool(gpg), gpg or "not found; install GnuPG, PGP keys of accounts can not be checked without"
    )
    if not settings.needs_token:
        yield Result(
            "access", True, f"open to everyone on {settings.bind}; MALLARD_ACCESS_CONTROL=on closes it"
        )
    if not settings.encryption_secret:
        detail = "TOTP seeds and private keys are stored in clear; MALLARD_ENCRYPTION_SECRET encrypts them"
        yield Result("secrets", True, detail)


def _contract() -> Result:
    return Result("contract", True, f"{len(Contract().operations)} operations")


def _own_database(settings: Settings) -> Result:
    try:
        binary = find_mongod()
        settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _try_writing(settings.state_dir)
    except (MongodError, OSError) as error:
        return Result("database", False, str(error))
    return Result("database", True, f"own mongod ({binary}), data in {settings.state_dir}")


def _try_writing(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"-")


def _database(settings: Settings) -> Result:
    client: MongoClient[dict[str, object]] = MongoClient(
        settings.mongo_uri, serverSelectionTimeoutMS=_SELECTION_MS
    )
    try:
        version = client.server_info()["version"]
        hello = client.admin.command("hello")
    except PyMongoError as error:
        return Result("database", False, f"MALLARD_MONGO_URI does not answer: {str(error)[:200]}")
    finally:
        client.close()
    kind = "replica set" if "setName" in hello else "sharded cluster" if hello.get("msg") else "lone mongod"
    detail = f"MongoDB {version}, {kind}, database {settings.database}"
    if kind == "lone mongod":
        detail += "; without transactions, make it a replica set of one (--replSet) to have them"
    return Result("database", True, detail)

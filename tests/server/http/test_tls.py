"""The API over TLS: the certificate for the name that a client asks for, changes of it, and clients that misbehave."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import orjson
import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from security.secrets import KeyRing, KeyRings
from server.http.tls import Contexts, default_context, make_context, read_hello
from server.processes.mongod import Mongod
from server.settings.loading import load_settings
from server.settings.table import SettingsError
from storage.base.database import DatabaseNames
from storage.keys.certs import Certs
from storage.store import Store
from tests.authority import BETWEEN, KINDS, ROOT, Issued, issue
from tests.rows import Row

DATABASE = "test_tls"
HOST = "mail.example.com"
DEFAULT = issue("default.example", by=BETWEEN)


def fields(made: Issued, names: list[str] | None = None) -> Row:
    return {
        "privateKey": made.key_pem,
        "cert": f"{made.pem}\n{BETWEEN.pem}",
        "altNames": names or [HOST],
        "expires": made.certificate.not_valid_after_utc,
    }


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ROOT.pem)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def hello_of(name: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """A client's first bytes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", [HOST, None])
def test_the_name_in_a_hello(name: str | None, version: ssl.TLSVersion) -> None:
    data = hello_of(name, version)
    hello = read_hello(data)
    assert hello
    assert hello.name == name
    assert hello.refusal[:1] == b"\x15"  # an alert, RFC 8446 §6
    assert hello.refusal[-1] == ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    for cut in (1, 5, 6, len(data) // 2, len(data) - 1):
        assert read_hello(data[:cut]) is None


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\x00\x05hello"]
)
def test_what_is_no_hello(data: bytes) -> None:
    hello = read_hello(data)
    assert hello
    assert hello.name is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_context_of_each_kind_of_key(kind: str, tmp_path: Path) -> None:
    made = issue(HOST, by=BETWEEN, kind=kind)
    assert (
        shown_by(make_context(f"{made.pem}\n{BETWEEN.pem}", made.key_pem)) == made.certificate.serial_number
    )
    with pytest.raises(ValueError, match="does not take"):
        make_context(made.pem, DEFAULT.key_pem)
    with pytest.raises(ValueError, match="PEM"):
        make_context(made.pem, "hello")


def shown_by(context: ssl.SSLContext | None) -> int | None:
    """The serial number of the certificate that a context shows to a client that trusts the root."""
    if context is None:
        return None
    pipes = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(pipes[0], pipes[1], server_side=True)
    own = trusting()
    own.check_hostname = False
    client = own.wrap_bio(pipes[1], pipes[0])
    for _ in range(3):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    shown = client.getpeercert()
    assert shown
    return int(str(shown["serialNumber"]), 16)


class Watch:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_context_is_kept_until_the_certificate_changes(store: Store) -> None:
    watch = Watch()
    contexts = Contexts(store.certs, None, watch)
    assert contexts.for_name(HOST) is None
    first, second = issue(HOST, by=BETWEEN), issue(HOST, by=BETWEEN)
    cert = ObjectId(store.certs.put(HOST, fields(first), acme=False)[0]["_id"])
    watch.now += 6
    context = contexts.for_name(HOST)
    assert shown_by(context) == first.certificate.serial_number
    store.certs.put(HOST, {"description": "of no concern"}, acme=False)
    watch.now += 6
    assert contexts.for_name(HOST) is context
    store.certs.put(HOST, fields(second), acme=False)
    assert contexts.for_name(HOST) is context
    watch.now += 6
    assert shown_by(contexts.for_name(HOST)) == second.certificate.serial_number
    store.certs.delete(cert)
    watch.now += 6
    assert contexts.for_name(HOST) is None


def test_the_default_is_for_what_has_nothing(store: Store) -> None:
    default = make_context(DEFAULT.pem, DEFAULT.key_pem)
    contexts = Contexts(store.certs, default)
    store.certs.put(HOST, fields(issue(HOST, by=BETWEEN)), acme=False)
    assert contexts.for_name(HOST) not in (None, default)
    for name in ("other.example", None, "", "\u0000", "x" * 300):
        assert contexts.for_name(name) is default


def test_an_entry_that_cannot_be_used_does_not_stop_the_others(
    store: Store, mongo: Any, databases: DatabaseNames, capsys: Any
) -> None:
    sealed = Store(mongo, databases, keys=KeyRings(certs=KeyRing("a lost key"))).certs
    for name, private in (
        ("a.example", sealed.keys.encrypt(DEFAULT.key_pem)),
        ("b.example", "hello"),
        ("c.example", issue(HOST).key_pem),
    ):
        store.certs.put(name, {**fields(DEFAULT, [name]), "privateKey": private}, acme=False)
    store.certs.put(HOST, fields(DEFAULT), acme=False)
    contexts = Contexts(store.certs, None)
    for name in ("a.example", "b.example", "c.example"):
        assert contexts.for_name(name) is None
    assert contexts.for_name(HOST)


def test_while_the_database_is_away_the_known_ones_go_on(store: Store) -> None:
    store.certs.put(HOST, fields(DEFAULT), acme=False)
    watch = Watch()

    class Away(Certs):
        is_away = False

        def for_name(self, name: str) -> Any:
            if self.is_away:
                raise AutoReconnect("away")
            return super().for_name(name)

        def load(self, match: Any) -> Any:
            if self.is_away:
                raise AutoReconnect("away")
            return super().load(match)

    certs = Away(store.databases, store.clock, store.tasks, KeyRing())
    contexts = Contexts(certs, None, watch)
    context = contexts.for_name(HOST)
    certs.is_away = True
    watch.now += 60
    assert context
    assert contexts.for_name(HOST) is context
    assert contexts.for_name("other.example") is None
    certs.is_away = False
    fresh = Contexts(certs, None, watch)
    certs.is_away = True
    assert fresh.for_name(HOST) is None
    certs.is_away = False
    assert fresh.for_name(HOST)


def test_names_that_nobody_has_do_not_pile_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.http.tls._MOST_NAMES", 10)
    contexts = Contexts(store.certs, None)
    for number in range(50):
        contexts.for_name(f"{number}.example")
    assert len(contexts._matches) == 10


def test_the_default_certificate_is_a_pair_of_files(tmp_path: Path) -> None:
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    key.write_text(DEFAULT.key_pem)
    chain.write_text(f"{DEFAULT.pem}\n{BETWEEN.pem}")
    environ = {"MALLARD_TLS": "on", "MALLARD_TLS_KEY": str(key), "MALLARD_TLS_CERTIFICATE": str(chain)}
    assert shown_by(default_context(load_settings(environ))) == DEFAULT.certificate.serial_number
    assert default_context(load_settings({"MALLARD_TLS": "on"})) is None
    key.write_text(issue(HOST).key_pem)
    with pytest.raises(SettingsError, match="cannot be used"):
        default_context(load_settings(environ))
    del environ["MALLARD_TLS_KEY"]
    with pytest.raises(SettingsError, match="need each other"):
        load_settings(environ)


def test_the_address_says_how_to_speak() -> None:
    assert load_settings({}).url == "http://127.0.0.1:8080"
    assert load_settings({"MALLARD_TLS": "on"}).url == "https://127.0.0.1:8080"


class Api:
    """A running `mallard api` that speaks TLS."""

    def __init__(self, uri: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "key.pem").write_text(DEFAULT.key_pem)
        (folder / "chain.pem").write_text(f"{DEFAULT.pem}\n{BETWEEN.pem}")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLARD_")}
        own = {
            "MALLARD_MONGO_URI": uri,
            "MALLARD_DATABASE": DATABASE,
            "MALLARD_BIND": f"127.0.0.1:{self.port}",
            "MALLARD_WORKERS": "1",
            "MALLARD_TLS": "on",
            "MALLARD_TLS_KEY": str(folder / "key.pem"),
            "MALLARD_TLS_CERTIFICATE": str(folder / "chain.pem"),
            "MALLARD_ENCRYPTION_SECRET": "a secret cat",
            "MALLARD_LOG_LEVEL": "info",
            "MALLARD_VALIDATE_RESPONSES": "on",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "commands", "api"], env={**clean, **own}, stderr=subprocess.PIPE, text=True
        )
        self.errors = ""

    def plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def connect(self, name: str | None, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        return (context or trusting()).wrap_socket(self.plain(), server_hostname=name)

    def serial(self, name: str) -> int:
        """Of the certificate that a client who asks for the name is shown, and trusts."""
        with self.connect(name) as connection:
            shown = connection.getpeercert()
            assert shown
            return int(str(shown["serialNumber"]), 16)

    def request(self, method: str, path: str, body: Any = None, name: str = "default.example") -> Any:
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=20)
        connection.sock = self.connect(name)
        headers = {"Content-Type": "application/json", "Host": name}
        connection.request(method, path, orjson.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return orjson.loads(data) if "json" in answer.headers["Content-Type"] else answer.headers

    def stop(self) -> float:
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=60)
        self.errors += errors or ""
        return time.monotonic() - started


@pytest.fixture(scope="module")
def api(mongod: Mongod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with MongoClient[dict[str, Any]](mongod.uri) as mongo:
        Store(mongo, DatabaseNames(main=DATABASE)).ensure_indexes()
        running = Api(mongod.uri, tmp_path_factory.mktemp("tls"))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with suppress(ConnectionRefusedError), running.plain():
                break
            time.sleep(0.05)
        yield running
        running.stop()
        mongo.drop_database(DATABASE)
    assert "Traceback" not in running.errors


def test_a_certificate_is_in_force_soon_after_it_was_posted(api: Api) -> None:
    assert api.serial("default.example") == DEFAULT.certificate.serial_number
    for made in (issue("*.example.com", by=BETWEEN), issue("*.example.com", by=BETWEEN, kind="rsa")):
        body = {
            "servername": "example.com",
            "privateKey": made.key_pem,
            "cert": made.pem,
            "ca": [BETWEEN.pem],
        }
        assert api.request("POST", "/certs", body)["hasCert"]
        deadline = time.monotonic() + 15
        while (serial := _serial_or_none(api, HOST)) != made.certificate.serial_number:
            assert time.monotonic() < deadline, serial
            time.sleep(0.3)
    assert api.request("GET", "/certs", name=HOST)["total"] == 1


def _serial_or_none(api: Api, name: str) -> int | None:
    try:
        return api.serial(name)
    except ssl.SSLCertVerificationError:  # the default certificate, which is for another name
        return None


def test_a_client_that_names_nothing_gets_the_default(api: Api) -> None:
    context = trusting()
    context.check_hostname = False
    with api.connect(None, context) as connection:
        shown = connection.getpeercert()
        assert shown
        assert int(str(shown["serialNumber"]), 16) == DEFAULT.certificate.serial_number
        assert connection.selected_alpn_protocol() is None


def test_a_redirect_stays_on_https(api: Api) -> None:
    assert api.request("GET", "/ui")["Location"] in ("/ui/", "https://default.example/ui/")


def test_a_hello_in_small_parts(api: Api) -> None:
    """The handshake is done by hand, so that each byte may come on its own."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname="default.example")
    with api.plain() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        for at in range(0, len(hello), 40):
            connection.sendall(hello[at : at + 40])
            time.sleep(0.005)
        while True:
            incoming.write(connection.recv(65_536))
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        connection.sendall(outgoing.read())
        shown = client.getpeercert()
        assert shown


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 200_000, b"\x16\x03\x01\xff\xff" * 30_000]
)
def test_who_does_not_speak_tls_is_cut_off(api: Api, data: bytes) -> None:
    with api.plain() as connection:
        with suppress(ConnectionError):
            connection.sendall(data)
        with suppress(ConnectionError):
            while connection.recv(65_536):
                pass
    assert api.serial("default.example") == DEFAULT.certificate.serial_number


def test_old_versions_are_refused(api: Api) -> None:
    context = trusting()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError), api.connect("default.example", context):
        pass


def test_many_at_once_while_some_say_nothing(api: Api) -> None:
    silent = [api.plain() for _ in range(50)]
    started = time.monotonic()
    for _ in range(20):
        api.serial("default.example")
    assert time.monotonic() - started < 10
    for connection in silent:
        connection.close()


def test_a_stop_does_not_wait_for_those_who_say_nothing(mongod: Mongod, tmp_path: Path, api: Api) -> None:
    other = Api(mongod.uri, tmp_path)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError):
            silent = other.plain()
            break
        time.sleep(0.05)
    other.serial("default.example")
    begun = other.plain()
    begun.sendall(hello_of("default.example")[:50])
    time.sleep(0.2)
    assert other.stop() < 5
    assert "Traceback" not in other.errors
    silent.close()
    begun.close()

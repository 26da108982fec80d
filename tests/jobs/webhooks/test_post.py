"""A POST to a URL that a stranger chose: private addresses, rebinding, drops, lies and silence."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jobs.webhooks.post import Poster, PostFailed
from tests.jobs.webhooks.conftest import Receiver

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def serving(talk: Callable[[socket.socket], Any]) -> Iterator[int]:
    """The port of a server that talks to the connections that come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        stopped = threading.Event()

        def run() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        talk(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=run)
        thread.start()
        port = server.getsockname()[1]
        yield port
        stopped.set()
        with socket.create_connection(("127.0.0.1", port)):
            pass
        thread.join()


def quick(**options: Any) -> Poster:
    return Poster(allow_private=True, total_seconds=0.6, **options)


def failure(poster: Poster, url: str) -> str:
    began = time.monotonic()
    with pytest.raises(PostFailed) as caught:
        poster.post(url, b"{}", {})
    assert time.monotonic() - began < 3
    return str(caught.value)


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "not an address",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_connected_to(address: str) -> None:
    refused = failure(Poster(resolve=lambda host, port: [address]), "http://hooks.example.com/")
    assert refused == "hooks.example.com has no public address, and no event is sent to a private one"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://localhost/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0/",
    ],
)
def test_this_machine_by_any_name(url: str) -> None:
    assert "private" in failure(Poster(), url)


def test_a_name_is_asked_for_once_and_that_answer_connected_to(receiver: Receiver) -> None:
    """A name that changes its address between the look and the connection gains nothing: there is no second look."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    port = receiver.url.split(":")[2].partition("/")[0]
    status = quick(resolve=resolve).post(f"http://hooks.example.com:{port}/x", b"{}", {})
    assert (status, asked) == (200, ["hooks.example.com"])
    assert receiver.posts[0].headers["host"] == f"hooks.example.com:{port}"


def test_only_the_public_ones_of_several_addresses_are_tried() -> None:
    with serving(lambda connection: connection.sendall(OK)) as port:
        tried = failure(
            Poster(resolve=lambda host, p: ["127.0.0.1", "::ffff:127.0.0.1"]), f"http://x.example:{port}/"
        )
    assert "private" in tried


def test_a_second_address_is_tried_where_the_first_is_dead(receiver: Receiver) -> None:
    port = receiver.url.split(":")[2].partition("/")[0]
    poster = quick(resolve=lambda host, p: ["127.0.0.2", "127.0.0.1"])
    assert poster.post(f"http://hooks.example.com:{port}/", b"{}", {}) == 200


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert quick().post(receiver.url, b"{}", {}) == 200


def drip(connection: socket.socket) -> None:
    connection.recv(65536)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def silence(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(1)


@pytest.mark.parametrize("talk", [drip, silence])
def test_slowness_ends_at_the_deadline(talk: Callable[[socket.socket], Any]) -> None:
    with serving(talk) as port:
        assert failure(quick(), f"http://127.0.0.1:{port}/") == "No answer in time"


def test_an_answer_without_an_end_is_taken_by_its_status() -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"1\r\nx\r\n")
            time.sleep(0.05)

    with serving(endless) as port:
        assert quick().post(f"http://127.0.0.1:{port}/", b"{}", {}) == 202


def test_a_large_answer_is_not_read_to_its_end() -> None:
    def large(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 200_000)

    with serving(large) as port:
        assert quick().post(f"http://127.0.0.1:{port}/", b"{}", {}) == 200


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 " + b"x" * 100_000, b"\0" * 100]
)
def test_what_is_no_answer(answer: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with serving(talk) as port:
        assert failure(quick(), f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://no-such-host.invalid/",
        "http://127.0.0.1:1/a b",
        "gopher://127.0.0.1/",
        "http://[::1",
    ],
)
def test_what_can_not_be_reached(url: str) -> None:
    assert failure(quick(), url)


def certificate(name: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    signed = builder.sign(key, hashes.SHA256())
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@pytest.mark.parametrize(
    ("host", "trusted", "taken"),
    [
        ("hooks.example.com", True, True),
        ("other.example.com", True, False),
        ("hooks.example.com", False, False),
    ],
)
def test_the_certificate_must_be_that_of_the_name(
    tmp_path: Path, host: str, trusted: bool, taken: bool
) -> None:
    cert, key = certificate("hooks.example.com", tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.create_default_context(cafile=str(cert) if trusted else None)

    def talk(connection: socket.socket) -> None:
        with server.wrap_socket(connection, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(OK)

    with serving(talk) as port:
        poster = quick(tls=client, resolve=lambda name, p: ["127.0.0.1"])
        if taken:
            assert poster.post(f"https://{host}:{port}/", b"{}", {}) == 200
        else:
            assert "CERTIFICATE_VERIFY_FAILED" in failure(poster, f"https://{host}:{port}/")


def test_a_tls_answer_that_drips_ends_at_the_deadline(tmp_path: Path) -> None:
    cert, key = certificate("hooks.example.com", tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)

    def talk(connection: socket.socket) -> None:
        with server.wrap_socket(connection, server_side=True) as tls:
            drip(tls)

    with serving(talk) as port:
        poster = quick(
            tls=ssl.create_default_context(cafile=str(cert)), resolve=lambda name, p: ["127.0.0.1"]
        )
        assert failure(poster, f"https://hooks.example.com:{port}/") == "No answer in time"

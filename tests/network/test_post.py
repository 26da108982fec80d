"""A POST to a URL that a stranger chose: private addresses, rebinding, drops, lies and silence."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from network.post import Poster, PostFailed
from network.ssrf_guard import Find, addresses_of, public_addresses
from tests.authority import ROOT, issue

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


def hear(connection: socket.socket) -> bytes:
    """A whole request, whose body is `{}`: who closes before it has read all resets the connection."""
    heard = b""
    while not heard.endswith(b"\r\n\r\n{}") and (piece := connection.recv(65536)):
        heard += piece
    return heard


@pytest.fixture
def heard() -> list[bytes]:
    """What `port` was sent."""
    return []


@pytest.fixture
def port(heard: list[bytes]) -> Iterator[int]:
    """That of a server which takes what it gets."""

    def take(connection: socket.socket) -> None:
        heard.append(hear(connection))
        connection.sendall(OK)

    with serving(take) as port:
        yield port


def quick(find: Find = addresses_of, **options: Any) -> Poster:
    return Poster(find, total_seconds=0.6, **options)


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
    refused = failure(
        Poster(lambda host: public_addresses(host, lambda _: [address])), "http://hooks.example.com/"
    )
    assert refused == "hooks.example.com has no public address, and nothing is sent to a private one"


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


def test_a_name_is_asked_for_once_and_that_answer_connected_to(port: int, heard: list[bytes]) -> None:
    """A name that changes its address between the look and the connection gains nothing: there is no second look."""
    asked: list[str] = []

    def find(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    status = quick(find).post(f"http://hooks.example.com:{port}/x?y=z", b"{}", {})
    assert (status, asked) == (200, ["hooks.example.com"])
    assert heard[0].startswith(b"POST /x?y=z HTTP/1.1\r\n")
    assert f"Host: hooks.example.com:{port}\r\n".encode() in heard[0]


def test_the_public_ones_of_several_addresses_are_kept() -> None:
    found = ["127.0.0.1", "192.0.2.1", "8.8.8.8", "::ffff:127.0.0.1", "2606:4700::1111"]
    assert public_addresses("x.example", lambda host: found) == ["8.8.8.8", "2606:4700::1111"]


def test_a_second_address_is_tried_where_the_first_is_dead(port: int) -> None:
    poster = quick(lambda host: ["127.0.0.2", "127.0.0.1"])
    assert poster.post(f"http://hooks.example.com:{port}/", b"{}", {}) == 200


def test_credentials_of_the_url_are_sent_as_such(port: int, heard: list[bytes]) -> None:
    quick().post(f"http://ada:p%40ss@127.0.0.1:{port}/", b"{}", {})
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in heard[0]
    assert b"Authorization: Basic YWRhOnBAc3M=\r\n" in heard[0]


def test_proxies_of_the_environment_are_not_used(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert quick().post(f"http://127.0.0.1:{port}/", b"{}", {}) == 200


def drip(connection: socket.socket) -> None:
    hear(connection)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def silence(connection: socket.socket) -> None:
    hear(connection)
    time.sleep(1)


@pytest.mark.parametrize("talk", [drip, silence])
def test_slowness_ends_at_the_deadline(talk: Callable[[socket.socket], Any]) -> None:
    with serving(talk) as port:
        assert failure(quick(), f"http://127.0.0.1:{port}/") == "No answer in time"


def test_an_answer_without_an_end_is_taken_by_its_status() -> None:
    def endless(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"1\r\nx\r\n")
            time.sleep(0.05)

    with serving(endless) as port:
        assert quick().post(f"http://127.0.0.1:{port}/", b"{}", {}) == 202


def test_a_large_answer_is_not_read_to_its_end() -> None:
    def large(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 200_000)

    with serving(large) as port:
        assert quick().post(f"http://127.0.0.1:{port}/", b"{}", {}) == 200


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 " + b"x" * 100_000, b"\0" * 100]
)
def test_what_is_no_answer(answer: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        hear(connection)
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
def test_what_cannot_be_reached(url: str) -> None:
    assert failure(quick(), url)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """That of a server whose certificate is for `hooks.example.com`."""
    issued, file = issue("hooks.example.com", by=ROOT), tmp_path / "server.pem"
    file.write_text(f"{issued.key_pem}\n{issued.pem}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.mark.parametrize(
    ("host", "trusted", "taken"),
    [
        ("hooks.example.com", True, True),
        ("other.example.com", True, False),
        ("hooks.example.com", False, False),
    ],
)
def test_the_certificate_must_be_that_of_the_name(
    tls: ssl.SSLContext, host: str, trusted: bool, taken: bool
) -> None:
    def talk(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as secured:
            hear(secured)
            secured.sendall(OK)

    with serving(talk) as port:
        client = ssl.create_default_context(cadata=ROOT.pem if trusted else None)
        poster = quick(lambda name: ["127.0.0.1"], tls=client)
        if taken:
            assert poster.post(f"https://{host}:{port}/", b"{}", {}) == 200
        else:
            assert "CERTIFICATE_VERIFY_FAILED" in failure(poster, f"https://{host}:{port}/")


def test_a_tls_answer_that_drips_ends_at_the_deadline(tls: ssl.SSLContext) -> None:
    def talk(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as secured:
            drip(secured)

    with serving(talk) as port:
        poster = quick(lambda name: ["127.0.0.1"], tls=ssl.create_default_context(cadata=ROOT.pem))
        assert failure(poster, f"https://hooks.example.com:{port}/") == "No answer in time"


def test_a_handshake_that_drips_ends_at_the_deadline() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        for byte in b"\x16\x03\x03\x40\x00" + bytes(1000):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    with serving(talk) as port:
        assert failure(quick(), f"https://127.0.0.1:{port}/") == "No answer in time"

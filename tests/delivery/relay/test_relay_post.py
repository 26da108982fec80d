"""HTTP targets: a POST of the message, and what nobody can make of that."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from delivery.relay.hosts import Hosts
from delivery.relay.post import Poster
from delivery.relay.replies import Failure
from tests.delivery.relay.conftest import RAW, Certificate, message
from tests.delivery.relay.sinks import FakeDns

Serve = Callable[..., Any]


@pytest.fixture
def serve(certificate: Certificate) -> Iterator[Serve]:
    """`serve(status)`: an HTTP server with that answer; what it was asked stands in `.asked`."""
    started: list[Any] = []

    def start(status: int = 200, *, tls: bool = False, headers: Any = (), body: Any = b"ok") -> Any:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                self.server.asked.append((self.path, dict(self.headers), content))  # type: ignore[attr-defined]
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for piece in body if not isinstance(body, bytes) else [body]:
                        self.wfile.write(piece)
                except OSError:
                    self.close_connection = True

            def log_message(self, *arguments: Any) -> None: ...

        server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.asked = []
        if tls:
            server.socket = certificate.server().wrap_socket(server.socket, server_side=True)
        server.base = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def poster(tls: ssl.SSLContext | None = None, **options: Any) -> Poster:
    return Poster(Hosts(FakeDns({}), allow_private=True), tls, **options)


def failure_of(url: str, **options: Any) -> Any:
    with pytest.raises(Failure) as caught:
        poster(**options).send(url, "ada@example.com", message())
    return caught.value.reply


def test_the_message_is_posted(serve: Serve) -> None:
    server = serve()
    reply = poster().send(f"{server.base}/in?key=1", "grüße@example.com", message())
    assert (reply.code, reply.status, reply.text) == (250, "2.0.0", "HTTP 200")
    ((path, headers, content),) = server.asked
    assert (path, content) == ("/in?key=1", RAW)
    assert headers["Content-Type"] == "message/rfc822"
    assert headers["Mail-From"] == "ada@example.com"
    assert headers["Mail-To"] == "gr%C3%BC%C3%9Fe@example.com"
    assert headers["Mail-Queue-Id"] == "0123456789abcdef01"
    assert "Authorization" not in headers


def test_https_needs_a_valid_certificate(serve: Serve, certificate: Certificate) -> None:
    server = serve(tls=True)
    assert poster(certificate.trusting()).send(server.base, "ada@example.com", message()).code == 250
    reply = failure_of(server.base)
    assert (reply.code, reply.status) == (450, "4.4.1")
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
def test_what_may_pass_is_tried_again(serve: Serve, status: int) -> None:
    reply = failure_of(serve(status).base)
    assert (reply.code, reply.text) == (450, f"HTTP {status}")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_what_is_refused_is_given_up(serve: Serve, status: int) -> None:
    reply = failure_of(serve(status).base)
    assert (reply.code, reply.text) == (550, f"HTTP {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(serve: Serve, status: int) -> None:
    secret = serve()
    reply = failure_of(serve(status, headers=[("Location", f"{secret.base}/secret")]).base)
    assert reply.code == 550
    assert secret.asked == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/", "http://0.0.0.0:1/"]
)
def test_no_private_address_is_called(url: str) -> None:
    with pytest.raises(Failure, match=r"5\.7\.1"):
        Poster(Hosts(FakeDns({}))).send(url, "ada@example.com", message())


def test_the_address_that_was_looked_at_is_called(serve: Serve) -> None:
    """A name that resolves to something else a moment later changes nothing."""
    server = serve()
    answers = iter([["127.0.0.1"]])
    hosts = Hosts(FakeDns({}), lambda name: next(answers), allow_private=True)
    url = f"http://rebinding.example:{server.server_port}/"
    assert Poster(hosts).send(url, "ada@example.com", message()).code == 250
    assert server.asked[0][1]["Host"] == f"rebinding.example:{server.server_port}"


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "file:///etc/passwd", "http://", "gopher://example.org", "http://[::1", ""]
)
def test_other_schemes(url: str) -> None:
    assert failure_of(url).status == "5.1.3"


def test_a_path_cannot_add_a_header(serve: Serve) -> None:
    server = serve()
    failure_of(f"{server.base}/a b")
    assert server.asked == []


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert failure_of(f"http://127.0.0.1:{port}/").status == "4.4.1"

"""Asking a service about a password without telling it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from network.pwned import asker, is_pwned

# SHA-1 of `password`: 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8
SUFFIX = "1E4C9B93F3F0682250B6CF8331B7EE68FD8"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (f"0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n{SUFFIX}:9545824\r\n", True),
        (f"{SUFFIX.lower()}:2", True),
        (f"{SUFFIX}:0", False),
        (SUFFIX, False),
        ("0018A45C4D1DEF81644B54AB7F969B88D65:1", False),
        ("", False),
    ],
)
def test_what_the_lines_say(lines: str, found: bool) -> None:
    asked: list[str] = []

    def fetch(prefix: str) -> str:
        asked.append(prefix)
        return lines

    assert is_pwned("password", fetch) is found
    assert asked == ["5BAA6"]


class Service(BaseHTTPRequestHandler):
    """Knows `password`, has no other range, and is out of order for one."""

    def do_GET(self) -> None:
        status = {"/range/5BAA6": 200, "/range/E38AD": 503}.get(self.path, 404)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(f"{SUFFIX}:3".encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Of no interest."""


@pytest.fixture
def service() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/range/"
        server.shutdown()
        thread.join()


def test_a_real_service(service: str) -> None:
    ask = asker(service)
    assert ask("password")
    assert not ask("correct horse battery")
    with pytest.raises(OSError, match="503"):
        ask("password1")

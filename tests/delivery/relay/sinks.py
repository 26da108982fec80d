"""Other people's mail servers, of all kinds, on loopback addresses."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult

Answer = Callable[[str], str | None]


@dataclass
class Mail:
    """What a sink took."""

    sender: str
    recipient: str
    content: bytes
    options: list[str]
    tls: bool
    peer: tuple[Any, ...]


@dataclass
class Sink:
    """A server that takes mail, or refuses it as `rcpt` and `data` say; a tuple is a pause and then an answer."""

    host: str = "127.0.0.1"
    port: int = 0
    rcpt: Answer = lambda address: None
    data: Answer = lambda address: None
    tls: ssl.SSLContext | None = None
    logins: dict[str, str] = field(default_factory=dict)
    utf8: bool = True
    eight_bit: bool = True
    size: int = 10_000_000
    lmtp: bool = False
    pause: float = 0.0
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0
    said: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    transports: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = self.port or free_port(self.host)
        self._controller = _Controller(self)
        self._controller.start()
        self.connections = 0  # the controller has tried it out

    def stop(self) -> None:
        if self._controller.loop.is_running():
            asyncio.run_coroutine_threadsafe(self._hang_up(), self._controller.loop).result(5)
            self._controller.stop()

    async def _hang_up(self) -> None:
        for transport in self.transports:
            transport.abort()
        await asyncio.sleep(0.01)

    @property
    def recipients(self) -> list[str]:
        return sorted(mail.recipient for mail in self.mails)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if refused := self.rcpt(address):
            return refused
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.pause:
            await asyncio.sleep(self.pause)
        for recipient in envelope.rcpt_tos:
            if refused := self.data(recipient):
                return refused
            mail = Mail(
                envelope.mail_from.removeprefix("<>"),
                recipient,
                envelope.original_content,
                list(envelope.mail_options),
                session.ssl is not None,
                session.peer,
            )
            self.mails.append(mail)
        return "250 2.0.0 taken as 4711"

    def authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any
    ) -> AuthResult:
        self.tried.append(mechanism)
        known = self.logins.get(login.login.decode()) == login.password.decode()
        return AuthResult(success=known, handled=False)


class _Controller(Controller):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        super().__init__(sink, hostname=sink.host, port=sink.port, ready_timeout=10)

    def factory(self) -> SMTP:
        sink = self._sink
        options: dict[str, Any] = {
            "enable_SMTPUTF8": sink.utf8,
            "data_size_limit": sink.size or None,
            "hostname": "sink.example",
        }
        if sink.tls:
            options["tls_context"] = sink.tls
        if sink.logins:
            options.update(
                authenticator=sink.authenticate, auth_require_tls=bool(sink.tls), auth_required=bool(sink.tls)
            )
        return (_Lmtp if sink.lmtp else _Smtp)(sink, **options)


class _Counting(SMTP):
    """Counts the connections of a server and keeps what it says."""

    def __init__(self, sink: Sink, **options: Any) -> None:
        self.sink = sink
        super().__init__(sink, **options)

    def connection_made(self, transport: Any) -> None:
        self.sink.transports.append(transport)
        if not self.transport:
            self.sink.connections += 1
        super().connection_made(transport)

    async def push(self, status: Any) -> None:
        text = status if isinstance(status, str) else status.decode()
        if "8BITMIME" in text and not self.sink.eight_bit:
            return
        self.sink.said.append(text)
        await super().push(status)


class _Smtp(_Counting):
    pass


class _Lmtp(_Counting, LMTP):
    pass


class Scripted:
    """A server that says what it is told to, whatever it hears: each step is a text, a pause, or None to hang up.

    After each text it reads once, up to the end of a line.
    """

    def __init__(self, steps: Iterable[str | float | None], host: str = "127.0.0.1", port: int = 0) -> None:
        script = list(steps)
        self.heard: list[bytes] = []
        heard = self.heard

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    for step in script:
                        if step is None:
                            return
                        if isinstance(step, float):
                            time.sleep(step)
                            continue
                        self.wfile.write(step.encode() + b"\r\n")
                        heard.append(self.rfile.readline())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        self._server = Server((host, port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class FakeDns:
    """A DNS of a few records; what it is asked is remembered. A fault is raised for names in `faulty`."""

    def __init__(self, records: dict[tuple[str, str], list[str]], faulty: Iterable[str] = ()) -> None:
        self.records = records
        self.faulty = set(faulty)
        self.asked: list[tuple[str, str]] = []

    def lookup(self, name: str, kind: str) -> list[str]:
        from network.dns import DnsFault

        self.asked.append((name, kind))
        if name in self.faulty:
            raise DnsFault(f"{kind} of {name}: time-out")
        return list(self.records.get((name, kind), []))


def free_port(host: str = "127.0.0.1") -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
        return int(free.getsockname()[1])


@contextmanager
def sinks() -> Iterator[Callable[..., Sink]]:
    """`start(rcpt=…)`: another server, until the end."""
    started: list[Sink] = []

    def start(**options: Any) -> Sink:
        started.append(Sink(**options))
        return started[-1]

    yield start
    for server in started:
        server.stop()

"""The standard library's SMTP client, connected to an address that was looked at, and patient within limits."""

from __future__ import annotations

import smtplib
import socket
import ssl
from typing import Any

_MOST_LINES = 200
_LONGEST_LINE = 8192


class Client(smtplib.SMTP):
    """An SMTP or LMTP client. TLS is with `name`, the connection with the address that `connect` is given."""

    def __init__(self, name: str, greeting_name: str, timeout: float, *, lmtp: bool = False) -> None:
        super().__init__(local_hostname=greeting_name, timeout=timeout)
        self._host = name
        self._lmtp = lmtp
        self._implicit: ssl.SSLContext | None = None
        if lmtp:
            self.ehlo_msg = "lhlo"

    def open(self, address: str, port: int, implicit: ssl.SSLContext | None) -> tuple[int, bytes]:
        """Connect; with a context, TLS comes first. The greeting. Raises OSError, SMTPException."""
        self._implicit = implicit
        return self.connect(address, port)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._implicit:
            return plain
        try:
            return self._implicit.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        """As the library's, but no server can go on and on."""
        lines: list[bytes] = []
        while len(lines) < _MOST_LINES:
            line = self._line()
            lines.append(line[4:].strip())
            if line[3:4] != b"-":
                code = int(line[:3]) if line[:3].isdigit() else -1
                return code, b"\n".join(lines)
        self.close()
        raise smtplib.SMTPServerDisconnected("The reply has no end")

    def _line(self) -> bytes:
        if self.file is None:
            assert self.sock
            self.file: Any = self.sock.makefile("rb")
        try:
            line: bytes = self.file.readline(_LONGEST_LINE + 1)
        except OSError as error:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"Connection lost: {error}") from error
        if not line or len(line) > _LONGEST_LINE:
            self.close()
            raise smtplib.SMTPServerDisconnected("Connection lost" if not line else "The reply is too long")
        return line

    def wait_at_most(self, seconds: float) -> None:
        """How long each further step may take."""
        if self.sock:
            self.sock.settimeout(seconds)

    def abort(self) -> None:
        """End the connection from outside; whoever waits for it gets an error."""
        sock = self.sock
        if sock:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it had ended already

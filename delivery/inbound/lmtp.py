"""The LMTP server (RFC 2033): an MTA hands mail in, and gets a reply for each recipient once its copy is on disk.

aiosmtpd keeps the connection, its commands and its timeouts. What it does not do is here: paths without the liberties
of header fields, replies with enhanced codes, DATA as a spool, and a reply for each recipient after it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Session
from bson import ObjectId

from delivery.inbound.arrival import Envelope
from delivery.inbound.recipients import Recipient
from delivery.inbound.replies import NO_ROOM, TEMPORARY, TOO_LARGE, Refused, enhanced
from delivery.inbound.service import Service
from delivery.inbound.syntax import DotData, Path, read_path

log = structlog.get_logger()

_MOST_RECIPIENTS = 1000
_LONGEST_COMMAND = 2048
_READ_AT_ONCE = 1024 * 1024
_IDLE_SECONDS = 300  # RFC 5321 §4.5.3.2.7
_DELIVERY_SECONDS = 600  # RFC 5321 §4.5.3.2.6: a client waits as long for the replies
_NOT_OFFERED = ("AUTH", "STARTTLS", "HELP", "EXPN")
_GOING = "421 4.3.2 Service is stopping"


@dataclass(slots=True)
class Transaction:
    """What MAIL and RCPT have said so far."""

    sender: str
    size: int
    utf8: bool
    recipients: list[Recipient] = field(default_factory=list)


class Connection(LMTP):
    """One client."""

    line_length_limit = 64 * 1024
    command_size_limit = _LONGEST_COMMAND
    command_size_limits = defaultdict(lambda: _LONGEST_COMMAND)

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._transaction: Transaction | None = None
        self._is_busy = False
        super().__init__(
            None,
            data_size_limit=service.largest,
            enable_SMTPUTF8=True,
            hostname=service.name,
            ident="LMTP Mallard",
            timeout=_IDLE_SECONDS,
            loop=loop,
        )
        for name in _NOT_OFFERED:
            self._smtp_methods.pop(name, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        super().connection_made(transport)
        self._service.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio. What is being delivered is delivered; nobody hears of it, so it comes again."""
        self._service.connections.discard(self)
        super().connection_lost(error)

    async def _handle_client(self) -> None:
        # A client that goes away is just forgotten; it sends again what was not acknowledged.
        with suppress(ConnectionError):
            await super()._handle_client()

    def stop(self) -> None:
        """Say good-bye: at once if the client does nothing, else after the replies that it waits for."""
        if not self._is_busy and self.transport is not None and not self._writer.is_closing():
            self._writer.write(_GOING.encode() + b"\r\n")
            self._writer.close()

    def _timeout_cb(self) -> None:
        if self.transport is not None:
            self._writer.write(b"421 4.4.2 Nothing was heard for too long\r\n")
        super()._timeout_cb()  # type: ignore[no-untyped-call]

    def _set_rset_state(self) -> None:
        super()._set_rset_state()  # type: ignore[no-untyped-call]
        self._transaction = None

    async def push(self, status: Any) -> None:
        """Send a reply, with an enhanced code where it has none."""
        await super().push(enhanced(status))

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours is no reason to give mail up."""
        log.exception("an LMTP command failed", peer=self._peer())
        return TEMPORARY

    def _client(self) -> Session:
        assert self.session is not None, "it is made with the connection"
        return self.session

    def _peer(self) -> str:
        peer: Any = self._client().peer
        return str(peer[0]) if isinstance(peer, tuple) else ""

    async def smtp_LHLO(self, arg: str | None) -> None:
        """LHLO: what is offered."""
        if not arg or " " in arg:
            await self.push("501 5.5.4 Syntax: LHLO hostname")
            return
        self._set_rset_state()
        self._client().extended_smtp = True
        self._client().host_name = arg
        offers = (
            "PIPELINING",
            f"SIZE {self._service.largest}",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "SMTPUTF8",
        )
        lines = [f"250-{text}\r\n" for text in (self._service.name, *offers[:-1])]
        await super().push("".join(lines) + f"250 {offers[-1]}")

    async def smtp_VRFY(self, arg: str | None) -> None:
        """VRFY: not answered; RCPT is the better check."""
        await self.push("252 2.5.0 Try RCPT" if arg else "501 5.5.4 Syntax: VRFY <address>")

    async def smtp_MAIL(self, arg: str | None) -> None:
        """MAIL: every sender is taken, the null one too."""
        path = read_path("FROM:", arg)
        if not self._client().host_name:
            await self.push("503 5.5.1 Send LHLO first")
        elif self._transaction:
            await self.push("503 5.5.1 Nested MAIL command")
        elif path is None or path.address.lower() == "postmaster":
            await self.push("501 5.1.7 Syntax: MAIL FROM:<address> [parameters]")
        elif refusal := self._refusal_of_parameters(path):
            await self.push(refusal)
        else:
            parameters = path.parameters
            size = int(parameters.get("SIZE") or 0)
            self._transaction = Transaction(path.address, size, "SMTPUTF8" in parameters)
            await self.push("250 2.1.0 OK")

    def _refusal_of_parameters(self, path: Path) -> str:
        """Why MAIL cannot be taken with these parameters, empty if it can."""
        known = {"SIZE": str.isdigit, "BODY": ("7BIT", "8BITMIME").__contains__, "SMTPUTF8": "".__eq__}
        for name, value in path.parameters.items():
            if name not in known:
                return "555 5.5.4 Parameter not recognized"
            if not known[name](value) or len(value) > 20:
                return f"501 5.5.4 Wrong value of {name}"
        if int(path.parameters.get("SIZE") or 0) > self._service.largest:
            return TOO_LARGE
        if not path.address.isascii() and "SMTPUTF8" not in path.parameters:
            return "550 5.6.7 Address needs SMTPUTF8"
        return ""

    async def smtp_RCPT(self, arg: str | None) -> None:
        """RCPT: each accepted recipient gets its own reply after DATA."""
        transaction, path = self._transaction, read_path("TO:", arg)
        if not transaction:
            await self.push("503 5.5.1 Need MAIL command")
        elif path is None or not path.address:
            await self.push("501 5.1.3 Syntax: RCPT TO:<address>")
        elif path.parameters:
            await self.push("555 5.5.4 Parameter not recognized")
        elif not path.address.isascii() and not transaction.utf8:
            await self.push("553 5.6.7 Address needs SMTPUTF8")
        elif len(transaction.recipients) >= _MOST_RECIPIENTS:
            await self.push("452 4.5.3 Too many recipients")
        else:
            await self.push(await self._added(transaction, path.address))

    async def _added(self, transaction: Transaction, address: str) -> str:
        if "@" not in address:
            address = f"{address}@{self._service.name}"
        try:
            recipient = await self._service.find(address, transaction.size)
        except Refused as refused:
            return refused.reply
        transaction.recipients.append(recipient)
        return "250 2.1.5 OK"

    async def smtp_DATA(self, arg: str | None) -> None:
        """DATA: the message, and then one reply for each recipient, in the order of RCPT (RFC 2033 §4.2)."""
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
        elif not self._transaction or not self._transaction.recipients:
            await self.push("503 5.5.1 Need RCPT command")
        else:
            self._is_busy = True
            try:
                await self._take(self._transaction)
            except ConnectionError:
                raise
            except Exception:
                # How many replies have gone out is not known any more, so the client must not wait for others.
                log.exception("a message was not taken", peer=self._peer())
                self._writer.close()
            finally:
                self._is_busy = False
                self._set_rset_state()
            if self._service.is_stopping:
                self.stop()

    async def _take(self, transaction: Transaction) -> None:
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        data = DotData(self._service.largest)
        try:
            await self._read(data)
            self._reset_timeout(_DELIVERY_SECONDS)
            await self._reply(transaction, data)
        finally:
            data.close()
            self._reset_timeout()

    async def _reply(self, transaction: Transaction, data: DotData) -> None:
        recipients = transaction.recipients
        if data.is_too_large or data.fault:
            for _ in recipients:
                await self.push(TOO_LARGE if data.is_too_large else NO_ROOM)
            return
        async with aclosing(self._service.deliver(self._envelope(transaction), data, recipients)) as replies:
            async for reply in replies:
                await self.push(reply)

    async def _read(self, data: DotData) -> None:
        """Read the message; what a pipelining client sent after it stays for the next command."""
        rest: bytes | None = None
        while rest is None:
            piece = await self._reader.read(_READ_AT_ONCE)
            if not piece:
                raise ConnectionResetError("the connection ended within a message")
            self._reset_timeout()
            rest = data.feed(piece)
        if rest:
            self._reader.feed_data(rest)

    def _envelope(self, transaction: Transaction) -> Envelope:
        return Envelope(
            id=ObjectId(),
            sender=transaction.sender,
            peer=self._peer(),
            helo=self._client().host_name or "",
            time=self._service.clock(),
            utf8=transaction.utf8,
        )

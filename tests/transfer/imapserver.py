"""A small IMAP server on a real socket, with as much of RFC 3501 as an import asks for."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_COMMAND = re.compile(rb"(\S+) (UID FETCH|\S+) ?(.*?)\r\n", re.S)
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"|(\S+)')


@dataclass
class Mail:
    """A message on the server."""

    uid: int
    raw: bytes
    flags: str = ""
    date: str = "01-Feb-2024 10:20:30 +0100"


@dataclass
class Box:
    """A folder on the server; `attributes` are those of LIST."""

    mails: list[Mail] = field(default_factory=list)
    attributes: str = "\\HasNoChildren"
    subscribed: bool = True
    validity: int = 7


class ImapServer(socketserver.ThreadingTCPServer):
    """Serves `boxes`; `breaks_after` messages it hangs up, as networks do; `fetched` are the UIDs it sent."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, boxes: dict[str, Box], delimiter: str) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.boxes, self.delimiter = boxes, delimiter
        self.breaks_after: int | None = None
        self.fetched: list[int] = []
        self.commands: list[bytes] = []
        self.flags_last = False
        self.user = "ada"

    @property
    def url(self) -> str:
        return f"imap://{self.user}@127.0.0.1:{self.server_address[1]}"


class _Session(socketserver.StreamRequestHandler):
    server: ImapServer

    def handle(self) -> None:
        self.box = Box()
        self._say("* OK ready")
        while line := self.rfile.readline(65536):
            match = _COMMAND.fullmatch(line)
            assert match, line
            tag, command, rest = match[1].decode(), match[2].decode().upper(), match[3]
            self.server.commands.append(command.encode() + b" " + rest)
            answer = getattr(self, "do_" + command.replace(" ", "_"))(rest)
            if answer is None:
                return
            self._say(f"{tag} {answer}")
            if command == "LOGOUT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def do_CAPABILITY(self, rest: bytes) -> str:
        self._say("* CAPABILITY IMAP4rev1")
        return "OK done"

    def do_LOGIN(self, rest: bytes) -> str:
        return (
            "OK hello" if rest == f'{self.server.user} "secret"'.encode() else "NO [AUTHENTICATIONFAILED] no"
        )

    def do_LOGOUT(self, rest: bytes) -> str:
        self._say("* BYE")
        return "OK bye"

    def _names(self, command: str, only_subscribed: bool) -> str:
        for name, box in self.server.boxes.items():
            if box.subscribed or not only_subscribed:
                head = f'* {command} ({box.attributes}) "{self.server.delimiter}" '
                if '"' in name:
                    self._say(f"{head}{{{len(name)}}}\r\n{name}")
                else:
                    self._say(f'{head}"{name}"')
        return "OK done"

    def do_LIST(self, rest: bytes) -> str:
        return self._names("LIST", only_subscribed=False)

    def do_LSUB(self, rest: bytes) -> str:
        return self._names("LSUB", only_subscribed=True)

    def _find(self, rest: bytes) -> tuple[str, Box]:
        match = _STRING.match(rest)
        assert match
        name = re.sub(rb"\\(.)", rb"\1", match[1] or match[2]).decode()
        return name, self.server.boxes[name]

    def do_STATUS(self, rest: bytes) -> str:
        box = self._find(rest)[1]
        following = max((mail.uid for mail in box.mails), default=0) + 1
        counts = f"MESSAGES {len(box.mails)} UIDNEXT {following} UIDVALIDITY {box.validity}"
        self._say(f'* STATUS "x" ({counts})')
        return "OK done"

    def do_EXAMINE(self, rest: bytes) -> str:
        self.box = self._find(rest)[1]
        self._say(f"* {len(self.box.mails)} EXISTS")
        return "OK [READ-ONLY] done"

    def do_UID_FETCH(self, rest: bytes) -> str | None:
        uids, _, what = rest.partition(b" ")
        for number, mail in enumerate(self.box.mails, 1):
            if not _covers(uids.decode(), mail.uid):
                continue
            if b"BODY.PEEK" not in what:
                self._say(f"* {number} FETCH (UID {mail.uid} RFC822.SIZE {len(mail.raw)})")
            elif (
                self.server.breaks_after is not None and len(self.server.fetched) >= self.server.breaks_after
            ):
                return None
            else:
                self._send(number, mail)
        return "OK done"

    def _send(self, number: int, mail: Mail) -> None:
        self.server.fetched.append(mail.uid)
        facts = f'FLAGS ({mail.flags}) INTERNALDATE "{mail.date}"'
        literal = f"BODY[] {{{len(mail.raw)}}}\r\n".encode() + mail.raw
        head = f"* {number} FETCH (UID {mail.uid} ".encode()
        if self.server.flags_last:
            self.wfile.write(head + literal + f" {facts})\r\n".encode())
        else:
            self.wfile.write(head + f"{facts} ".encode() + literal + b")\r\n")


def _covers(uids: str, uid: int) -> bool:
    ranges = (part.partition(":") for part in uids.split(","))
    return any(int(first) <= uid <= int(last or first) for first, _, last in ranges)


@contextmanager
def serving(boxes: dict[str, Box], delimiter: str = "/", user: str = "ada") -> Iterator[ImapServer]:
    """The server, for as long as a test needs it."""
    with ImapServer(boxes, delimiter) as server:
        server.user = user
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

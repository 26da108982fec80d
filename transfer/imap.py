"""Messages from an account on an IMAP server (RFC 3501), read without changing anything there."""

from __future__ import annotations

import imaplib
import ipaddress
import re
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from mail.imap import decode_utf7
from transfer.source import LARGEST, Folder, Position, SourceError, SourceMessage

_SECONDS = 60.0
_UIDS_AT_ONCE = 500
_BYTES_AT_ONCE = 2 * 1024 * 1024
_USES = {"\\sent": "\\Sent", "\\trash": "\\Trash", "\\drafts": "\\Drafts", "\\junk": "\\Junk"}
_NOT_READ = {"\\noselect", "\\nonexistent", "\\all", "\\flagged", "\\important"}
_LISTED = re.compile(rb'\((?P<flags>[^)]*)\) (?P<delimiter>NIL|"(?:\\.|[^"\\])*") (?P<name>.*)', re.S | re.I)
_NUMBER = {name: re.compile(rb"\b%s (\d+)" % name.encode()) for name in ("UID", "RFC822.SIZE")}
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)", re.I)
_DATE = re.compile(rb'\bINTERNALDATE "([^"]+)"', re.I)
Piece = tuple[bytes, bytes]


class ImapAccount:
    """A source of one account; `url` is imaps://user@host, or imap://user@host for STARTTLS."""

    def __init__(self, url: str, password: str) -> None:
        parts = urlsplit(url)
        host, user = parts.hostname or "", unquote(parts.username or "")
        if not host or not user:
            raise SourceError("An IMAP account is imaps://user@host or imaps://user@host:port")
        self.name = f"imap:{user}@{host}:{parts.port or ''}"
        self._connection = _guarded(lambda: _connect(parts.scheme, host, parts.port, user, password))

    def folders(self) -> Iterator[Folder]:
        """All folders that hold messages of their own; views of several, such as all mail, are left out."""
        subscribed = {name for _, _, name in self._listing("LSUB")}
        rows = [row for row in self._listing("LIST") if not _NOT_READ & {flag.lower() for flag in row[0]}]
        prefix = _namespace([(name, delimiter) for _, delimiter, name in rows])
        for flags, delimiter, name in rows:
            uses = (_USES[flag.lower()] for flag in flags if flag.lower() in _USES)
            folder = Folder(
                name,
                _path(name.removeprefix(prefix) or name, delimiter),
                special_use=next(uses, None),
                subscribed=name in subscribed,
            )
            yield replace(folder, count=self._status(name)[0])

    def _listing(self, command: str) -> list[tuple[list[str], str, str]]:
        """(flags, delimiter, name) of each folder."""
        method = self._connection.list if command == "LIST" else self._connection.lsub
        lines = _answer(_guarded(lambda: method('""', "*")))
        found = (_LISTED.fullmatch(_line(item)) for item in lines if item)
        return [
            (row["flags"].decode().split(), _unquoted(row["delimiter"]), _unquoted(row["name"]))
            for row in found
            if row
        ]

    def _status(self, name: str) -> tuple[int, int, int]:
        """Messages, next UID and UID validity of a folder."""
        lines = _answer(
            _guarded(lambda: self._connection.status(_quoted(name), "(MESSAGES UIDNEXT UIDVALIDITY)"))
        )
        text = b" ".join(_line(item) for item in lines if item)
        found = [re.search(rb"\b%s (\d+)" % word, text) for word in (b"MESSAGES", b"UIDNEXT", b"UIDVALIDITY")]
        numbers = [int(number[1]) for number in found if number]
        if len(numbers) != 3:
            raise SourceError(f"The server does not tell the status of {name}")
        return numbers[0], numbers[1], numbers[2]

    def messages(self, folder: Folder, after: Position | None) -> Iterator[SourceMessage]:
        """Messages by UID. A position holds good as long as the folder's UIDs do."""
        _, following, validity = self._status(folder.name)
        _answer(_guarded(lambda: self._connection.select(_quoted(folder.name), readonly=True)))
        last = after[1] if after and after[0] == validity else 0
        for start in range(last + 1, following, _UIDS_AT_ONCE):
            end = min(start + _UIDS_AT_ONCE, following) - 1
            for uids in _groups(self._sizes(start, end)):
                yield from self._read(validity, uids)

    def _sizes(self, start: int, end: int) -> list[tuple[int, int]]:
        rows = self._fetch(f"{start}:{end}", "(UID RFC822.SIZE)")
        found = ((_NUMBER["UID"].search(head), _NUMBER["RFC822.SIZE"].search(head)) for head, _ in rows)
        return sorted((int(uid[1]), int(size[1])) for uid, size in found if uid and size)

    def _read(self, validity: int, uids: list[tuple[int, int]]) -> Iterator[SourceMessage]:
        if len(uids) == 1 and uids[0][1] > LARGEST:
            yield SourceMessage([validity, uids[0][0]], None)
            return
        rows = self._fetch(",".join(str(uid) for uid, _ in uids), "(UID FLAGS INTERNALDATE BODY.PEEK[])")
        found = [
            (int(number[1]), head, raw)
            for head, raw in rows
            if (number := _NUMBER["UID"].search(head)) and raw
        ]
        for uid, head, raw in sorted(found):
            flags = _FLAGS.search(head)
            names = flags[1].decode("utf-8", "replace").split() if flags else []
            yield SourceMessage([validity, uid], raw, tuple(names), _date(head))

    def _fetch(self, uids: str, items: str) -> list[Piece]:
        return list(_pieces(_answer(_guarded(lambda: self._connection.uid("FETCH", uids, items)))))

    def close(self) -> None:
        """Log out, if the server still listens."""
        with suppress(OSError, imaplib.IMAP4.error):
            self._connection.logout()
        with suppress(OSError):
            self._connection.shutdown()


def _connect(scheme: str, host: str, port: int | None, user: str, password: str) -> imaplib.IMAP4:
    """Never without encryption, but to this machine itself."""
    context = ssl.create_default_context()
    connection: imaplib.IMAP4
    if scheme == "imaps":
        connection = imaplib.IMAP4_SSL(host, port or 993, ssl_context=context, timeout=_SECONDS)
    else:
        connection = imaplib.IMAP4(host, port or 143, timeout=_SECONDS)
        if not _is_loopback(host):
            connection.starttls(context)
    try:
        connection.login(user, password)
    except imaplib.IMAP4.error:
        connection.shutdown()
        raise
    return connection


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _guarded(action: Any) -> Any:
    try:
        return action()
    except (OSError, imaplib.IMAP4.error) as error:
        raise SourceError(f"IMAP: {error}") from error


def _answer(answer: tuple[str, list[Any]]) -> list[Any]:
    status, data = answer
    if status != "OK":
        raise SourceError(
            f"The IMAP server refuses: {_line(data[0]).decode('utf-8', 'replace') if data else status}"
        )
    return data


def _line(item: bytes | Piece) -> bytes:
    """A name that the server sent as a literal stands behind its line."""
    if isinstance(item, tuple):
        head = re.sub(rb"\{\d+\}$", b"", item[0])
        return head + b'"' + item[1].replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return item


def _pieces(data: Iterable[Any]) -> Iterator[Piece]:
    """(all that stands around the literal, the literal) of each message: servers put flags before or behind it."""
    head, literal = b"", b""
    for item in data:
        if isinstance(item, tuple):
            if head:
                yield head, literal
            head, literal = item
        elif item is None:
            continue
        elif head and not re.match(rb"\d+ \(", item):
            yield head + item, literal
            head, literal = b"", b""
        else:
            yield item, b""
    if head:
        yield head, literal


def _groups(sizes: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """UIDs that are fetched together, few megabytes each time."""
    group: list[tuple[int, int]] = []
    total = 0
    for uid, size in sizes:
        if group and total + size > _BYTES_AT_ONCE:
            yield group
            group, total = [], 0
        group.append((uid, size))
        total += size
    if group:
        yield group


def _date(head: bytes) -> datetime | None:
    found = _DATE.search(head)
    try:
        return (
            datetime.strptime(found[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
            if found
            else None
        )
    except ValueError:
        return None


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(word: bytes) -> str:
    text = word.strip().decode("utf-8", "replace")
    if text.upper() == "NIL":
        return ""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _namespace(names: list[tuple[str, str]]) -> str:
    """`INBOX.` where all other folders are below INBOX, as Courier and Cyrus have it."""
    others = [(name, delimiter) for name, delimiter in names if name.upper() != "INBOX"]
    prefix = f"INBOX{others[0][1]}" if others and others[0][1] else ""
    return prefix if prefix and all(name.startswith(prefix) for name, _ in others) else ""


def _path(name: str, delimiter: str) -> str:
    """Slashes between the levels, and none in a name."""
    if not delimiter:
        return decode_utf7(name).replace("/", "_")
    return "/".join(decode_utf7(part).replace("/", "_") for part in name.split(delimiter))

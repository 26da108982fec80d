"""Bodies that are too large to be held in memory: read as they come, bounded, a form's content kept on disk."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import chain
from tempfile import TemporaryFile
from typing import IO, Any

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from problems import InvalidContent, Problem, RequestTooLarge, UnsupportedMediaType

PIECE = 128 * 1024
_MOST_PARTS = 50
_LONGEST_FIELDS = 64 * 1024
_LARGEST_HEAD = 1024 * 1024


class Upload:
    """The content that a request brings, piece by piece and once; closing it gives its disk space back."""

    def __init__(self, pieces: Iterator[bytes], file: IO[bytes] | None = None) -> None:
        self._pieces = pieces
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Let go of what holds the content."""
        if self._file:
            self._file.close()


def read_pieces(request: Request, limit: int) -> Iterator[bytes]:
    """The body as it comes, inflated where it is compressed; neither form may be larger than `limit`.

    Raises Problem: RequestTooLarge, InvalidContent (also for a body that ends early), UnsupportedMediaType.
    """
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise UnsupportedMediaType
    received = _received(request, limit)
    return received if encoding == "identity" else _inflated(received, limit)


def too_large(limit: int) -> Problem:
    """The problem of a body with more than `limit` bytes."""
    return RequestTooLarge(f"The request body is larger than the {limit} bytes that this operation takes")


def _received(request: Request, limit: int) -> Iterator[bytes]:
    announced = request.content_length
    if (announced or 0) > limit:
        raise too_large(limit)
    stream, total = request.environ["wsgi.input"], 0
    expected = limit + 1 if announced is None else announced
    while piece := _read(stream, min(PIECE, expected - total)):
        total += len(piece)
        if total > limit:
            raise too_large(limit)
        yield piece
    if announced is not None and total < announced:
        raise InvalidContent("The request body ended early")


def _read(stream: Any, size: int) -> bytes:
    try:
        return bytes(stream.read(size)) if size else b""
    except OSError as error:
        raise InvalidContent("The request body ended early") from error


def _inflated(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    inflater, total = zlib.decompressobj(zlib.MAX_WBITS | 16), 0
    for piece in pieces:
        rest = piece
        while rest and not inflater.eof:
            try:
                data = inflater.decompress(rest, PIECE)
            except zlib.error as error:
                raise InvalidContent(f"Invalid gzip: {error}") from error
            rest, total = inflater.unconsumed_tail, total + len(data)
            if total > limit:
                raise too_large(limit)
            yield data
        if rest or inflater.unused_data:
            raise InvalidContent("Invalid gzip: more follows its end")
    if not inflater.eof:
        raise InvalidContent("Invalid gzip: it ended early")


def read_form(request: Request, limit: int, content: str) -> tuple[dict[str, str], Upload | None]:
    """The fields of `multipart/form-data` (RFC 7578), and the part named `content`, kept in a file without a name.

    The fields may stand before or behind the content; all are read before anything is made of it.
    """
    form = _Form(content)
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
    decoder = MultipartDecoder(boundary, max_form_memory_size=_LARGEST_HEAD, max_parts=_MOST_PARTS)
    try:
        for piece in chain(read_pieces(request, limit), [None]):
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                form.take(event)
    except BaseException as error:
        form.discard()
        if isinstance(error, ValueError | RequestEntityTooLarge):
            raise InvalidContent(f"Invalid form: {error}") from error
        raise
    return form.fields, form.upload()


class _Form:
    def __init__(self, content: str) -> None:
        self.fields: dict[str, str] = {}
        self._content = content
        self._file: IO[bytes] | None = None
        self._name = ""
        self._value = bytearray()
        self._length = 0

    def take(self, event: Event) -> None:
        if isinstance(event, Field | File):
            self._begin(event.name)
        elif isinstance(event, Data):
            self._go_on(event)

    def _begin(self, name: str | None) -> None:
        if not name:
            raise ValueError("a part has no name")
        self._name, self._value = name, bytearray()
        if name == self._content:
            if self._file:
                raise ValueError(f"{name} is there twice")
            self._file = TemporaryFile()  # noqa: SIM115 the upload closes it

    def _go_on(self, event: Data) -> None:
        if self._name == self._content and self._file:
            self._file.write(event.data)
            return
        self._length += len(event.data)
        if self._length > _LONGEST_FIELDS:
            raise ValueError("its fields are too long")
        self._value += event.data
        if not event.more_data:
            self.fields[self._name] = self._value.decode("utf-8", "replace")

    def upload(self) -> Upload | None:
        file = self._file
        if file is None:
            return None
        file.seek(0)
        return Upload(iter(lambda: file.read(PIECE), b""), file)

    def discard(self) -> None:
        if self._file:
            self._file.close()

"""How an attachment's `content` is written down."""

from __future__ import annotations

from base64 import b64decode

from mail.compose import ComposeError


def decode_content(content: str, encoding: str, path: str) -> bytes:
    """The bytes of an attachment's `content`. Raises ComposeError."""
    try:
        match encoding.lower().replace("-", ""):
            case "base64" | "base64url":
                text = "".join(content.split()).replace("-", "+").replace("_", "/").rstrip("=")
                return b64decode(text + "=" * (-len(text) % 4), validate=True)
            case "hex":
                return bytes.fromhex(content)
            case "utf8" | "ascii":
                return content.encode()
            case "latin1" | "binary":
                return content.encode("latin-1")
            case "utf16le" | "ucs2":
                return content.encode("utf-16-le")
    except ValueError as error:
        raise ComposeError(path, f"is not valid {encoding}") from error
    raise ComposeError(
        path, "must be one of [base64, base64url, hex, utf8, utf-8, ascii, latin1, binary, utf16le]"
    )

"""Logs: lines for people on a terminal, JSON in production, secrets masked in both."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import orjson
import structlog

_SECRET_NAMES = frozenset(
    {
        "accessToken", "authorization", "existingPassword", "hashedPassword", "password", "privateKey", "secret",
        "seed", "token", "totpNonce", "twoFactorNonce", "x-access-token",
    }
)  # fmt: skip
_MAIL = frozenset({"html", "raw", "text"})
_PASSWORD_IN_URL = re.compile(r"(://|\bsmtps?:)(?!//)[^/?#\s]*@", re.I)
_LONGEST_VALUE = 128


def configure(log_format: str, level: str) -> None:
    """Set up logging for this process; `log_format` and `level` as in the settings."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last = _console() if console else structlog.processors.JSONRenderer(_dumps)
    structlog.configure(
        processors=[
            *(p for p in shared if not (console and p is structlog.processors.format_exc_info)),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _lead_standard_logging(shared, last, level)


def _console() -> structlog.dev.ConsoleRenderer:
    """Not with the tracebacks of `rich`: they show the values of local variables, passwords and tokens among them."""
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _dumps(event: Mapping[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _lead_standard_logging(shared: list[Any], last: Any, level: str) -> None:
    """Lines of the libraries come out in the same shape."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))


def masked(values: Mapping[str, Any]) -> MutableMapping[str, Any]:
    """A request's values fit for a log: secrets hidden, long texts cut, mail and structures only named."""
    return {name: _fit_for_log(name, value) for name, value in values.items()}


def _fit_for_log(name: str, value: Any) -> Any:
    if name in _SECRET_NAMES:
        return "***"
    if isinstance(value, dict | list | bytes) or (name in _MAIL and isinstance(value, str)):
        return f"<{type(value).__name__} of {len(value)}>"
    return value if isinstance(value, bool | int | float) or value is None else _short(str(value))


def _short(text: str) -> str:
    """One line without control characters, so that a value can neither forge a line nor steer a terminal."""
    safe = _PASSWORD_IN_URL.sub(r"\1***@", text)
    cut = safe if len(safe) <= _LONGEST_VALUE else safe[:_LONGEST_VALUE] + "…"
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in cut)

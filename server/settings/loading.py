"""Loading the settings, checked one by one and as a whole.

A setting comes from the environment (`MALLARD_<NAME>`), else from the TOML file that `MALLARD_CONFIG` names
(keys in lower case), else from its default.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from server.settings.table import DEFAULT_SECRET, Settings, SettingsError


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read, convert and check all settings. Raises SettingsError with the text to show."""
    file = _read_file(environ.get("MALLARD_CONFIG", ""))
    unknown = set(file) - {f.name for f in fields(Settings)}
    if unknown:
        raise SettingsError(f"The settings file has unknown settings: {', '.join(sorted(unknown))}")
    settings = Settings(**{f.name: _value(f, environ, file) for f in fields(Settings)})
    _check_access(settings)
    _check_together(settings)
    return settings


def _read_file(path: str) -> Mapping[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).expanduser().read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"MALLARD_CONFIG names a file that cannot be read: {error}") from error


def _value(setting: Any, environ: Mapping[str, str], file: Mapping[str, Any]) -> Any:
    name = f"MALLARD_{setting.name.upper()}"
    given = environ.get(name, file.get(setting.name, MISSING))
    if given is MISSING:
        return setting.default
    try:
        return setting.metadata["read"](given)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{name} {error}. It is for: {setting.metadata['help']}") from error


def _check_access(settings: Settings) -> None:
    """An API that other machines reach needs access control, with a secret that nobody knows."""
    if _is_loopback(settings.host):
        return
    if not settings.needs_token:
        raise SettingsError(
            f"MALLARD_BIND is {settings.bind}, which other machines reach, and access control is off: anyone could "
            "read all mail. Set MALLARD_ACCESS_CONTROL=on (then `mallard token provision` makes tokens) or "
            "MALLARD_TOKEN, or bind to 127.0.0.1."
        )
    if settings.access_control and settings.secret == DEFAULT_SECRET:
        raise SettingsError(
            "Access control is on with the default secret. Set MALLARD_SECRET to a random text."
        )


def _check_together(settings: Settings) -> None:
    """Some settings need each other, or a library."""
    if settings.redis_url and importlib.util.find_spec("redis") is None:
        raise SettingsError("MALLARD_REDIS_URL is set without its library: pip install 'mallard[redis]'")
    if bool(settings.tls_key) != bool(settings.tls_certificate):
        raise SettingsError("MALLARD_TLS_KEY and MALLARD_TLS_CERTIFICATE need each other.")
    if bool(settings.profile_key) != bool(settings.profile_certificate):
        raise SettingsError("MALLARD_PROFILE_KEY and MALLARD_PROFILE_CERTIFICATE need each other.")


def _is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach that host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""Settings: limits and times that operators change while the service runs."""

from __future__ import annotations

from typing import Any

from handlers.call import Answer, Body, Call
from problems import InvalidInput, Problem, SettingNotFound
from storage.base.setting_keys import DEFAULTS, SETTINGS
from storage.base.settings import Stored


def get_settings(call: Call, filter: str | None = None) -> Answer:
    """All built-in settings and those that others stored, by key."""
    stored = call.store.settings.stored()
    keys = SETTINGS.keys() | {key for key, found in stored.items() if found.listed}
    shown = sorted(key for key in keys if (filter or "").lower() in key.lower())
    rows = [_row(key, stored.get(key)) for key in shown]
    return {"success": True, **({"filter": filter} if filter else {}), "settings": rows}


def _row(key: str, stored: Stored | None) -> Answer:
    row = {"key": key, "value": stored.value if stored else DEFAULTS[key], "custom": stored is not None}
    if key not in SETTINGS:
        return row
    setting = SETTINGS[key]
    known = {"name": setting.name, "description": setting.description, "type": setting.kind}
    return {**row, **known, "default": setting.default}


def get_setting(call: Call, key: str) -> Answer:
    """The value in force of one setting."""
    stored = call.store.settings.stored(key).get(key)
    if stored is None and key not in DEFAULTS:
        raise _not_found(key)
    return {"success": True, "id": key, "key": key, "value": stored.value if stored else DEFAULTS[key]}


def _not_found(key: str) -> Problem:
    """With the fields that clients look at who know the original's answer, which is a 200."""
    return SettingNotFound(success=False, key=key)


def create_setting(call: Call, key: str, body: Body) -> Answer:
    """Set or change one of the built-in settings."""
    call.store.settings.put(key, _checked(key, body["value"]))
    return {"success": True, "id": key, "key": key}


def _checked(key: str, value: Any) -> Any:
    try:
        return SETTINGS[key].checked(value)
    except ValueError as error:
        raise InvalidInput({"value": f'"value" {error}'}) from error


def delete_setting(call: Call, key: str) -> Answer:
    """Put the default in force again, whether or not something was set."""
    if not call.store.settings.delete(key) and key not in DEFAULTS:
        raise _not_found(key)
    return {"success": True}

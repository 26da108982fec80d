"""The settings of a command."""

from __future__ import annotations

from server.processes import logging as logs
from server.settings.table import Settings, SettingsError


def settings_in_force(*, needs_database: bool = False) -> Settings:
    """The settings, with logging set up by them. Raises SettingsError."""
    settings = Settings.load()
    logs.configure(settings.log_format, settings.log_level)
    if needs_database and not settings.mongo_uri:
        raise SettingsError("MALLARD_MONGO_URI is not set. `mallard serve` brings a database of its own.")
    return settings

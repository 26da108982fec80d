"""Settings: where they come from, and that a wrong one is told plainly."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.inbound.recipients import CHECKS
from security.secrets import KeyRing
from server.settings.loading import load_settings
from server.settings.table import SettingsError
from storage.messages.intake import LARGEST


def test_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "mallard.toml"
    file.write_text('database = "from-file"\nworkers = 3\n')
    settings = load_settings({"MALLARD_CONFIG": str(file), "MALLARD_DATABASE": "from-environment"})
    assert (settings.database, settings.workers, settings.bind) == ("from-environment", 3, "127.0.0.1:8080")


def test_secrets_are_not_shown() -> None:
    shown = load_settings({"MALLARD_TOKEN": "hush", "MALLARD_MONGO_URI": "mongodb://user:pw@host"}).masked()
    assert (shown["token"], shown["mongo_uri"]) == ("***", "***")


def test_an_open_api_is_not_bound_where_others_reach_it() -> None:
    with pytest.raises(SettingsError, match="MALLARD_ACCESS_CONTROL=on"):
        load_settings({"MALLARD_BIND": "0.0.0.0:8080"})


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "localhost:8080", "[::1]:8080"])
def test_an_open_api_may_be_bound_to_loopback(bind: str) -> None:
    assert not load_settings({"MALLARD_BIND": bind}).needs_token


def test_the_default_secret_signs_nothing_that_others_reach() -> None:
    with pytest.raises(SettingsError, match="MALLARD_SECRET"):
        load_settings({"MALLARD_BIND": "0.0.0.0:8080", "MALLARD_ACCESS_CONTROL": "on"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLARD_BIND", "8080"),
        ("MALLARD_BIND", "host:99999"),
        ("MALLARD_WORKERS", "none"),
        ("MALLARD_WORKERS", "0"),
        ("MALLARD_ACCESS_CONTROL", "maybe"),
        ("MALLARD_LOG_LEVEL", "loud"),
        ("MALLARD_TOTP_WINDOW", "21"),
        ("MALLARD_ENCRYPTION_OLD_CIPHER", "des"),
        ("MALLARD_CONFIG", "/nowhere/mallard.toml"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value})


def test_the_keys_of_secrets_at_rest(tmp_path: Path) -> None:
    environ = {
        "MALLARD_TOTP_SECRET": "for seeds",
        "MALLARD_CERTS_SECRET": "for certificates",
        "MALLARD_ENCRYPTION_SECRET": "a secret cat",
        "MALLARD_ENCRYPTION_OLD_SECRETS": "an old cat\n\na dead cat\n",
    }
    settings = load_settings(environ)
    older = ("a secret cat", "an old cat", "a dead cat")
    assert settings.key_rings.dkim == KeyRing("a secret cat", ("an old cat", "a dead cat"))
    assert settings.key_rings.totp == KeyRing("for seeds", older)
    assert settings.key_rings.certs == KeyRing("for certificates", older)
    secrets = {"a secret cat", "for seeds", "for certificates", ("an old cat", "a dead cat")}
    assert not secrets & set(settings.masked().values())


def test_unknown_settings_in_the_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "mallard.toml"
    file.write_text("databse = 'x'\n")
    with pytest.raises(SettingsError, match="databse"):
        load_settings({"MALLARD_CONFIG": str(file)})


def test_checks_of_recipients() -> None:
    assert load_settings({}).lmtp_checks == CHECKS
    assert load_settings({"MALLARD_LMTP_CHECKS": "quota, rate"}).lmtp_checks == ("quota", "rate")
    assert load_settings({"MALLARD_LMTP_CHECKS": "none"}).lmtp_checks == ()
    with pytest.raises(
        SettingsError, match="MALLARD_LMTP_CHECKS has quotas, which is none of disabled, quota, rate"
    ):
        load_settings({"MALLARD_LMTP_CHECKS": "quotas"})


def test_the_largest_mail_can_be_stored() -> None:
    assert load_settings({}).lmtp_max_size + 65_536 == LARGEST
    with pytest.raises(SettingsError, match="is more than"):
        load_settings({"MALLARD_LMTP_MAX_SIZE": str(LARGEST)})

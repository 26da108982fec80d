"""Settings of log-ins and profiles as operations get them."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from security.profile import Server, make_signer
from server.settings.loading import load_settings
from server.settings.rules import rules_of
from server.settings.table import SettingsError


def test_what_stands_in_the_environment_arrives(tmp_path: Path) -> None:
    signer = make_signer("Example", datetime.now(UTC))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key.write_bytes(signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(signer.certificate.public_bytes(Encoding.PEM))
    environ = {
        "MALLARD_AUTH_FREE_NETWORKS": "192.0.2.1, 2001:db8::/32",
        "MALLARD_IMAP_SERVER": "imaps://imap.example.com:993",
        "MALLARD_SMTP_SERVER": "smtp://[2001:db8::1]:587",
        "MALLARD_PROFILE_KEY": str(key),
        "MALLARD_PROFILE_CERTIFICATE": str(certificate),
    }
    rules = rules_of(load_settings(environ))
    assert rules.free_networks == (ip_network("192.0.2.1/32"), ip_network("2001:db8::/32"))
    assert rules.profile.imap == Server("imap.example.com", 993, True)
    assert rules.profile.smtp == Server("2001:db8::1", 587, False)
    assert rules.profile.signer
    assert rules.profile.signer.certificate == signer.certificate


@pytest.mark.parametrize(
    "environ",
    [
        {"MALLARD_AUTH_FREE_NETWORKS": "192.0.2.1/8"},
        {"MALLARD_AUTH_IP_FAILURES": "-1"},
        {"MALLARD_PWNED_CHECK": "perhaps"},
        {"MALLARD_PWNED_URL": "ftp://example.com"},
        {"MALLARD_IMAP_SERVER": "imap.example.com:993"},
        {"MALLARD_POP3_SERVER": "imaps://example.com:993"},
        {"MALLARD_SMTP_SERVER": "smtp://example.com"},
        {"MALLARD_SMTP_SERVER": "smtp://example.com:99999"},
        {"MALLARD_PROFILE_KEY": "/nowhere", "MALLARD_PROFILE_CERTIFICATE": "/nowhere"},
        {"MALLARD_PROFILE_KEY": "/nowhere"},
    ],
)
def test_a_wrong_value_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(environ))):
        rules_of(load_settings(environ))

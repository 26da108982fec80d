"""What operations follow, made of the settings."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from accounts.context import Rules
from network.pwned import asker
from security.pem import UnusableKey
from security.profile import ProfileRules, Server, Signer, load_signer
from server.settings.table import Settings, SettingsError


def rules_of(settings: Settings) -> Rules:
    """The rules of a service with these settings. Raises SettingsError for a key that cannot be used."""
    return Rules(
        secret=settings.secret,
        token_ttl=settings.token_ttl,
        password_scheme=settings.password_hash,
        email_domain=settings.email_domain,
        ip_failures=settings.auth_ip_failures,
        free_networks=tuple(ip_network(network) for network in settings.auth_free_networks),
        pwned_check=settings.pwned_check,
        is_pwned=asker(settings.pwned_url),
        profile=_profile(settings),
        totp_keys=settings.key_rings.totp,
        totp_window=settings.totp_window,
        strict_2fa=settings.strict_2fa,
        confirm_2fa=settings.confirm_2fa,
        free_addresses=settings.user_addresses == "any",
        webhook_secret=settings.webhook_secret,
        welcome_dir=settings.welcome_dir,
    )


def _profile(settings: Settings) -> ProfileRules:
    return ProfileRules(
        imap=_server(settings.imap_server),
        pop3=_server(settings.pop3_server),
        smtp=_server(settings.smtp_server),
        identifier=settings.profile_identifier,
        title=settings.profile_title,
        organization=settings.profile_organization,
        description=settings.profile_description,
        account=settings.profile_account,
        signer=_signer(settings) if settings.profile_key else None,
    )


def _server(url: str) -> Server:
    parts = urlsplit(url)
    return Server(parts.hostname or "", parts.port or 0, secure=parts.scheme.endswith("s"))


def _signer(settings: Settings) -> Signer:
    try:
        key, certificates = (
            Path(path).expanduser().read_bytes()
            for path in (settings.profile_key, settings.profile_certificate)
        )
        return load_signer(key, certificates)
    except (OSError, UnusableKey) as error:
        raise SettingsError(
            f"MALLARD_PROFILE_KEY and MALLARD_PROFILE_CERTIFICATE cannot sign profiles: {error}"
        ) from error

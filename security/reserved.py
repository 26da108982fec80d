"""Local parts that speak for a whole domain."""

from __future__ import annotations

RESERVED = frozenset(
    {
        # RFC 2142
        "abuse", "ftp", "hostmaster", "info", "marketing", "news", "noc", "postmaster", "sales", "security", "support",
        "trouble", "usenet", "uucp", "webmaster", "www",
        # By which certificate authorities let a domain be proven (CA/B Forum Baseline Requirements §3.2.2.4.4)
        "admin", "administrator", "is", "it", "mis", "ssladmin", "ssladministrator", "sslwebmaster", "sysadmin", "root",
        # What mail systems and well-known services write as, or to
        "mailerdaemon", "mailer-daemon", "noreply", "no-reply", "dmarc", "dmarc-reports", "tlsrpt", "autoconfig",
        "autodiscover", "certadmin", "certmaster", "domainadmin", "isp",
    }
)  # fmt: skip


def is_reserved(local: str) -> bool:
    """Return whether a local part, dots being of no importance, is one that no user may take."""
    return local.replace(".", "") in RESERVED

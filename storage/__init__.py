"""The database: a package per subject, and in `WRITES` the collections that only this package writes.

Every package may read what it needs. What spans packages asks the repositories: a rename of a domain has each of them
rename its own rows. `tests/storage/test_writes.py` compares the table with the source.
"""

from __future__ import annotations

from collections.abc import Mapping

WRITES: Mapping[str, frozenset[str]] = {
    # Accounts, how one logs in to them, and what they do by themselves.
    "accounts": frozenset(
        {
            "users", "deletedusers", "asps", "accesstokens", "pending2fa", "authlog", "autoreplies", "answered",
            "filters",
        }
    ),
    # Addresses and domains, and whom an account writes with.
    "addresses": frozenset({"addresses", "domainaliases", "domaincache", "domainaccess", "addressregister"}),
    # Copies of mail that are kept until an audit expires.
    "audits": frozenset({"audits", "audit.files", "audit.chunks"}),
    # What all packages build on: settings, counters and limits, leases, background tasks.
    "base": frozenset({"settings", "counters", "locks", "tasks", "finishedtasks"}),
    # What is announced: the journal and its order for clients that follow an account, webhooks and their queue.
    "events": frozenset({"journal", "updates", "notices", "eventorder", "webhooks", "webhookqueue", "webhooklanes"}),
    # Keys: DKIM, TLS, and those that the service made for itself.
    "keys": frozenset({"dkim", "certs", "signingkeys"}),
    # Mailboxes, their UIDs, modification sequences and counts.
    "mailboxes": frozenset({"mailboxes"}),
    # Messages, archived ones, threads, attachments, and files that are kept to be attached.
    "messages": frozenset(
        {
            "messages", "archived", "threads", "attachments.files", "attachments.chunks", "storage.files",
            "storage.chunks",
        }
    ),
    # What waits to be sent, and which deliveries were received already.
    "queue": frozenset({"zone-queue", "mail.files", "mail.chunks", "received"}),
    # Plans of searches; it reads only.
    "search": frozenset(),
}  # fmt: skip

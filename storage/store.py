"""All repositories over one MongoDB."""

from __future__ import annotations

from pymongo import MongoClient

from security.secrets import KeyRings
from storage.accounts.answered import Answered
from storage.accounts.asps import Asps
from storage.accounts.auth_log import AuthLog
from storage.accounts.autoreplies import Autoreplies
from storage.accounts.deleted_users import Belongings, DeletedUsers
from storage.accounts.filters import Filters
from storage.accounts.pending_logins import PendingLogins
from storage.accounts.quota import Quota
from storage.accounts.second_factors import SecondFactors
from storage.accounts.tokens import Tokens
from storage.accounts.users import Users
from storage.addresses.addresses import Addresses
from storage.addresses.bimi import Bimi
from storage.addresses.domain_access import DomainAccess
from storage.addresses.domain_aliases import DomainAliases
from storage.addresses.domain_rename import DomainRename
from storage.addresses.register import AddressRegister
from storage.audits.audits import Audits
from storage.audits.files import AuditFiles
from storage.backlog import Backlog, read_backlog
from storage.base.attempts import Attempts
from storage.base.counters import Counters
from storage.base.database import Clock, DatabaseNames, Databases, Document, Transactions, utc_now
from storage.base.indexes import ensure_indexes, missing_indexes
from storage.base.leases import Leases
from storage.base.settings import Settings
from storage.base.tasks import Tasks
from storage.base.watch import Watch
from storage.events.events import Events
from storage.events.journal import Journal
from storage.events.notices import Notices
from storage.events.updates import Updates
from storage.events.webhook_queue import WebhookQueue
from storage.events.webhooks import Webhooks
from storage.events.wildduck import WildDuck
from storage.keys.certs import Certs
from storage.keys.dkim import Dkim
from storage.keys.sealed import Sealed
from storage.keys.signing_keys import SigningKeys
from storage.mailboxes.counts import MailboxCounts
from storage.mailboxes.mailboxes import Mailboxes
from storage.mailboxes.retention import RetentionChanges
from storage.messages.archive import Archive
from storage.messages.attachments import Attachments
from storage.messages.audit_import import AuditImport
from storage.messages.changes import MessageChanges
from storage.messages.encrypting import EncryptionAtRest
from storage.messages.expiry import Expiry
from storage.messages.files import Files
from storage.messages.intake import Intake
from storage.messages.message_events import MessageEvents
from storage.messages.messages import Messages
from storage.messages.removal import Removal
from storage.messages.restoring import Restoring
from storage.messages.search_tokens import SearchTokens
from storage.messages.threads import Threads
from storage.queue.claims import QueueClaims
from storage.queue.outbound_queue import OutboundQueue
from storage.queue.received import Received
from storage.search.message_search import MessageSearch


class Store:
    """The one thing that handlers get of the database: a repository per collection."""

    def __init__(
        self,
        client: MongoClient[Document],
        names: DatabaseNames | None = None,
        clock: Clock = utc_now,
        wildduck: WildDuck | None = None,
        watch: Watch | None = None,
        keys: KeyRings | None = None,
    ) -> None:
        self.databases = Databases(client, names or DatabaseNames(), watch)
        self.clock = clock
        self.transactions = Transactions(self.databases)
        self.wildduck = wildduck or WildDuck()
        self.webhooks = Webhooks(self.databases, clock)
        self.webhook_queue = WebhookQueue(self.databases, clock)
        self.events = Events(self.databases, clock, self.transactions, self.webhooks, self.webhook_queue)
        self.keys = keys or KeyRings()
        self.tasks = Tasks(self.databases, clock)
        self.leases = Leases(self.databases, clock)
        self.settings = Settings(self.databases, clock)
        self.counters = Counters(self.databases, clock)
        self.auth_log = AuthLog(self.databases, clock, self.settings)
        self.attempts = Attempts(self.databases, clock)
        self.asps = Asps(self.databases, clock, self.events)
        self.signing_keys = SigningKeys(self.databases)
        self.tokens = Tokens(self.databases, clock)
        self.users = Users(self.databases, clock)
        self.second_factors = SecondFactors(self.databases, clock, self.events)
        self.pending_logins = PendingLogins(self.databases, clock)
        self.addresses = Addresses(self.databases, clock)
        self.address_register = AddressRegister(self.databases, clock)
        self.domain_aliases = DomainAliases(self.databases, clock, self.transactions, self.events)
        self.domain_access = DomainAccess(self.databases)
        self.certs = Certs(self.databases, clock, self.tasks, self.keys.certs)
        self.dkim = Dkim(self.databases, clock, self.keys.dkim)
        self.domain_rename = DomainRename(
            self.databases,
            clock,
            self.transactions,
            self.events,
            users=self.users,
            aliases=self.domain_aliases,
            dkim=self.dkim,
        )
        self.journal = Journal(self.databases, clock, self.transactions, self.wildduck)
        self.notices = Notices(self.databases, clock, self.transactions, self.wildduck)
        self.updates = Updates(self.databases, clock)
        self.filters = Filters(self.databases, clock, self.events)
        self.autoreplies = Autoreplies(self.databases, clock, self.transactions, self.events)
        self.mailboxes = Mailboxes(
            self.databases, clock, self.journal, self.notices, self.events, self.filters
        )
        self.mailbox_counts = MailboxCounts(self.databases, clock)
        self.retention_changes = RetentionChanges(self.mailboxes, self.tasks, self.transactions, clock)
        self.attachments = Attachments(self.databases, clock)
        self.bimi = Bimi(self.databases)
        self.files = Files(self.databases, clock)
        self.threads = Threads(self.databases, clock)
        self.archive = Archive(self.databases, clock, self.settings)
        self.audit_files = AuditFiles(self.databases, clock)
        self.audits = Audits(
            self.databases, clock, self.transactions, self.tasks, self.audit_files, self.users
        )
        self.outbound_queue = OutboundQueue(self.databases, clock)
        self.queue_claims = QueueClaims(self.databases, clock)
        self.received = Received(self.databases, clock)
        self.answered = Answered(self.databases, clock)
        self.message_events = MessageEvents(self.databases, self.events)
        self.intake = Intake(
            self.databases,
            clock,
            transactions=self.transactions,
            settings=self.settings,
            users=self.users,
            mailboxes=self.mailboxes,
            mailbox_counts=self.mailbox_counts,
            attachments=self.attachments,
            threads=self.threads,
            audits=self.audits,
            journal=self.journal,
            message_events=self.message_events,
            address_register=self.address_register,
        )
        self.messages = Messages(self.databases, clock, self.mailbox_counts, self.attachments)
        self.encryption_at_rest = EncryptionAtRest(
            self.databases,
            transactions=self.transactions,
            users=self.users,
            attachments=self.attachments,
            messages=self.messages,
        )
        self.message_changes = MessageChanges(
            self.databases,
            clock,
            transactions=self.transactions,
            mailboxes=self.mailboxes,
            mailbox_counts=self.mailbox_counts,
            journal=self.journal,
            events=self.events,
            message_events=self.message_events,
            encryption=self.encryption_at_rest,
        )
        self.removal = Removal(
            self.databases,
            transactions=self.transactions,
            users=self.users,
            mailboxes=self.mailboxes,
            mailbox_counts=self.mailbox_counts,
            archive=self.archive,
            attachments=self.attachments,
            journal=self.journal,
        )
        self.expiry = Expiry(
            self.databases,
            clock,
            transactions=self.transactions,
            archive=self.archive,
            messages=self.messages,
            removal=self.removal,
        )
        self.restoring = Restoring(
            self.databases,
            clock,
            transactions=self.transactions,
            settings=self.settings,
            users=self.users,
            mailboxes=self.mailboxes,
            mailbox_counts=self.mailbox_counts,
            archive=self.archive,
            journal=self.journal,
            messages=self.messages,
            message_events=self.message_events,
        )
        self.message_search = MessageSearch(self.databases)
        self.search_tokens = SearchTokens(self.databases)
        self.quota = Quota(self.databases)
        self.belongings = Belongings(
            {
                "mailboxes": self.mailboxes,
                "asps": self.asps,
                "filters": self.filters,
                "autoreplies": self.autoreplies,
                "addressregister": self.address_register,
                "threads": self.threads,
                "updates": self.updates,
            }
        )
        self.deleted_users = DeletedUsers(
            self.databases,
            clock,
            self.transactions,
            self.tasks,
            self.tokens,
            self.addresses,
            self.events,
        )
        self.sealed = Sealed(
            (
                self.users.seeds(self.keys.totp),
                self.deleted_users.seeds(self.keys.totp),
                self.dkim.private_keys(),
                self.certs.private_keys(),
            )
        )

    def audit_import(self, audit: Document) -> AuditImport:
        """Return one audit's way through the messages that its account has."""
        return AuditImport(
            audit,
            databases=self.databases,
            transactions=self.transactions,
            audits=self.audits,
            audit_files=self.audit_files,
            attachments=self.attachments,
            messages=self.messages,
        )

    def remove_orphan(self, file_id: bytes) -> bool:
        """Remove an unreferenced attachment's file and chunks in one step. Return whether it was removed."""
        return self.transactions.run(lambda session: self.attachments.remove_orphan(file_id, session))

    def backlog(self) -> Backlog:
        """How much waits in the queue and to be done in the background."""
        return read_backlog(self.databases, self.clock)

    def ensure_indexes(self) -> list[str]:
        """Make the indexes that are missing; returns the names of those made."""
        return ensure_indexes(self.databases)

    def missing_indexes(self) -> list[str]:
        """The names of those."""
        return missing_indexes(self.databases)

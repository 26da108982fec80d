"""All repositories over one MongoDB."""

from __future__ import annotations

from pymongo import MongoClient

from security.secrets import KeyRings
from storage.addresses import Addresses
from storage.addressregister import AddressRegister
from storage.answered import Answered
from storage.archive import Archive
from storage.asps import Asps
from storage.attachments import Attachments
from storage.attempts import Attempts
from storage.auditfiles import AuditFiles
from storage.audits import Audits
from storage.authlog import AuthLog
from storage.autoreplies import Autoreplies
from storage.backlog import Backlog, read_backlog
from storage.belongings import Belongings
from storage.bimi import Bimi
from storage.certs import Certs
from storage.counters import Counters
from storage.database import Clock, DatabaseNames, Databases, Document, Transactions, utc_now
from storage.deletedusers import DeletedUsers
from storage.dkim import Dkim
from storage.domainaccess import DomainAccess
from storage.domainaliases import DomainAliases
from storage.domainrename import DomainRename
from storage.events import Events
from storage.files import Files
from storage.filters import Filters
from storage.indexes import ensure_indexes, missing_indexes
from storage.journal import Journal
from storage.locks import Locks
from storage.logins import PendingLogins
from storage.mailboxcounts import MailboxCounts
from storage.mailboxes import Mailboxes
from storage.messages import Messages
from storage.notices import Notices
from storage.outbound import Outbound
from storage.queue import Queue
from storage.quota import Quota
from storage.received import Received
from storage.retentionchanges import RetentionChanges
from storage.sealed import Sealed
from storage.secondfactors import SecondFactors
from storage.settings import Settings
from storage.signingkeys import SigningKeys
from storage.tasks import Tasks
from storage.threads import Threads
from storage.tokens import Tokens
from storage.updates import Updates
from storage.users import Users
from storage.watch import Watch
from storage.webhookqueue import WebhookQueue
from storage.webhooks import Webhooks
from storage.wildduck import WildDuck


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
        self.webhookqueue = WebhookQueue(self.databases, clock)
        self.events = Events(self.databases, clock, self.transactions, self.webhooks, self.webhookqueue)
        self.keys = keys or KeyRings()
        self.tasks = Tasks(self.databases, clock)
        self.locks = Locks(self.databases, clock)
        self.settings = Settings(self.databases, clock)
        self.counters = Counters(self.databases, clock)
        self.authlog = AuthLog(self.databases, clock, self.settings)
        self.attempts = Attempts(self.databases, clock)
        self.asps = Asps(self.databases, clock, self.events)
        self.signingkeys = SigningKeys(self.databases)
        self.tokens = Tokens(self.databases, clock)
        self.users = Users(self.databases, clock)
        self.secondfactors = SecondFactors(self.databases, clock, self.events)
        self.logins = PendingLogins(self.databases, clock)
        self.addresses = Addresses(self.databases, clock)
        self.domainrename = DomainRename(self.databases, clock, self.transactions, self.events)
        self.addressregister = AddressRegister(self.databases, clock)
        self.domainaliases = DomainAliases(self.databases, clock, self.transactions, self.events)
        self.domainaccess = DomainAccess(self.databases)
        self.certs = Certs(self.databases, clock, self.tasks, self.keys.certs)
        self.sealed = Sealed(self.databases, self.keys)
        self.dkim = Dkim(self.databases, clock, self.keys.dkim)
        self.journal = Journal(self.databases, clock, self.transactions, self.wildduck)
        self.notices = Notices(self.databases, clock, self.transactions, self.wildduck)
        self.updates = Updates(self.databases, clock)
        self.filters = Filters(self.databases, clock, self.events)
        self.autoreplies = Autoreplies(self.databases, clock, self.transactions, self.events)
        self.mailboxes = Mailboxes(self.databases, clock, self.journal, self.notices, self.events)
        self.mailboxcounts = MailboxCounts(self.databases, clock)
        self.retentionchanges = RetentionChanges(self.mailboxes, self.tasks, self.transactions, clock)
        self.attachments = Attachments(self.databases, clock)
        self.bimi = Bimi(self.databases)
        self.files = Files(self.databases, clock)
        self.threads = Threads(self.databases, clock)
        self.archive = Archive(self.databases, clock, self.settings)
        self.auditfiles = AuditFiles(self.databases, clock)
        self.audits = Audits(self.databases, clock, self.transactions, self.tasks, self.auditfiles)
        self.outbound = Outbound(self.databases, clock)
        self.queue = Queue(self.databases, clock, self.outbound)
        self.received = Received(self.databases, clock)
        self.answered = Answered(self.databases, clock)
        self.messages = Messages(self)
        self.quota = Quota(self.databases)
        self.belongings = Belongings(self.databases)
        self.deletedusers = DeletedUsers(
            self.databases, clock, self.transactions, self.tasks, self.tokens, self.events
        )

    def remove_orphan(self, file_id: bytes) -> bool:
        """Remove an attachment's file and chunks in one step if still nothing refers to it; whether it was removed."""
        return self.transactions.run(lambda session: self.attachments.remove_orphan(file_id, session))

    def backlog(self) -> Backlog:
        """How much waits in the queue and to be done in the background."""
        return read_backlog(self)

    def ensure_indexes(self) -> list[str]:
        """Make the indexes that are missing; returns the names of those made."""
        return ensure_indexes(self.databases)

    def missing_indexes(self) -> list[str]:
        """The names of those."""
        return missing_indexes(self.databases)

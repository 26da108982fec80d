"""All repositories over one MongoDB."""

from __future__ import annotations

from pymongo import MongoClient

from storage.addresses import Addresses
from storage.addressregister import AddressRegister
from storage.archive import Archive
from storage.attachments import Attachments
from storage.authlog import AuthLog
from storage.counters import Counters
from storage.database import Clock, DatabaseNames, Databases, Document, Transactions, utc_now
from storage.domainaccess import DomainAccess
from storage.domainaliases import DomainAliases
from storage.domainrename import DomainRename
from storage.files import Files
from storage.indexes import ensure_indexes
from storage.journal import Journal
from storage.mailboxes import Mailboxes
from storage.messages import Messages
from storage.outbound import Outbound
from storage.settings import Settings
from storage.threads import Threads
from storage.tokens import Tokens
from storage.users import Users


class Store:
    """The one thing that handlers get of the database: a repository per collection."""

    def __init__(
        self,
        client: MongoClient[Document],
        names: DatabaseNames | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.databases = Databases(client, names or DatabaseNames())
        self.clock = clock
        self.transactions = Transactions(self.databases)
        self.settings = Settings(self.databases, clock)
        self.counters = Counters(self.databases, clock)
        self.authlog = AuthLog(self.databases, clock, self.settings)
        self.tokens = Tokens(self.databases, clock)
        self.users = Users(self.databases, clock)
        self.addresses = Addresses(self.databases, clock)
        self.domainrename = DomainRename(self.databases, self.transactions)
        self.addressregister = AddressRegister(self.databases, clock)
        self.domainaliases = DomainAliases(self.databases, clock, self.transactions)
        self.domainaccess = DomainAccess(self.databases)
        self.journal = Journal(self.databases, clock)
        self.mailboxes = Mailboxes(self.databases, clock, self.journal)
        self.attachments = Attachments(self.databases, clock)
        self.files = Files(self.databases)
        self.threads = Threads(self.databases, clock)
        self.archive = Archive(self.databases, clock, self.settings)
        self.outbound = Outbound(self.databases, clock)
        self.messages = Messages(self)

    def ensure_indexes(self) -> list[str]:
        """Make the indexes that are missing; returns the names of those made."""
        return ensure_indexes(self.databases)

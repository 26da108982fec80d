"""One attempt: a recipient and a message, by the way that is theirs."""

from __future__ import annotations

from delivery.relay.hosts import Host, Hosts
from delivery.relay.message import Message
from delivery.relay.post import Poster
from delivery.relay.replies import Reply
from delivery.relay.routes import Post, Route, Routes
from delivery.relay.session import Opener
from delivery.relay.sessions import Sessions
from mail.compose import ascii_address
from storage.queue.queue import Entry


class Carrier:
    """Takes messages to where they belong."""

    def __init__(self, routes: Routes, hosts: Hosts, opener: Opener, poster: Poster | None = None) -> None:
        self.routes = routes
        self._hosts = hosts
        self._poster = poster or Poster(hosts)
        self.sessions = Sessions(opener, self._find)

    def _find(self, route: Route) -> list[Host]:
        if route.domain:
            return self._hosts.of_domain(route.domain)
        return [self._hosts.named(route.host, trusted=route.trusted)]

    def carry(self, entry: Entry, message: Message) -> Reply:
        """Hand a message over for one recipient, whose domain is written in ASCII. Raises Failure."""
        route = self.routes.of(entry)
        if isinstance(route, Post):
            return self._poster.send(route.url, entry.recipient, message)
        return self.sessions.send(route, ascii_address(entry.recipient), message)

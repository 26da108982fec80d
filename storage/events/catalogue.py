"""All events that webhooks get: what each is about, and the fields of its body.

The one table of them: `storage.events.events` emits only what stands here, `docs/events.md` is made of it, and the
tests hold every body against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ID, TEXT, NUMBER, DATE, PERSON, PEOPLE, OBJECT = (
    "id", "text", "number", "date", "{name, address}", "list of {name, address}", "object",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body; parts of an object have a dotted name. `optional` ones are absent where there is nothing."""

    kind: str
    text: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class EventType:
    """When an event is emitted, and its fields besides `id`, `time` and `ev`.

    `by_name_only`: the pattern `*` does not match it.
    """

    when: str
    fields: Mapping[str, Field]
    by_name_only: bool = False

    @property
    def of_account(self) -> bool:
        """Return whether it is about an account; if not, it goes to hooks without an account only."""
        return "user" in self.fields


def _of_user(when: str, **fields: Field) -> EventType:
    return EventType(when, {"user": Field(ID, "The account"), **fields})


_VALUE = Field(TEXT, "The address itself")
_ALIAS = {
    "domainalias": Field(ID, "The alias"),
    "alias": Field(TEXT, "Its name"),
    "domain": Field(TEXT, "The domain it stands for"),
}
_FORWARDED = {"address": Field(ID, "The forwarded address"), "value": _VALUE}
_MAILBOX = {"mailbox": Field(ID, "The mailbox"), "path": Field(TEXT, "Its path")}
_DKIM = {
    "dkim": Field(ID, "The key"),
    "domain": Field(TEXT, "Its domain, `*` for all that have none"),
    "selector": Field(TEXT, "Its selector"),
    "fingerprint": Field(TEXT, "Its fingerprint"),
}
_CERT = {
    "cert": Field(ID, "The entry"),
    "servername": Field(TEXT, "The host name"),
    "fingerprint": Field(TEXT, "Fingerprint of its key; empty if it has none"),
}
_ASP = {"asp": Field(ID, "The application password"), "description": Field(TEXT, "What it is for")}
_DELETED = {
    f"result.{kind}.deleted": Field(NUMBER, f"How many {what} are gone")
    for kind, what in (
        ("mailboxes", "mailboxes"),
        ("asps", "application passwords"),
        ("filters", "filters"),
        ("autoreplies", "autoreplies"),
        ("addressregister", "known addresses"),
    )
}
_MESSAGE = {
    "mailbox": Field(ID, "The mailbox that the message is in now"),
    "message": Field(NUMBER, "Its UID there, the `id` of the API's messages"),
    "thread": Field(ID, "Its thread"),
    "from": Field(PERSON, "The first From, else the first Sender, else empty texts"),
    "to": Field(PEOPLE, "To; a group is `{name, group}`", optional=True),
    "cc": Field(PEOPLE, "Cc", optional=True),
    "bcc": Field(PEOPLE, "Bcc", optional=True),
    "messageId": Field(TEXT, "Message-ID, with angle brackets"),
    "subject": Field(TEXT, "The subject"),
    "date": Field(DATE, "When the message came in"),
    "verificationResults": Field(OBJECT, "What checks of the sender found: tls, spf, dkim, …", optional=True),
}

CATALOGUE: Mapping[str, EventType] = {
    "user.created": _of_user(
        "An account was made, with its mailboxes and its first address.",
        username=Field(TEXT, "Its user name"),
        name=Field(TEXT, "The name of its owner", optional=True),
        address=Field(TEXT, "Its main address, empty if it has none"),
    ),
    "user.password.changed": _of_user("The password was changed; not by `resetUserPassword`."),
    "user.delete.started": _of_user(
        "An account was deleted, or a deleted one was deleted again.",
        **{
            "result.user": Field(ID, "The account"),
            "result.addresses.deleted": Field(NUMBER, "How many addresses went"),
            "result.deleteAfter": Field(DATE, "From when on its data may go"),
            "result.task": Field(ID, "The task that removes its data"),
        },
    ),
    "user.delete.completed": _of_user(
        "The data of a deleted account are gone. After this a hook bound to the account ends.",
        **_DELETED,
        **{
            "result.messages.deleted": Field(NUMBER, "How many messages were marked for deletion"),
            "result.task": Field(ID, "The task"),
        },
    ),
    "user.delete.cancelled": _of_user(
        "A deleted account was brought back.",
        **{
            "result.user": Field(ID, "The account"),
            "result.task": Field(ID, "The task that was taken back", optional=True),
            "result.addresses.recovered": Field(NUMBER, "How many addresses came back"),
            "result.addresses.main": Field(TEXT, "The main one", optional=True),
        },
    ),
    "address.user.created": _of_user(
        "An account got one more address.", address=Field(ID, "The address"), value=_VALUE
    ),
    "address.user.deleted": _of_user(
        "An account lost an address.", address=Field(ID, "The address"), value=_VALUE
    ),
    "address.forwarded.created": EventType("A forwarded address was made.", _FORWARDED),
    "address.forwarded.deleted": EventType("A forwarded address was deleted.", _FORWARDED),
    "address.domain.renamed": EventType(
        "A domain was renamed, with all its addresses.",
        {"previous": Field(TEXT, "Its old name"), "current": Field(TEXT, "Its new name")},
    ),
    "domainalias.created": EventType("A domain alias was made.", _ALIAS),
    "domainalias.deleted": EventType("A domain alias was deleted.", _ALIAS),
    "filter.created": _of_user("A filter was made.", filter=Field(ID, "The filter")),
    "filter.deleted": _of_user(
        "A filter was deleted, by itself or with the mailbox that it files into.",
        filter=Field(ID, "The filter"),
    ),
    "forward added": _of_user(
        "Mail is forwarded to a target that was not there before; one event for each target. "
        "The name has no dot, so that only itself and `*` match.",
        type=Field(TEXT, "`user` or `filter`: whose target it is"),
        filter=Field(ID, "The filter", optional=True),
        target=Field(TEXT, "The target; the password of a URL is masked"),
    ),
    "asp.created": _of_user("An application password was made.", **_ASP),
    "asp.deleted": _of_user("An application password was deleted.", **_ASP),
    "autoreply.user.enabled": _of_user("Automatic answers were switched on."),
    "autoreply.user.disabled": _of_user("Automatic answers were switched off or deleted."),
    "mfa.totp.enabled": _of_user("TOTP was switched on."),
    "mfa.totp.disabled": _of_user("TOTP was switched off."),
    "mfa.custom.enabled": _of_user("The second factor of a site's own was switched on."),
    "mfa.custom.disabled": _of_user("The second factor of a site's own was switched off."),
    "mfa.disabled": _of_user("All second factors were switched off, by `disable2FA` or an update of the account."),
    "mailbox.created": _of_user("A mailbox was made; not those that an account starts with.", **_MAILBOX),
    "mailbox.renamed": _of_user(
        "The path of a mailbox changed.",
        mailbox=Field(ID, "The mailbox"),
        previous=Field(TEXT, "Its old path"),
        current=Field(TEXT, "Its new path"),
    ),
    "mailbox.deleted": _of_user("A mailbox was deleted.", **_MAILBOX),
    "dkim.created": EventType("A domain got a DKIM key, and had none before.", _DKIM),
    "dkim.updated": EventType("The DKIM key of a domain was replaced.", _DKIM),
    "dkim.deleted": EventType("A DKIM key was deleted.", _DKIM),
    "cert.created": EventType("A host name got a certificate, and had no entry before.", _CERT),
    "cert.updated": EventType("The entry of a host name got a certificate.", _CERT),
    "cert.deleted": EventType("The entry of a host name was deleted.", _CERT),
    "message.received": EventType(
        "Mail came in and was stored. WildDuck has no such event, and there are many of them, so `*` does not match: "
        "only `message.*` and the name itself do.",
        {"user": Field(ID, "The account"), **_MESSAGE},
        by_name_only=True,
    ),
    "marked.spam": _of_user("A message that was none became spam: it was moved or restored to Junk.", **_MESSAGE),
    "marked.ham": _of_user(
        "A message is said to be no spam: one from Junk was moved or restored to a mailbox that is neither Junk nor "
        "Trash, or one was flagged or updated with `markHam`.",
        **_MESSAGE,
    ),
}  # fmt: skip

"""An account, its mail and what goes wrong, with the package that openapi-python-client makes of the document."""

import os
from typing import TypeVar

from mallard_client import AuthenticatedClient
from mallard_client.api.mailboxes import get_mailboxes
from mallard_client.api.messages import (
    get_message,
    get_messages,
    search_messages,
    update_message,
    upload_message,
)
from mallard_client.api.submission import submit_message
from mallard_client.api.users import create_user
from mallard_client.models import (
    Address,
    AddressOptionalName,
    CreateUserRequest,
    Error,
    Reference,
    SubmitMessageRequest,
    UpdateMessageRequest,
    UploadMessageRequest,
)

Answer = TypeVar("Answer")

mallard = AuthenticatedClient(
    os.environ.get("MALLARD_URL", "http://127.0.0.1:8080"),
    token=os.environ.get("MALLARD_TOKEN", ""),
    auth_header_name="X-Access-Token",
    prefix="",
)


def taken(answer: Answer | Error | None) -> Answer:
    """The answer, where there is one; every failure has the same shape."""
    if answer is None or isinstance(answer, Error):
        raise RuntimeError(answer and f"{answer.code}: {answer.error}")
    return answer


# An account, and its mailboxes.
account = CreateUserRequest(
    username="grace", password="correct horse battery", address="grace@example.com", name="Grace"
)
user = taken(create_user.sync(client=mallard, body=account)).id
mailboxes = taken(get_mailboxes.sync(user, client=mallard)).results
print("mailboxes:", *[mailbox.special_use or mailbox.path for mailbox in mailboxes])
inbox = next(mailbox.id for mailbox in mailboxes if mailbox.path == "INBOX")

# A message is put in, listed, read, flagged and found.
draft = UploadMessageRequest(
    from_=Address(address="ada@example.org", name="Ada"),
    to=[AddressOptionalName(address="grace@example.com")],
    subject="Compilers",
    text="Dear Grace, do they work?",
    unseen=True,
)
message = taken(upload_message.sync(user, inbox, client=mallard, body=draft)).message.id
listing = taken(get_messages.sync(user, inbox, client=mallard, unseen=True, limit=10))
print("unread:", *[f"{row.id} {row.subject}" for row in listing.results])
read = taken(get_message.sync(user, inbox, message, client=mallard, mark_as_seen=True))
print("read:", read.from_ and read.from_.name, read.text)
change = UpdateMessageRequest(message=str(message), flagged=True)
taken(update_message.sync(user, inbox, client=mallard, body=change))
found = taken(search_messages.sync(user, client=mallard, query="compilers"))
print("found:", *[(row.subject, row.seen, row.flagged) for row in found.results])

# An answer goes out.
reply = SubmitMessageRequest(
    reference=Reference(mailbox=inbox, id=message, action="reply"),
    to=[AddressOptionalName(address="ada@example.org")],
    text="Of course they do.",
)
sent = taken(submit_message.sync(user, client=mallard, body=reply)).message
print("sent:", bool(sent.queue_id))

# What goes wrong has a code.
missing = get_message.sync(user, inbox, 4711, client=mallard)
if isinstance(missing, Error) and missing.code == "MessageNotFound":
    print("failed:", missing.error)

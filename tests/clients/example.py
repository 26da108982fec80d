"""Work with an account and its mail, with the package that openapi-python-client generates."""

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


def checked(answer: Answer | Error | None) -> Answer:
    """Return the answer. Raise RuntimeError if it is an error; all errors have the same shape."""
    if answer is None or isinstance(answer, Error):
        raise RuntimeError(answer and f"{answer.code}: {answer.error}")
    return answer


# Create an account and list its mailboxes.
account = CreateUserRequest(
    username="grace", password="correct horse battery", address="grace@example.com", name="Grace"
)
user = checked(create_user.sync(client=mallard, body=account)).id
mailboxes = checked(get_mailboxes.sync(user, client=mallard)).results
print("mailboxes:", *[mailbox.special_use or mailbox.path for mailbox in mailboxes])
inbox = next(mailbox.id for mailbox in mailboxes if mailbox.path == "INBOX")

# Upload, list, read, flag and find a message.
draft = UploadMessageRequest(
    from_=Address(address="ada@example.org", name="Ada"),
    to=[AddressOptionalName(address="grace@example.com")],
    subject="Compilers",
    text="Dear Grace, do they work?",
    unseen=True,
)
message = checked(upload_message.sync(user, inbox, client=mallard, body=draft)).message.id
listing = checked(get_messages.sync(user, inbox, client=mallard, unseen=True, limit=10))
print("unread:", *[f"{row.id} {row.subject}" for row in listing.results])
read = checked(get_message.sync(user, inbox, message, client=mallard, mark_as_seen=True))
print("read:", read.from_ and read.from_.name, read.text)
change = UpdateMessageRequest(message=str(message), flagged=True)
checked(update_message.sync(user, inbox, client=mallard, body=change))
found = checked(search_messages.sync(user, client=mallard, query="compilers"))
print("found:", *[(row.subject, row.seen, row.flagged) for row in found.results])

# Send a reply.
reply = SubmitMessageRequest(
    reference=Reference(mailbox=inbox, id=message, action="reply"),
    to=[AddressOptionalName(address="ada@example.org")],
    text="Of course they do.",
)
sent = checked(submit_message.sync(user, client=mallard, body=reply)).message
print("sent:", bool(sent.queue_id))

# Handle an error by its code.
missing = get_message.sync(user, inbox, 4711, client=mallard)
if isinstance(missing, Error) and missing.code == "MessageNotFound":
    print("failed:", missing.error)

"""What a type checker must refuse; it complains about each `type: ignore` that there is no need for."""

from mallard_client import AuthenticatedClient
from mallard_client.api.mailboxes import get_mailboxes
from mallard_client.api.messages import get_message, get_messages
from mallard_client.models import CreateUserRequest, Error

mallard = AuthenticatedClient("http://127.0.0.1:8080", token="")
user, mailbox = "5d48a1f5fd1a4d1be0d4a1c1", "5d48a1f5fd1a4d1be0d4a1c2"

# No such field, and a required one is missing.
CreateUserRequest("ada", "correct horse", adress="ada@example.com")  # type: ignore[call-arg]
CreateUserRequest("ada")  # type: ignore[call-arg]

# No such parameter, and one of another type.
get_messages.sync(user, mailbox, client=mallard, unread=True)  # type: ignore[call-arg]
get_message.sync(user, mailbox, "first", client=mallard)  # type: ignore[arg-type]

# An answer may be a failure, and has no field that the document does not name.
answer = get_mailboxes.sync(user, client=mallard)
print(answer.results)  # type: ignore[union-attr]
if answer and not isinstance(answer, Error):
    print(answer.mailboxes)  # type: ignore[attr-defined]

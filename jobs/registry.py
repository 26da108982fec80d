"""Which function does which kind of task. Kinds that are not here are left to WildDuck's runners."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jobs.audit import copy_existing
from jobs.clear_mailbox import clear_mailbox
from jobs.mailbox_retention import date_anew
from jobs.progress import Progress
from jobs.quota import recount_all
from jobs.restore import restore_deleted
from jobs.search_apply import apply_to_found
from jobs.user_delete import delete_user
from storage.base.database import Document
from storage.store import Store

Job = Callable[[Store, Document, Progress], None]

JOBS: Mapping[str, Job] = {
    "audit": copy_existing,
    "clear-folder": clear_mailbox,
    "mailbox-retention": date_anew,
    "quota": recount_all,
    "restore": restore_deleted,
    "search-apply": apply_to_found,
    "user-delete": delete_user,
}

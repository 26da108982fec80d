"""`audit`: copies what an account has into an audit; new mail is copied as it is stored."""

from __future__ import annotations

from bson import ObjectId

from jobs.progress import Progress, Stopped, TaskData
from storage.base.database import Document
from storage.base.tasks import LeaseLost
from storage.messages.audit_import import PLACES, AuditOver, next_after
from storage.store import Store


def copy_existing(store: Store, data: TaskData, progress: Progress) -> None:
    """Step by step; what is copied is not copied again. Ends quietly when the audit is over."""
    audit = store.audits.running(ObjectId(data["audit"]))
    if not audit:
        return
    work = _Work(store, audit, progress)
    try:
        store.audits.note_import(audit["_id"], "importing")
        work.run()
    except (Stopped, LeaseLost):
        raise
    except AuditOver:
        return
    except Exception:
        store.audits.note_import(audit["_id"], "failed")
        raise
    store.audits.note_import(audit["_id"], "imported")


class _Work:
    """Where the job stands, and what could not be copied so far."""

    def __init__(self, store: Store, audit: Document, progress: Progress) -> None:
        self._store = store
        self._audit = audit
        self._import = store.audit_import(audit)
        self._progress = progress
        resume = progress.resume
        self._place, self._after = resume.get("place", 0), resume.get("after")
        self._done = int(resume.get("done", 0))
        self._failed: list[ObjectId] = list(resume.get("failed", ()))

    def run(self) -> None:
        """Through all places from where the last step ended."""
        while self._place < len(PLACES):
            while threads := self._import.threads(PLACES[self._place], self._after):
                self._copy(PLACES[self._place], threads)
                self._after = next_after(threads)
                self._step()
            self._place, self._after = self._place + 1, None
            self._step()

    def _copy(self, place: str, threads: list[ObjectId | None]) -> None:
        for batch in self._import.batches(place, threads):
            failed = [message for message in self._import.copy(place, batch) if message not in self._failed]
            if failed:
                self._failed += failed
                self._store.audits.note_import(self._audit["_id"], "importing", len(self._failed))
            self._done += len(batch)
            self._step()

    def _step(self) -> None:
        resume = {"place": self._place, "after": self._after, "done": self._done, "failed": self._failed}
        self._progress.step(resume, self._done)

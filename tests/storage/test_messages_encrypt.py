"""Messages at rest, encrypted for their owner."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import gnupg
import pytest
from pymongo.errors import OperationFailure

from problems import Problem
from storage.messages.uid_set import UidSet
from storage.store import Store
from tests.rows import Row, change_user
from tests.storage.conftest import Account, message, with_attachment


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> gnupg.GPG:
    gpg = gnupg.GPG(gnupghome=str(tmp_path_factory.mktemp("gpg")))
    wanted = gpg.gen_key_input(
        key_type="RSA", key_length=2048, subkey_type="RSA", subkey_length=2048, name_real="Ada",
        name_email="ada@example.com", name_comment="", no_protection=True,
    )  # fmt: skip
    gpg.gen_key(wanted)
    return gpg


@pytest.fixture
def key(gpg: gnupg.GPG) -> str:
    return str(gpg.export_keys(gpg.list_keys()[0]["fingerprint"]))


def source(account: Account, row: Row) -> bytes:
    found = account.store.messages.find(account.id, row["mailbox"], row["uid"])
    return b"".join(account.store.messages.source(found))


def decrypted(gpg: gnupg.GPG, raw: bytes) -> bytes:
    start, end = raw.index(b"-----BEGIN PGP MESSAGE"), raw.index(b"-----END PGP MESSAGE-----") + 25
    return bytes(gpg.decrypt(raw[start:end]).data)


def test_what_an_account_gets_is_encrypted(store: Store, gpg: gnupg.GPG, key: str) -> None:
    ada = Account(store, pubKey=key, encryptMessages=True)
    raw = with_attachment(subject="Secret plan")
    stored = ada.add(raw)
    assert decrypted(gpg, source(ada, stored)) == raw
    assert stored["subject"] == "Secret plan"
    assert not {"text", "html", "intro"} & stored.keys()
    ada.check()


def test_drafts_and_what_is_encrypted_already_stay(store: Store, gpg: gnupg.GPG, key: str) -> None:
    ada = Account(store, pubKey=key, encryptMessages=True)
    assert source(ada, ada.add(message(), flags=["\\Draft"])) == message()
    once = source(ada, ada.add(message()))
    assert source(ada, ada.add(once)) == once


def test_without_a_key_nothing_is_encrypted(store: Store) -> None:
    ada = Account(store, encryptMessages=True)
    assert source(ada, ada.add(message())) == message()


def test_a_key_that_fails_refuses_the_message(store: Store) -> None:
    ada = Account(store, pubKey="no key", encryptMessages=True)
    with pytest.raises(Problem, match="EncryptionFailed"):
        ada.add(message())
    assert ada.all("messages") == []
    ada.check()


def test_what_moves_into_an_encrypting_mailbox(account: Account, gpg: gnupg.GPG, key: str) -> None:
    change_user(account.store, account.id, {"pubKey": key})
    secret = account.store.mailboxes.create(account.id, "Secret", {"encryptMessages": True}, 100)
    raw = with_attachment(content=b64encode(account.id.binary * 50).decode())  # of this test alone
    first, second = account.add(raw), account.add(message("Kept"))
    moved = account.store.message_changes.move(account.id, first["mailbox"], secret, UidSet.parse("1"), {})
    assert moved == [(1, 1)]
    row = next(row for row in account.all("messages") if row["_id"] == first["_id"])
    assert decrypted(gpg, source(account, row)) == raw
    assert (row["thread"], row["msgid"], row["subject"]) == (first["thread"], first["msgid"], "Files")
    assert source(account, second) == message("Kept")
    files = {f["_id"]: f["metadata"]["c"] for f in account.store.databases.gridfs["attachments.files"].find()}
    assert all(files[file_id] > 0 for file_id in row["mimeTree"]["attachmentMap"].values())
    assert files[next(iter(first["mimeTree"]["attachmentMap"].values()))] == 0
    account.check()


def test_a_move_that_cannot_be_encrypted_moves_nothing(account: Account) -> None:
    change_user(account.store, account.id, {"pubKey": "no key"})
    secret = account.store.mailboxes.create(account.id, "Secret", {"encryptMessages": True}, 100)
    first = account.add()
    with pytest.raises(Problem, match="EncryptionFailed"):
        account.store.message_changes.move(account.id, first["mailbox"], secret, UidSet.parse("1"), {})
    assert account.all("messages")[0]["mailbox"] == first["mailbox"]
    account.check()


def test_files_stay_when_nobody_knows_whether_the_encrypted_form_is_stored(
    store: Store, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit whose answer was lost may have happened; the text of the message must not be cleaned away."""
    ada, run = Account(store, pubKey=key), store.transactions.run
    secret = store.mailboxes.create(ada.id, "Secret", {"encryptMessages": True}, 100)
    first = ada.add()

    def lose_the_answer(steps: Callable[..., Any]) -> None:
        run(steps)
        raise OperationFailure("lost", 64, {"errorLabels": ["UnknownTransactionCommitResult"]})

    monkeypatch.setattr(store.transactions, "run", lose_the_answer)
    with pytest.raises(OperationFailure):
        store.message_changes.move(ada.id, first["mailbox"], secret, UidSet.parse("1"), {})
    files = ada.all("messages")[0]["mimeTree"]["attachmentMap"].values()
    assert [store.attachments.file(file_id)["metadata"]["c"] > 0 for file_id in files] == [True, True]

"""Operations that are still to come: what is said of them is so, and they only become fewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bson import ObjectId
from flask import Flask

from handlers.pending import PENDING
from server.contract import Contract
from storage.store import Store
from tests.conftest import Client
from tests.contract.valid_requests import send

# Take out what is done. Nothing is ever added.
AT_MOST = frozenset(
    {
        "createASP", "createForwardedAddress", "createWebhook",
        "deleteASP", "deleteDkimKey", "deleteFile", "deleteForwardedAddress",
        "deleteMessagesInMailbox", "deleteTlsCert", "deleteUserAddress", "deleteWebhook",
        "getASP",
        "getASPs", "getAddresses", "getArchivedMessages",
        "getAuthlog", "getAuthlogEvent", "getDkimKey", "getDkimKeys", "getFile", "getFiles",
        "getForwardedAddress", "getTLSCerticate", "getTLSCerticates", "getUpdates",
        "getUserAddress", "getUserAddressregister", "getWebhooks",
        "renameDomain", "resolveDkim", "resolveTLSCertificate",
        "restoreMessage", "restoreMessages", "searchApplyMessages",
        "updateDkimKey", "updateForwardedAddress",
        "updateTLSCertificate", "updateUserAddress", "uploadFile",
    }
)  # fmt: skip


def test_the_list_only_shrinks() -> None:
    assert sorted(PENDING - AT_MOST) == []


def test_those_document_a_501_and_no_others(contract: Contract) -> None:
    documented = {operation.operation_id for operation in contract.operations if "501" in operation.responses}
    assert sorted(documented) == sorted(PENDING)


def test_those_answer_501_and_no_others(
    app: Flask, store: Store, contract: Contract, make_user: Callable[..., ObjectId]
) -> None:
    make_user("ada")
    auditor = store.tokens.provision("auditor", "audit", secret="a secret cat")
    clients = {None: Client(app), "audit": Client(app, auditor)}
    statuses: dict[str, Any] = {}
    for operation in contract.operations:
        client = clients["audit" if operation.access.resource == "audit" else None]
        user = store.users.by_username("ada") or {"_id": make_user("ada")}
        statuses[operation.operation_id] = send(client, operation, str(user["_id"])).status_code
    assert sorted(name for name, status in statuses.items() if status == 501) == sorted(PENDING)

"""Operations of the contract that are still to come; they answer 501. The list only shrinks."""

from __future__ import annotations

from typing import Any, NoReturn

from problems import Problem

PENDING: frozenset[str] = frozenset(
    {
        "checkTotp2FA",
        "createAudit",
        "createFilter",
        "createWebhook",
        "deleteAutoreply",
        "deleteDkimKey",
        "deleteFile",
        "deleteFilter",
        "deleteTlsCert",
        "deleteWebhook",
        "disable2FA",
        "disableCustom2FA",
        "disableTotp2FA",
        "enableCustom2FA",
        "enableTotp2FA",
        "getAllFilters",
        "getArchivedMessages",
        "getAudit",
        "getAuditEmails",
        "getAutoreply",
        "getDkimKey",
        "getDkimKeys",
        "getFile",
        "getFiles",
        "getFilter",
        "getFilters",
        "getTLSCerticate",
        "getTLSCerticates",
        "getUpdates",
        "getWebhooks",
        "resolveDkim",
        "resolveTLSCertificate",
        "restoreMessage",
        "restoreMessages",
        "searchApplyMessages",
        "setupTotp2FA",
        "updateAutoreply",
        "updateDkimKey",
        "updateFilter",
        "updateTLSCertificate",
        "uploadFile",
        "deleteMessagesInMailbox",
    }
)


def not_implemented(**_: Any) -> NoReturn:
    """Answer 501 after token, input and rights were checked like anywhere else."""
    raise Problem("NotImplemented")

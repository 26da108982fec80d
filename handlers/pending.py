"""Operations of the contract that are still to come; they answer 501. The list only shrinks."""

from __future__ import annotations

from typing import Any, NoReturn

from problems import Problem

PENDING: frozenset[str] = frozenset(
    {
        "checkTotp2FA",
        "createASP",
        "createAudit",
        "createFilter",
        "createWebhook",
        "deleteASP",
        "deleteAutoreply",
        "deleteDkimKey",
        "deleteFile",
        "deleteFilter",
        "deleteTlsCert",
        "deleteUser",
        "deleteWebhook",
        "disable2FA",
        "disableCustom2FA",
        "disableTotp2FA",
        "enableCustom2FA",
        "enableTotp2FA",
        "getASP",
        "getASPs",
        "getAllFilters",
        "getArchivedMessages",
        "getAudit",
        "getAuditEmails",
        "getAuthlog",
        "getAuthlogEvent",
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
        "logoutUser",
        "recalculateQuota",
        "recalculateQuotaAllUsers",
        "resetUserPassword",
        "resolveDkim",
        "resolveTLSCertificate",
        "restoreMessage",
        "restoreMessages",
        "restoreUser",
        "restoreUserInfo",
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

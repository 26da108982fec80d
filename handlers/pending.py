"""Operations of the contract that are still to come; they answer 501. The list only shrinks."""

from __future__ import annotations

from typing import Any, NoReturn

from problems import Problem

PENDING: frozenset[str] = frozenset(
    {
        "checkTotp2FA",
        "createASP",
        "createAllowedDomain",
        "createAudit",
        "createBlockedDomain",
        "createDomainAlias",
        "createFilter",
        "createSetting",
        "createWebhook",
        "deleteASP",
        "deleteAutoreply",
        "deleteDkimKey",
        "deleteDomainAlias",
        "deleteDomainListing",
        "deleteFile",
        "deleteFilter",
        "deleteOutboundMessage",
        "deleteSetting",
        "deleteTlsCert",
        "deleteUser",
        "deleteWebhook",
        "disable2FA",
        "disableCustom2FA",
        "disableTotp2FA",
        "enableCustom2FA",
        "enableTotp2FA",
        "forwardStoredMessage",
        "getASP",
        "getASPs",
        "getAllFilters",
        "getAllowedDomain",
        "getArchivedMessages",
        "getAudit",
        "getAuditEmails",
        "getAuthlog",
        "getAuthlogEvent",
        "getAutoreply",
        "getBlockedDomain",
        "getDkimKey",
        "getDkimKeys",
        "getDomainAlias",
        "getDomainAliases",
        "getFile",
        "getFiles",
        "getFilter",
        "getFilters",
        "getSetting",
        "getSettings",
        "getTLSCerticate",
        "getTLSCerticates",
        "getUpdates",
        "getWebhooks",
        "logoutUser",
        "recalculateQuota",
        "recalculateQuotaAllUsers",
        "resetUserPassword",
        "resolveDkim",
        "resolveDomainAlias",
        "resolveTLSCertificate",
        "restoreMessage",
        "restoreMessages",
        "restoreUser",
        "restoreUserInfo",
        "searchApplyMessages",
        "setupTotp2FA",
        "submitStoredMessage",
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

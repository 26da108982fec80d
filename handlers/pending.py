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
        "createForwardedAddress",
        "createSetting",
        "createWebhook",
        "deleteASP",
        "deleteAutoreply",
        "deleteDkimKey",
        "deleteDomainAlias",
        "deleteDomainListing",
        "deleteFile",
        "deleteFilter",
        "deleteForwardedAddress",
        "deleteSetting",
        "deleteTlsCert",
        "deleteUserAddress",
        "deleteWebhook",
        "disable2FA",
        "disableCustom2FA",
        "disableTotp2FA",
        "enableCustom2FA",
        "enableTotp2FA",
        "getASP",
        "getASPs",
        "getAddresses",
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
        "getForwardedAddress",
        "getSetting",
        "getSettings",
        "getTLSCerticate",
        "getTLSCerticates",
        "getUpdates",
        "getUserAddress",
        "getUserAddressregister",
        "getWebhooks",
        "renameDomain",
        "resolveDkim",
        "resolveDomainAlias",
        "resolveTLSCertificate",
        "restoreMessage",
        "restoreMessages",
        "searchApplyMessages",
        "setupTotp2FA",
        "updateAutoreply",
        "updateDkimKey",
        "updateFilter",
        "updateForwardedAddress",
        "updateTLSCertificate",
        "updateUserAddress",
        "uploadFile",
        "deleteMessagesInMailbox",
    }
)


def not_implemented(**_: Any) -> NoReturn:
    """Answer 501 after token, input and rights were checked like anywhere else."""
    raise Problem("NotImplemented")

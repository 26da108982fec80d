"""What an operation asks for, and which operations make it: two tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# What there can be: the operation whose example makes it, the names its answer gives to paths and bodies,
# and, where there are several, by the type of the body which example it is.
THINGS = """
account     createUser              user=id id=id
deleted     deleteUser
session     authenticate            session=token
address     createUserAddress       address=id
forwarded   createForwardedAddress  address=id
asp         createASP               asp=id
autoreply   updateAutoreply
mailbox     createMailbox           mailbox=id
draft       uploadMessage           message=message.id
mail        uploadMessage           message=message.id     message/rfc822
removed     deleteMessage
archived    getArchivedMessages     message=results.0.id
sent        submitMessage           queueId=message.queueId
file        uploadFile              file=id
filter      createFilter            filter=id
event       getAuthlog              event=results.0.id
seed        setupTotp2FA            seed=seed
totp        enableTotp2FA
nonce       authenticate            totpNonce=totpNonce
custom2fa   enableCustom2FA
audit       createAudit             audit=id
cert        updateTLSCertificate    cert=id
dkim        updateDkimKey           dkim=id
allowed     createAllowedDomain     domain=id
blocked     createBlockedDomain     domain=id
alias       createDomainAlias       alias=id
setting     createSetting
webhook     createWebhook           webhook=id
"""

# What must be there before an operation, beside what that needs in turn; nothing where it stands alone.
NEEDS = """
getAddresses             address forwarded
getUserAddresses         address
getUserAddress           address
getUserAddressregister   sent
createUserAddress        account
updateUserAddress        address
deleteUserAddress        address
createForwardedAddress
updateForwardedAddress   forwarded
deleteForwardedAddress   forwarded
getForwardedAddress      forwarded
resolveAddress           forwarded
renameDomain             account dkim
getASPs                  asp
getASP                   asp
createASP                account
deleteASP                asp
getArchivedMessages      removed
restoreMessage           archived
restoreMessages          removed
createAudit              account
getAudit                 audit
getAuditEmails           mail audit
authenticate             account
invalidateAccessToken    session
getAuthlog               account
getAuthlogEvent          event
getAutoreply             autoreply
updateAutoreply          account
deleteAutoreply          autoreply
getTLSCerticates         cert
getTLSCerticate          cert
resolveTLSCertificate    cert
updateTLSCertificate
deleteTlsCert            cert
getDkimKeys              dkim
getDkimKey               dkim
resolveDkim              dkim
updateDkimKey
deleteDkimKey            dkim
getAllowedDomain         allowed
getBlockedDomain         blocked
createAllowedDomain
createBlockedDomain
deleteDomainListing      blocked
getDomainAliases         alias
getDomainAlias           alias
resolveDomainAlias       alias
createDomainAlias
deleteDomainAlias        alias
getAllFilters            filter
getFilters               filter
getFilter                filter
createFilter             mailbox
updateFilter             filter
deleteFilter             filter
getMailboxes             mailbox
getMailbox               mailbox
createMailbox            account
updateMailbox            mailbox
deleteMailbox            mailbox
getMessages              mail
getMessage               mail
getMessageSource         mail
searchMessages           mail
getMessageAttachment     mail
updateMessage            mail
searchApplyMessages      mail
deleteMessage            mail
deleteMessagesInMailbox  mail
deleteOutboundMessage    sent
uploadMessage            mailbox
forwardStoredMessage     mail
submitStoredMessage      draft
getFiles                 file
getFile                  file
uploadFile               account
deleteFile               file
submitMessage            account
setupTotp2FA             account
enableTotp2FA            seed
disableTotp2FA           totp
enableCustom2FA          account
disableCustom2FA         custom2fa
disable2FA               totp
checkTotp2FA             totp nonce
getUsers                 account
createUser
resolveUser              account
getUser                  account
getUpdates               account
restoreUserInfo          deleted
logoutUser               account
updateUser               account
recalculateQuota         mail
restoreUser              deleted
recalculateQuotaAllUsers mail
resetUserPassword        account
deleteUser               address
getWebhooks              webhook
createWebhook
deleteWebhook            webhook
getSettings              setting
getSetting               setting
createSetting
deleteSetting            setting
"""


@dataclass(frozen=True, slots=True)
class Thing:
    """How a thing is made: by which operation, which names stand where in its answer, the type of the example."""

    operation: str
    gives: Mapping[str, str]
    content_type: str | None = None


def _read_thing(operation: str, *rest: str) -> Thing:
    gives = dict(part.split("=") for part in rest if "=" in part)
    return Thing(operation, gives, next((part for part in rest if "/" in part), None))


_MADE: Mapping[str, Thing] = {
    line.split()[0]: _read_thing(*line.split()[1:]) for line in THINGS.strip().splitlines()
}
NEEDED: Mapping[str, list[str]] = {line.split()[0]: line.split()[1:] for line in NEEDS.strip().splitlines()}


def needed_by(operation: str, also: Sequence[str] = ()) -> dict[str, Thing]:
    """The things that must be there before an operation, and more, in the order in which they can be made."""
    found: dict[str, Thing] = {}
    for name in (*also, *NEEDED[operation]):
        found |= {
            thing: made for thing, made in needed_by(_MADE[name].operation).items() if thing not in found
        }
        found.setdefault(name, _MADE[name])
    return found

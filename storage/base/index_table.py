"""All indexes, by WildDuck's names, keys and options."""

from __future__ import annotations

from typing import Any

_UNIQUE, _SPARSE, _EXPIRES = {"unique": True}, {"sparse": True}, {"expireAfterSeconds": 0}


def _partial(**wanted: Any) -> dict[str, Any]:
    return {"partialFilterExpression": wanted}


# `addresses.address_targets` and `addressregister.completion` are Mallard's own: what is searched for stands in them.
# `messages.mallard_tokenless` holds what has no such words yet; `messages.mallard_unseen` is for pages of the unseen.
# So are `filters.user_order`, `archived.user_archived_order`, `audit_files_export`, `webhooks.type_paging` and
# `user_paging`, for pages, and the unique ones of `mallard.` fields: `filters.slot`, `autoreplies.one`.
# So are `zone-queue.turns`, which leads the relay from domain to domain, and `leases`.
# `webhooks` and `authlog.user_by_ip`: WildDuck makes the former in `main` while its data is in `users`, and the
# latter can match nothing. Both are made as WildDuck makes them, and again so that they serve.
# role → collection → name → keys (`field` ascending, `-field` descending, `#field` hashed, `~field` text), options
INDEXES: dict[str, dict[str, dict[str, tuple[str, dict[str, Any]]]]] = {
    "users": {
        "users": {
            "users": ("username", {}),
            "users_dotless": ("unameview", _UNIQUE),
            "show_new": ("-created", {}),
            "users_tags": ("tagsview", _SPARSE),
            "users_tags_paging": ("tagsview _id", _SPARSE),
        },
        "addresses": {
            "address_dotless": ("addrview", _UNIQUE),
            "address_tags": ("tagsview", _SPARSE),
            "address_paging": ("addrview _id", {}),
            "address_targets": ("targets.value", _SPARSE),
            "user": ("user", {}),
        },
        "domainaliases": {"domainalias": ("alias", _UNIQUE), "domainlist": ("domain", {})},
        "asps": {
            "asps_user": ("user", {}),
            "asps_slot": ("user slot", {**_UNIQUE, **_partial(slot={"$gte": 0})}),
            "entry_autoexpire": ("expires", _EXPIRES),
        },
        "authlog": {
            "user": ("user -_id", {}),
            "insert": ("user created key", {}),
            "user_by_ip": ("user ip -_id", _partial(ip=True)),
            "user_by_known_ip": ("user ip -_id", _partial(ip={"$gt": ""})),
            "user_by_action": ("user action -_id", {}),
            "bucket": ("user bucket", {**_UNIQUE, **_partial(bucket={"$gt": ""})}),
            "by_ip": ("ip", _SPARSE),
            "user_hashed": ("#user", {}),
            "entry_autoexpire": ("expires", _EXPIRES),
        },
        "domaincache": {"by_domain": ("domain", _UNIQUE)},
        "deletedusers": {
            "deletedusers_dotless": ("unameview", {}),
            "deletedusers_address": ("address", {}),
            "deletedusers_addresses": ("deleteInfo.addresses.addrview", {}),
        },
        "webhooks": {
            "by_type": ("type user", {}),
            "by_user_type": ("user type", {}),
            "type_paging": ("type _id", {}),
            "user_paging": ("user _id", {}),
        },
        "accesstokens": {"by_user": ("user -created", {}), "entry_autoexpire": ("expires", _EXPIRES)},
        "pending2fa": {"entry_autoexpire": ("expires", _EXPIRES)},
    },
    "main": {
        "filters": {
            "user": ("user", {}),
            "user_order": ("user _id", {}),
            "forward_target": ("action.targets.value", {}),
            "slot": ("user mallard.slot", {**_UNIQUE, **_partial(**{"mallard.slot": {"$gte": 0}})}),
        },
        "domainaccess": {"by_tag": ("tagview action domain", {})},
        "autoreplies": {
            "autoreply": ("user start end", {}),
            "one": ("mallard.user", {**_UNIQUE, **_partial(**{"mallard.user": {"$exists": True}})}),
        },
        "mailboxes": {
            "user_path": ("user path", _UNIQUE),
            "user_subscribed": ("user subscribed", {}),
            "find_by_type": ("user specialUse", {}),
        },
        "messages": {
            "mailbox_uid_shard": ("_id mailbox uid", {}),
            "user_messages_by_thread": ("user thread", {}),
            "mailbox_uid": ("mailbox uid _id", {}),
            "mailbox_uid_reverse": ("mailbox -uid -_id", {}),
            "mailbox_modseq_uid": ("mailbox modseq uid", {}),
            "mailbox_flags": ("mailbox flags", {}),
            "by_idate": ("mailbox idate", {}),
            "by_idate_reverse_uid": ("mailbox -idate -_id", {}),
            "by_idate_reverse_thread": ("mailbox -idate -_id thread uid", {}),
            "by_hdate": ("mailbox hdate msgid", {}),
            "by_size": ("mailbox size", {}),
            "by_headers": ("mailbox headers.key headers.value", {}),
            "fulltext": ("user ~headers.value ~text", _partial(searchable=True)),
            "mailbox_unseen_flag": ("mailbox unseen", {}),
            "user_unseen_flag": ("user unseen", _partial(searchable=True)),
            "mallard_unseen": ("mailbox unseen -idate -_id", {}),
            "mailbox_undeleted_flag": ("mailbox undeleted", {}),
            "mailbox_flagged_flag": ("mailbox flagged", {}),
            "user_flagged_flag": ("user flagged", {}),
            "user_searchable_flag": ("user searchable", {}),
            "mailbox_draft_flag": ("mailbox draft", {}),
            "has_attachment": ("mailbox ha", {}),
            "retention_time": ("exp rdate", _partial(exp=True)),
            "mallard_search": ("user mallard.search", {}),
            "mallard_tokenless": ("user _id", _partial(**{"mallard.search": None})),
        },
        "addressregister": {
            "by_address": ("user addrview -updated", {}),
            "by_user_disabled_partial": ("user -updated", _partial(disabled=False)),
            "by_user_disabled": ("user disabled", {}),
            "completion": ("user -updated address name disabled", {}),
        },
        "archived": {
            "user_messages": ("user _id", {}),
            "user_messages_desc": ("user -_id", {}),
            "user_messages_by_thread": ("user thread", {}),
            "user_messages_archived": ("user archived", {}),
            "user_archived_order": ("user archived _id", {}),
            "retention_time": ("exp rdate", _partial(exp=True)),
        },
        "journal": {
            "mailbox_modseq": ("mailbox modseq", {}),
            "user_limit_id": ("user _id", {}),
            "user_limit_id_reverse": ("user -_id", {}),
            "journal_autoexpire": ("created", {"expireAfterSeconds": 10_800}),
        },
        "threads": {
            "thread_shard": ("#user", {}),
            "thread": ("user ids", {}),
            "thread_autoexpire": ("updated", {"expireAfterSeconds": 15_552_000}),
        },
        "tasks": {
            "task": ("locked lockedUntil", {}),
            "task_due": ("lockedUntil _id", {}),
            "task_data_user": ("task data.user", {}),
            "clear_folder_task": (
                "task data.user data.mailbox",
                {**_UNIQUE, **_partial(task="clear-folder")},
            ),
        },
        "finishedtasks": {"entry_autoexpire": ("expires", _EXPIRES)},
        "certs": {
            "servername": ("servername", _UNIQUE),
            "servername_version": ("servername v", {}),
            "servername_alt": ("altNames v", {}),
            "renewal_check": ("acme expires _acme.lastRenewalCheck", {}),
            "garbage_check": ("acme updated expires autogenerated", {}),
        },
        "dkim": {"dkim_paging": ("domain _id", {}), "dkim_primary": ("domain", _UNIQUE)},
        "audits": {"user_expire_time": ("user expires", {}), "expire_time": ("expires deleted", {})},
        "bimi": {"by_type": ("type url", _UNIQUE)},
        "webhooks": {"by_type": ("type user", {}), "by_user_type": ("user type", {})},
        "settings": {"key_unique": ("key enumerable", _UNIQUE), "enumerable_key": ("enumerable key", {})},
        "counters": {"entry_autoexpire": ("expires", _EXPIRES)},
        "eventorder": {"entry_autoexpire": ("expires", _EXPIRES)},
        "webhookqueue": {
            "lane_order": ("lane n", _partial(lane={"$gt": ""})),
            "fresh": ("fresh _id", _partial(fresh=True)),
            "waiting": ("hook since", _partial(lane={"$gt": ""})),
            "dead": ("died _id", _partial(died={"$type": "date"})),
            "entry_autoexpire": ("expires", _EXPIRES),
        },
        "webhooklanes": {"due": ("due target", {}), "by_hook": ("hook", {})},
        "updates": {"user_order": ("user n", _UNIQUE), "entry_autoexpire": ("expires", _EXPIRES)},
        "notices": {"entry_autoexpire": ("expires", _EXPIRES)},
        "received": {"entry_autoexpire": ("expires", _EXPIRES)},
        "answered": {"entry_autoexpire": ("expires", _EXPIRES)},
    },
    "gridfs": {
        "storage.files": {
            "storage_id_hashed": ("#_id", {}),
            "user_files": ("metadata.user filename", {}),
            "user_files_paging": ("metadata.user filename _id", {}),
            "user_file_sizes": ("metadata.user length", {}),
        },
        "storage.chunks": {"chunks_shard": ("#files_id", {}), "files_id_1_n_1": ("files_id n", _UNIQUE)},
        "attachments.files": {
            "attachment_id_hashed": ("#_id", {}),
            "related_attachments_cu": ("metadata.c metadata.m metadata.cu", {}),
        },
        "attachments.chunks": {"chunks_shard": ("#files_id", {}), "files_id_1_n_1": ("files_id n", _UNIQUE)},
        "audit.files": {
            "audit_id_hashed": ("#_id", {}),
            "audit_files": ("metadata.audit metadata.date", {}),
            "audit_files_export": ("metadata.audit metadata.date _id", {}),
            "audit_files_queue": ("metadata.info.queueId", {}),
            "audit_files_expire": ("metadata.info.expires", {}),
            "audit_files_addresses": (
                "metadata.audit metadata.addresses.type metadata.addresses.name metadata.addresses.address",
                {},
            ),
            "audit_files_subject": ("metadata.subject", {}),
        },
        "audit.chunks": {"audit_shard": ("#files_id", {}), "files_id_1_n_1": ("files_id n", _UNIQUE)},
    },
    "sender": {
        "zone-queue": {
            "claim": ("sendingZone queued locked assigned domain", {}),
            "queued": ("queued", {}),
            "created": ("created", {}),
            "by_id": ("id seq", {}),
            "locks": ("locked assigned lockTime", {}),
            "turns": ("sendingZone locked assigned domain queued", {}),
            "leases": ("mallard.until", _SPARSE),
        },
        "mail.files": {"by_filename": ("filename", {}), "by_upload": ("uploadDate", {})},
        "mail.chunks": {"files_id_1_n_1": ("files_id n", _UNIQUE)},
    },
}

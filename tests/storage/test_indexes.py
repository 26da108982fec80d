"""Indexes: WildDuck's names, keys and options, beside which it can run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from storage.base.database import DatabaseNames, Databases
from storage.base.indexes import ensure_indexes


@pytest.fixture
def databases(mongo: MongoClient[dict[str, Any]]) -> Iterator[Databases]:
    names = DatabaseNames(main="test_indexes", users="test_indexes_users")
    yield Databases(mongo, names)
    for name in (names.main, names.users):
        mongo.drop_database(name)


def test_made_once_with_names_keys_and_options(databases: Databases) -> None:
    made = ensure_indexes(databases)
    assert len(made) > 90
    assert ensure_indexes(databases) == []
    messages = databases.main["messages"].index_information()
    assert messages["mailbox_uid"]["key"] == [("mailbox", 1), ("uid", 1), ("_id", 1)]
    assert messages["by_idate_reverse_uid"]["key"] == [("mailbox", 1), ("idate", -1), ("_id", -1)]
    assert messages["fulltext"]["partialFilterExpression"] == {"searchable": True}
    assert messages["fulltext"]["weights"] == {"headers.value": 1, "text": 1}
    assert messages["retention_time"]["partialFilterExpression"] == {"exp": True}
    assert databases.main["mailboxes"].index_information()["user_path"]["unique"]
    assert databases.main["journal"].index_information()["journal_autoexpire"]["expireAfterSeconds"] == 10_800
    assert databases.main["threads"].index_information()["thread_shard"]["key"] == [("user", "hashed")]
    assert "related_attachments_cu" in databases.gridfs["attachments.files"].index_information()
    assert databases.main["counters"].index_information()["entry_autoexpire"]["expireAfterSeconds"] == 0


def test_uids_have_no_unique_index_that_wildduck_could_run_into(databases: Databases) -> None:
    ensure_indexes(databases)
    indexes = databases.main["messages"].index_information()
    assert not [name for name, index in indexes.items() if index.get("unique")]


def test_those_in_the_wrong_place_are_there_too(databases: Databases) -> None:
    ensure_indexes(databases)
    for database in (databases.main, databases.users):
        assert {"by_type", "by_user_type"} <= database["webhooks"].index_information().keys()
    log = databases.users["authlog"].index_information()
    assert log["user_by_ip"]["partialFilterExpression"] == {"ip": True}
    assert log["user_by_known_ip"]["partialFilterExpression"] == {"ip": {"$gt": ""}}


def test_big_collections_are_compressed(databases: Databases) -> None:
    ensure_indexes(databases)
    for name in ("messages", "attachments.files", "attachments.chunks"):
        options = databases.main[name].options()
        assert "zlib" in options["storageEngine"]["wiredTiger"]["configString"]


def test_an_index_in_another_form_is_left_as_it_is(databases: Databases) -> None:
    databases.main["mailboxes"].create_index([("user", 1), ("path", 1)], name="user_path")
    databases.main["journal"].create_index("created", name="of_others", expireAfterSeconds=60)
    made = ensure_indexes(databases)
    assert "mailboxes.user_path" not in made
    assert "journal.journal_autoexpire" not in made
    assert "unique" not in databases.main["mailboxes"].index_information()["user_path"]
    assert databases.main["journal"].index_information()["of_others"]["expireAfterSeconds"] == 60

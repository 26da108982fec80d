"""Certificates at rest: which one a server shows, encryption, races, and how they are read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from problems import Problem
from security.secrets import KeyRing, KeyRings, SecretUnreadable
from storage.base.database import utc_now
from storage.base.paging import Paging
from storage.keys.certs import Certs, Match
from storage.keys.documents import Certificate
from storage.store import Store
from tests.storage.conftest import together
from tests.storage.plans import examined, indexes, plans
from tests.storage.profiler import profiled

HOST = "mail.example.com"
LATER, SOONER, ENDED = (utc_now() + timedelta(days=days) for days in (90, 30, -1))


@pytest.fixture(autouse=True)
def _none(store: Store) -> None:
    for name in ("certs", "tasks"):
        store.databases.main[name].delete_many({})


def put(
    store: Store, servername: str, *names: str, expires: datetime = LATER, acme: bool = False, **fields: Any
) -> ObjectId:
    both = {"privateKey": store.certs.keys.encrypt(f"key of {servername}"), "cert": f"cert of {servername}"}
    given = {**both, "expires": expires, "altNames": list(names) or [servername], **fields}
    return ObjectId(store.certs.put(servername, given, acme=acme)[0]["_id"])


def shown(store: Store, name: str) -> str | None:
    match = store.certs.for_name(name)
    found = store.certs.load(match) if match else None
    return found.chain.strip().removeprefix("cert of ") if found else None


def test_the_name_itself_comes_before_what_covers_it(store: Store) -> None:
    put(store, "other.example", "mail.example.com", "*.example.com")
    assert shown(store, "mail.example.com") == "other.example"
    put(store, "mail.example.com", expires=SOONER)
    assert shown(store, "MAIL.example.com") == "mail.example.com"
    assert shown(store, "imap.example.com") == "other.example"
    for name in ("example.com", "a.b.example.com", "com", "", "*"):
        assert shown(store, name) is None


def test_a_name_in_unicode_and_in_punycode(store: Store) -> None:
    put(store, "b\u00fccher.example", "*.b\u00fccher.example")
    assert shown(store, "xn--bcher-kva.example") == "b\u00fccher.example"
    assert shown(store, "mail.XN--BCHER-KVA.example") == "b\u00fccher.example"


def test_the_one_that_lasts_longest_comes_first(store: Store) -> None:
    for number, expires in enumerate((SOONER, LATER, ENDED)):
        put(store, f"{number}.example", "*.example.com", expires=expires)
    assert shown(store, "mail.example.com") == "1.example"


def test_one_that_has_ended_is_shown_where_there_is_no_other(store: Store) -> None:
    put(store, "mail.example.com", expires=ENDED)
    assert shown(store, "mail.example.com") == "mail.example.com"
    put(store, "other.example", "*.example.com", expires=SOONER)
    assert shown(store, "mail.example.com") == "other.example"


def test_one_half_alone_is_not_shown(store: Store) -> None:
    store.certs.put("a.example", {"cert": "x", "altNames": ["a.example"]}, acme=True)
    store.certs.put("b.example", {"privateKey": "x"}, acme=True)
    store.certs.put("c.example", {"privateKey": "x", "cert": ""}, acme=True)
    for name in "abc":
        assert store.certs.for_name(f"{name}.example") is None
        assert not store.certs.get(store.certs.id_of(f"{name}.example"))["hasCert"]


def test_the_certificates_of_the_authority_follow(store: Store) -> None:
    put(store, "mail.example.com", ca=["one\n", "two"])
    match = store.certs.for_name("mail.example.com")
    assert match
    found = store.certs.load(match)
    assert found
    assert found.chain == "cert of mail.example.com\none\ntwo\n"
    assert found.sealed_key not in repr(found)


def test_another_certificate_is_another_version(store: Store) -> None:
    put(store, "mail.example.com")
    first = store.certs.for_name("mail.example.com")
    store.certs.put("mail.example.com", {"description": "x"}, acme=False)
    assert store.certs.for_name("mail.example.com") == first
    cert = put(store, "mail.example.com")
    second = store.certs.for_name("mail.example.com")
    assert first
    assert second
    assert (second.id, second.version) == (first.id, first.version + 1)
    store.certs.delete(cert)
    assert store.certs.load(second) is None


def test_keys_are_read_in_both_forms_and_with_an_old_key(store: Store) -> None:
    ring = KeyRing("a secret cat")

    def as_seen_with(ring: KeyRing) -> Store:
        return Store(store.databases.client, store.databases.names, keys=KeyRings(certs=ring))

    put(as_seen_with(ring), "mail.example.com")
    row = store.databases.main["certs"].find_one({})
    assert row
    assert row["privateKey"].startswith("$wd01$")
    match = store.certs.for_name("mail.example.com")
    assert match
    certs = [as_seen_with(each).certs for each in (ring, KeyRing("another cat", ("a secret cat",)))]
    assert [opened(each, match) for each in certs] == ["key of mail.example.com"] * 2
    with pytest.raises(SecretUnreadable):
        opened(as_seen_with(KeyRing("another cat")).certs, match)
    put(store, "mail.example.com")  # in clear
    assert opened(certs[0], match) == "key of mail.example.com"


def opened(certs: Certs, match: Match) -> str:
    found = certs.load(match)
    assert found
    return certs.keys.decrypt(found.sealed_key)


@pytest.mark.parametrize("kind", ["replica set", "lone server"])
def test_one_entry_a_name_whoever_comes_together(store: Store, lone_store: Store, kind: str) -> None:
    one = store if kind == "replica set" else lone_store

    def put(number: int) -> tuple[Certificate, bool]:
        fields = {"cert": str(number)}
        return one.transactions.run(lambda session: one.certs.put(HOST, fields, acme=True, session=session))

    results = together(16, put)
    assert len({row["_id"] for row, _ in results}) == 1
    assert sorted(is_new for _, is_new in results) == [False] * 15 + [True]
    row = store.databases.main["certs"].find_one({"servername": HOST})
    assert row
    assert row["v"] == 16
    if kind == "replica set":
        assert store.databases.main["tasks"].count_documents({"task": "acme"}) == 1


def test_a_task_for_the_program_that_obtains_it(store: Store) -> None:
    cert = ObjectId(store.certs.put("mail.example.com", {}, acme=True)[0]["_id"])
    store.certs.put("mail.example.com", {}, acme=True)
    (task,) = store.databases.main["tasks"].find({})
    assert (task["task"], task["data"]) == ("acme", {"servername": "mail.example.com"})
    store.certs.delete(cert)
    assert store.databases.main["tasks"].count_documents({}) == 0


def test_a_task_that_has_begun_is_left_to_who_runs_it(store: Store) -> None:
    cert = ObjectId(store.certs.put("mail.example.com", {}, acme=True)[0]["_id"])
    store.databases.main["tasks"].update_one({}, {"$set": {"runCount": 1}})
    store.certs.delete(cert)
    assert store.databases.main["tasks"].count_documents({}) == 1


def test_reads_use_indexes_and_leave_the_key(store: Store) -> None:
    for number in range(30):
        put(store, f"m{number:02}.example.com", f"m{number:02}.example.com", f"*.d{number:02}.example")
    match = store.certs.for_name("m07.example.com")
    assert match

    def work() -> None:
        store.certs.for_name("m07.example.com")
        store.certs.for_name("x.d07.example")
        store.certs.load(match)
        store.certs.id_of("m07.example.com")
        store.certs.get(match.id)
        store.certs.halves("m07.example.com")

    found = plans(store, work)
    assert len(found) == 6
    for plan in found:
        assert indexes(plan) <= {"servername", "servername_version", "servername_alt", "_id_"}
        assert examined(plan) <= 2
    for text, in_names in (("", False), ("m0", False), ("m0", True), ("x.d07", True)):
        entries = profiled(
            store.databases.main,
            "certs",
            lambda t=text, i=in_names: store.certs.page(t, Paging(limit=3), in_names=i),
        )
        for entry in entries:
            assert "COLLSCAN" not in entry["planSummary"], entry
            assert not entry.get("hasSortStage"), entry
    rows = store.certs.page("", Paging(), in_names=False)[0].rows
    assert not any({"privateKey", "cert", "ca"} & row.keys() for row in rows)
    assert {row["hasCert"] for row in rows} == {True}


def test_unknown_entries(store: Store) -> None:
    for look in (
        lambda: store.certs.get(ObjectId()),
        lambda: store.certs.delete(ObjectId()),
        lambda: store.certs.id_of("$ne"),
    ):
        with pytest.raises(Problem, match="CertNotFound"):
            look()

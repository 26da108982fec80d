"""Every hash that a database of accounts may hold."""

from __future__ import annotations

import pytest

from security.passwords import (
    DUMMY_HASHES,
    UnknownHash,
    check_hash,
    hash_password,
    needs_rehash,
    verify_password,
)

VECTORS = [
    (
        "pässwörd",
        "$pbkdf2-sha256$i=100000$AAECAwQFBgcICQoLDA0ODw$trmn14eaJqetmcWSJJwUWVLKUOyf765hiEQzeYnvalM",
    ),
    (
        "pässwörd",
        "$pbkdf2-sha512$i=25000$AAECAwQFBgcICQoLDA0ODw$"
        "/XMGbqJ5JbL/BmJp92Ndi7MewO2VN8Oczs+vhYJS+Lc0zmsZAT3fC18BZiDH+3AlIgF9gCUb7j2gexu10cbNGg",
    ),
    ("pässwörd", "$pbkdf2-sha1$i=1000$AAECAwQFBgcICQoLDA0ODw$lfzT7JP5RoxTX3QxduxJ5Hbc3pg"),
    ("correct horse", "$2b$11$..CA.uOD/eaGAOmJB.yMBu7cLaEOtGsoYVFNrXuZ92LGzIYlehTTO"),
    (
        "correct horse",
        "$argon2id$v=19$m=1024,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$dyN7iiF9/XdplhfjiTgX+fohW/+IGEnzwAcVTaC0eI0",
    ),
    (
        "correct horse",
        "$argon2i$v=19$m=1024,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$hdtnrGrDDkRRrigSn4L8nCnz/ehMQ9eCaCkfqdIq0LM",
    ),
    (
        "correct horse",
        "$argon2d$v=19$m=1024,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$YW8b9dIwisrHy6wJFDSbWkpF+O005a0ybFEAOgpN+1M",
    ),
    (
        "correct horse",
        "$argon2id$v=19$p=1,t=2,m=1024$AAECAwQFBgcICQoLDA0ODw$dyN7iiF9/XdplhfjiTgX+fohW/+IGEnzwAcVTaC0eI0",
    ),
    ("correct horse", "$5$rounds=1500$saltstring$pHn/CPP3gmomxzjyYsyOemGe5e0cH14K3JHRDusA712"),
    (
        "correct horse",
        "$6$saltstring$.r0X7ub5wGR2v4Xz7svCIozfnlorFh19V89t8KC9Umd81uGhFgsyTRNyzQDXDIm17fFcR9z3z7oBNdsyYBbtm/",
    ),
    ("correct horse", "$1$saltsalt$NuzA7WTAelpl95xgBGWN60"),
    ("pä", "$1$abcdefgh$EXeFTrmWnbA5rM5roHXu2."),
    # as the standard has them: MD5 cuts a salt at 8 characters, SHA at 16, and counts at least 1000 rounds
    ("correct horse", "$1$saltsaltmore$NuzA7WTAelpl95xgBGWN60"),
    ("correct horse", "$5$abcdefghijklmnopqrstuv$eLlGDRRp0Ru9mPmgmlr4LXrFitzWX28EZT5eMNr5fN6"),
    ("correct horse", "$5$rounds=10$saltstring$95Bg/RfV2QriLpMdLPHK9el0Ighm6E3CBqMKzZKgCa2"),
    (
        "x" * 64,
        "$6$saltstring$SSoAqlzjEXraQ.dDguxosFViX0Mfw4O.kEQXNqWn2FWfLIsQUWxK3xUguKKWh/yPYlb6YCK5MTl1eAQTuZtVf.",
    ),
    ("correct", "saTQTB/hE/rKc"),
    ("pä", "ab1H2qEQKiLj."),
]


@pytest.mark.parametrize(("password", "stored"), VECTORS)
def test_known_hashes_verify(password: str, stored: str) -> None:
    assert verify_password(password, stored)
    assert not verify_password("x" + password, stored)


@pytest.mark.parametrize("scheme", ["argon2id", "bcrypt"])
def test_new_hashes_verify_and_need_no_other(scheme: str) -> None:
    stored = hash_password("pässwörd", scheme)
    assert verify_password("pässwörd", stored)
    assert not needs_rehash(stored, scheme)


@pytest.mark.parametrize(("password", "stored"), VECTORS)
def test_old_hashes_are_replaced(password: str, stored: str) -> None:
    assert needs_rehash(stored)


@pytest.mark.parametrize("mark", ["2a", "2b", "2y"])
def test_all_marks_of_bcrypt_mean_the_same(mark: str) -> None:
    assert verify_password(
        "correct horse", f"${mark}$11$..CA.uOD/eaGAOmJB.yMBu7cLaEOtGsoYVFNrXuZ92LGzIYlehTTO"
    )


@pytest.mark.parametrize("scheme", ["argon2id", "bcrypt"])
def test_a_dummy_costs_what_a_new_hash_costs(scheme: str) -> None:
    assert not needs_rehash(DUMMY_HASHES[scheme], scheme)
    assert not verify_password("", DUMMY_HASHES[scheme])


def test_without_normalization_of_unicode() -> None:
    stored = hash_password("p\u00e4")
    assert not verify_password("pa\u0308", stored)


def test_bcrypt_takes_the_first_72_bytes() -> None:
    stored = hash_password("x" * 80, "bcrypt")
    assert verify_password("x" * 72, stored)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "plain text",
        "$2a$10$short",
        "$2b$31$..CA.uOD/eaGAOmJB.yMBu7cLaEOtGsoYVFNrXuZ92LGzIYlehTTO",
        "$pbkdf2-sha256$29000$AAECAwQFBgcICQoLDA0ODw$trmn14eaJqetmcWSJJwUWVLKUOyf765hiEQzeYnvalM",
        "$pbkdf2-sha256$i=4294967295$AAECAwQFBgcICQoLDA0ODw$trmn14eaJqetmcWSJJwUWVLKUOyf765hiEQzeYnvalM",
        "$argon2id$v=16$m=1024,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$dyN7iiF9/XdplhfjiTgX+fohW/+IGEnzwAcVTaC0eI0",
        "$argon2id$v=19$m=99999999,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$dyN7iiF9/XdplhfjiTgX+fohW/+IGEnzwAcVTaC0eI0",
        "$argon2id$v=19$m=1024,t=2$AAECAwQFBgcICQoLDA0ODw$dyN7iiF9/XdplhfjiTgX+fohW/+IGEnzwAcVTaC0eI0",
        "$6$rounds=999999999$saltstring$" + "a" * 86,
        "$7$x$y",
        "$2x$11$..CA.uOD/eaGAOmJB.yMBu7cLaEOtGsoYVFNrXuZ92LGzIYlehTTO",
        "$PBKDF2-SHA256$i=1000$AAECAwQFBgcICQoLDA0ODw$trmn14eaJqetmcWSJJwUWVLKUOyf765hiEQzeYnvalM",
        "$pbkdf2-sha256$i=01000$AAECAwQFBgcICQoLDA0ODw$trmn14eaJqetmcWSJJwUWVLKUOyf765hiEQzeYnvalM",
    ],
)
def test_what_is_no_hash_or_would_stall_the_server_is_refused(stored: str) -> None:
    with pytest.raises(UnknownHash):
        check_hash(stored)

"""TOTP codes, and the QR code that an authenticator scans."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlsplit

import pyotp
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from security.totp import STEP_SECONDS, matching_step, new_seed, otpauth_url, qr_code

SEED = "IZEFIWRTORVUS22QJ5FDCVBXMJXUCZDB"
NOW = datetime.fromtimestamp(1_700_000_000, UTC)
STEP = 1_700_000_000 // STEP_SECONDS


def scanned(data_url: str) -> str:
    """What a reader finds in the picture of a data URL."""
    head, _, data = data_url.partition(",")
    assert head == "data:image/png;base64"
    [found] = zxingcpp.read_barcodes(Image.open(io.BytesIO(base64.b64decode(data))).convert("L"))
    return found.text


def test_a_known_code() -> None:
    assert matching_step(SEED, "724638", NOW, 0) == STEP


@pytest.mark.parametrize("seed", [SEED, SEED.lower(), base64.b32encode(b"12345678901234567890").decode()])
@pytest.mark.parametrize("offset", [-6, -1, 0, 1, 6])
def test_the_window_is_even_on_both_sides(seed: str, offset: int) -> None:
    code = pyotp.TOTP(seed).at(NOW, counter_offset=offset)
    assert matching_step(seed, code, NOW, 6) == STEP + offset
    assert matching_step(seed, code, NOW, abs(offset) - 1) is None


def test_rfc_6238() -> None:
    seed = base64.b32encode(b"12345678901234567890").decode()
    for seconds, code in ((59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")):
        assert matching_step(seed, code, datetime.fromtimestamp(seconds, UTC), 0) == seconds // STEP_SECONDS


@pytest.mark.parametrize(
    "given", ["", "72463", "7246380", " 24638", "72463a", "７２４６３８", "\ud800", "+24638"]
)
def test_only_the_code_itself_is_right(given: str) -> None:
    assert matching_step(SEED, given, NOW, 6) is None


def test_seeds_are_long_and_never_the_same() -> None:
    seeds = {new_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert {len(base64.b32decode(seed)) for seed in seeds} == {20}


@pytest.mark.parametrize(
    ("label", "issuer", "url"),
    [
        ("ada@example.com", "Example Mail", "ada%40example.com?secret={}&issuer=Example%20Mail"),
        ("Ada:1/2?&=#", "a&b+c", "Ada%3A1%2F2%3F%26%3D%23?secret={}&issuer=a%26b%2Bc"),
        ("Ādā 愛", "Пошта", "%C4%80d%C4%81%20%E6%84%9B?secret={}&issuer=%D0%9F%D0%BE%D1%88%D1%82%D0%B0"),
    ],
)
def test_the_url(label: str, issuer: str, url: str) -> None:
    assert otpauth_url(SEED, label, issuer) == "otpauth://totp/" + url.format(SEED)
    assert scanned(qr_code(otpauth_url(SEED, label, issuer))) == "otpauth://totp/" + url.format(SEED)


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
def test_label_and_issuer_come_back_from_the_url(label: str, issuer: str) -> None:
    parts = urlsplit(otpauth_url(SEED, label, issuer))
    assert (parts.scheme, parts.netloc, parts.fragment) == ("otpauth", "totp", "")
    assert unquote(parts.path.removeprefix("/")) == label
    assert dict(parse_qsl(parts.query)) == {"secret": SEED, "issuer": issuer}


def test_a_text_too_long_for_a_qr_code_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        qr_code("x" * 3000)

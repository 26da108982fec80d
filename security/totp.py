"""TOTP codes (RFC 6238: SHA-1, six digits, steps of 30 seconds), and the URI that hands an authenticator the seed."""

from __future__ import annotations

import hmac
from datetime import datetime
from urllib.parse import quote, urlencode

import pyotp
import segno

STEP_SECONDS = 30


def new_seed() -> str:
    """160 random bits as 32 base32 characters."""
    return pyotp.random_base32(32)


def matching_step(seed: str, code: str, now: datetime, window: int) -> int | None:
    """The latest step whose code this is, among those up to `window` before and after the present one.

    Every step is compared, and in constant time, so that the time taken reveals nothing.
    """
    present = int(now.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(seed)
    steps = range(present - window, present + window + 1)
    matching = [step for step in steps if _is_equal(totp.generate_otp(step), code)]
    return max(matching, default=None)


def _is_equal(code: str, given: str) -> bool:
    return hmac.compare_digest(code.encode(), given.encode("utf-8", "surrogatepass"))


def otpauth_url(seed: str, label: str, issuer: str) -> str:
    """What an authenticator scans."""
    query = urlencode({"secret": seed, "issuer": issuer}, quote_via=quote, safe="")
    return f"otpauth://totp/{quote(label, safe='')}?{query}"


def qr_code(text: str) -> str:
    """A QR code as the data URL of a PNG. Raises ValueError for a text that is too long for one."""
    code = segno.make(text, error="m", boost_error=False, micro=False)
    return str(code.png_data_uri(scale=4, border=4))

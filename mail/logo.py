"""The logo of a sender (BIMI) as the API shows it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

_CERTIFICATES = ("VMC", "CMC")


def logo(found: Mapping[str, Any]) -> dict[str, Any]:
    """`{certified, url, image}`, and the `type` of the certificate where there is one; `image` is SVG."""
    certified = found.get("type") == "authority"
    kind = (found.get("vmc") or {}).get("type")
    return {
        "certified": certified,
        "url": str(found.get("url") or ""),
        "image": f"data:image/svg+xml;base64,{b64encode(found['content']).decode()}",
        **({"type": kind if kind in _CERTIFICATES else _CERTIFICATES[0]} if certified else {}),
    }

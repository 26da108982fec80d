"""How tests see stored rows and answers: they look into any field, also those that no type promises."""

from __future__ import annotations

from typing import Any, TypeAlias

Row: TypeAlias = Any

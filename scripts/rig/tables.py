"""Settings as the rig writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping

Tables = Mapping[str, Mapping[str, object]]

CHEAP_PINS: Tables = {"steps.pin": {"scrypt_p": 1}}
"""The least that the settings allow, for tests of something else: to check a PIN takes a fifth of the time."""


def toml(tables: Tables) -> str:
    """What stands in the file."""
    lines = []
    for table, fields in tables.items():
        lines.append(f"[{table}]")
        # JSON's texts, numbers and lists are TOML's too
        lines.extend(f"{_key(field)} = {json.dumps(value)}" for field, value in fields.items())
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    """A key of TOML; a pointer stands in quotes."""
    return name if name.isidentifier() else json.dumps(name)

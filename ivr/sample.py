"""The sample of tillit.toml, made of the settings themselves: it cannot forget one."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ivr.config import Policy, Settings

_WIDTH = 110

_HEAD = """\
# Tillit's settings. Every setting stands here: those behind a # with the value that they have when left out.
# Relative paths are taken from this file's folder. `ari_app.py init` makes the keys and the database.
# A password stands in a file of mode 0600, or in an environment variable; never here.
"""

# What an administrator must write, with values that show how it looks.
_WRITTEN: dict[str, dict[str, object]] = {
    "company": {"name": "Example Telecom", "country": "SE"},
    "asterisk": {"password_file": "ari.password"},
    "policies.main": {"steps": ["pin", "sms_code"], "level": 2},
}


def sample() -> str:
    """The whole file, as TOML."""
    return _HEAD + "".join(f"\n{table}" for table in _tables("", Settings)) + _policy()


def _tables(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if not isinstance(inner, type) or not issubclass(inner, BaseModel):
            continue
        path = f"{prefix}{name}"
        if _settings_of(inner):
            yield _table(path, inner)
        yield from _tables(f"{path}.", inner)


def _table(path: str, model: type[BaseModel]) -> str:
    lines = [*_comment((model.__doc__ or "").strip()), f"[{path}]"]
    for name, field in _settings_of(model).items():
        lines += _comment(field.description or "")
        lines.append(_setting(name, field, _WRITTEN.get(path, {})))
    return "\n".join(lines) + "\n"


def _policy() -> str:
    return "\n# As many as you like; the dialplan names one: Gosub(tillit-verify,s,1(main))\n" + _table(
        "policies.main", Policy
    )


def _settings_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that are no tables."""
    fields = model.model_fields.items()
    return {
        name: field
        for name, field in fields
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)) and name != "policies"
    }


def _setting(name: str, field: FieldInfo, written: dict[str, object]) -> str:
    if name in written:
        return f"{name} = {_toml(written[name])}"
    if field.default is None:
        return f'# {name} = ""'
    return f"# {name} = {_toml(field.default)}"


def _toml(value: object) -> str:
    """JSON's texts, numbers, truths and lists are TOML's too."""
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="#   ") if text else []

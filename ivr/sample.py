"""The sample of tillit.toml and the page about it, made of the settings themselves: they cannot forget one."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ivr.config import App, Broker, Client, Pattern, Policy, Settings, Webhook
from ivr.config.section import table_of

_WIDTH = 110

_HEAD = """\
# Tillit's settings. Every setting stands here: those behind a # with the value that they have when left out, if any;
# a table behind a # is left out whole.
# Relative paths are taken from this file's folder. `ari_app.py init` makes the keys and the database.
# A password stands in a file of mode 0600, or in an environment variable; never here.
"""

_PAGE_HEAD = """\
# The settings

This page is made from the program: `ari_app.py sample --markdown`. The file itself, ready to be edited, is
[config/tillit.toml](../config/tillit.toml); `ari_app.py sample` prints it.

One TOML file holds every setting. It is checked whole before anything starts: a wrong field, an unknown one or a missing
one is named with its place and what belongs there. Relative paths are taken from the file's own folder. The file is found by
`--config FILE`, else by the environment variable `TILLIT_CONFIG`, else as `tillit.toml` or `config/tillit.toml` in the
current folder. A change counts after the worker's next start.

No password and no key stands in this file. Each stands in a file of its own with mode 0600, or in an environment
variable. Where both are named, the variable counts.
"""

_NODES = """\
As many as this worker shall serve besides `[asterisk]`, each in a table of its own, such as `[nodes.south]`; in it belong the
settings of `[asterisk]`. Where there are such tables, `[asterisk]` may be left out. [Operations](operations.md#several-asterisks)
says what becomes of a node that is down.
"""

_NODE = """
# Further nodes, if this worker serves several: the settings of [asterisk], in a table for each, such as
#[nodes.south]
#url = "https://192.0.2.8:8089/ari"
#password_file = "south.password"
"""

_CLIENTS = """\
As many as there are, each in a table of its own, such as `[clients.crm]`. [The API](api.md#programs) says what they may do.
"""

_WEBHOOKS = """\
As many as there are, each in a table of its own, such as `[webhooks.crm]`. [Webhooks](webhooks.md) says what they are told.
"""

_WEBHOOK = """
# Programs that are told of calls, each in a table of its own, such as
#[webhooks.crm]
#url = "https://crm.example.com/hooks/calls"
#secret_file = "crm.webhook"
"""

_APPS = """\
As many as there are, each in a table of its own, such as `[apps.bank]`. [Browsers and apps](push.md) says what they are told.
"""

_APP = """
# Servers of apps that show proofs to their users, each in a table of its own, such as
#[apps.bank]
#url = "https://app.bank.example/tillit"
#secret_file = "bank.app"
"""

_CLIENT = """
# Programs that speak to the desk by themselves, each in a table of its own, such as
#[clients.crm]
#secret_file = "crm.secret"
#audiences = ["https://crm.example.com"]
#origins = ["https://crm.example.com"]
"""

_BROKERS = """\
As many as there are, each in a table of its own, such as `[eid.brokers.example]`. [Electronic identities](eid.md#brokers) says what they need.
"""

_BROKER = """
# OpenID providers that speak for electronic identities, each in a table of its own, such as
#[eid.brokers.example]
#issuer = "https://eid.example.com"
#client_id = "tillit"
#client_secret_file = "eid.secret"
#acr = {"urn:example:high" = 3}
"""

_PATTERN = """
# What holds customers' data behind the proxy, in a table for each, such as
#[proxy.patterns.customer]
#path = "/api/customers/{number}"
#fields = {"/phones" = 3}
"""

_PATTERNS = """\
As many as you like, with names of your own, which the audit trail has. All of them that a path fits hold. [The proxy](proxy.md) says how they are read.

"""

_POLICIES = """\
As many as you like. The dialplan names one: `Gosub(tillit-verify,s,1(main))`. [Policies](policies.md) says what they do.

"""

# Tables of tables whose names an administrator chooses.
_NAMED = ("policies", "nodes", "clients", "webhooks", "apps", "patterns", "brokers")

# What an administrator must write, with values that show how it looks.
_WRITTEN: dict[str, dict[str, object]] = {
    "company": {"name": "Example Telecom", "country": "SE"},
    "asterisk": {"password_file": "ari.password"},
    "policies.main": {"steps": ["pin", "sms_code"], "level": 2},
}


def sample() -> str:
    """The whole file, as TOML."""
    tables = "".join(f"\n{table}" for table in _tables("", Settings))
    return _HEAD + tables + _BROKER + _PATTERN + _NODE + _CLIENT + _WEBHOOK + _APP + _policy()


def page() -> str:
    """The page docs/configuration.md, as Markdown."""
    sections = [_section(path, model) for path, model in (*_models("", Settings), _ANY_PATTERN, _ANY_POLICY)]
    nodes = f"## `[nodes.NAME]`\n\n{_NODES}"
    clients = _section("clients.NAME", Client).replace("| Setting", f"{_CLIENTS}\n| Setting", 1)
    hooks = _section("webhooks.NAME", Webhook).replace("| Setting", f"{_WEBHOOKS}\n| Setting", 1)
    apps = _section("apps.NAME", App).replace("| Setting", f"{_APPS}\n| Setting", 1)
    brokers = _section("eid.brokers.NAME", Broker).replace("| Setting", f"{_BROKERS}\n| Setting", 1)
    return _PAGE_HEAD + "".join(
        f"\n{section}" for section in (*sections[:-1], nodes, clients, hooks, apps, brokers, sections[-1])
    )


def _tables(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    left_out = _left_out(prefix, model)
    return (_table(path, inner, head="# " if path in left_out else "") for path, inner in _models(prefix, model))


def _left_out(prefix: str, model: type[BaseModel]) -> set[str]:
    """The tables that are not there unless they are written, and need not be."""
    found = set()
    for name, field in model.model_fields.items():
        if (inner := table_of(field)) is not None:
            path = f"{prefix}{field.alias or name}"
            found |= _left_out(f"{path}.", inner) | ({path} if field.default is None else set())
    return found


def _models(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table that has settings, by its name in TOML."""
    for name, field in model.model_fields.items():
        if (inner := table_of(field)) is None:
            continue
        path = f"{prefix}{field.alias or name}"
        if _settings_of(inner):
            yield path, inner
        yield from _models(f"{path}.", inner)


def _table(path: str, model: type[BaseModel], *, head: str = "") -> str:
    lines = [*_comment((model.__doc__ or "").strip()), f"{head}[{path}]"]
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
    return {name: field for name, field in fields if table_of(field) is None and name not in _NAMED}


def _setting(name: str, field: FieldInfo, written: dict[str, object]) -> str:
    if name in written:
        return f"{name} = {_toml(written[name])}"
    if field.default is None or field.is_required():
        return f"# {name} ="
    return f"# {name} = {_toml(field.default)}"


def _toml(value: object) -> str:
    """JSON's texts, numbers, truths, lists and empty tables are TOML's too."""
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="#   ") if text else []


# ---------------------------------------------------------------- the page

_ANY_POLICY: tuple[str, type[BaseModel]] = ("policies.NAME", Policy)
_ANY_PATTERN: tuple[str, type[BaseModel]] = ("proxy.patterns.NAME", Pattern)


def _section(path: str, model: type[BaseModel]) -> str:
    head = f"## `[{path}]`\n\n{(model.__doc__ or '').strip()}\n\n"
    if model is Policy:
        head += _POLICIES
    if model is Pattern:
        head += _PATTERNS
    rows = [
        f"| `{name}` | {_default(field)} | {_allowed(field)} | {_cell(field.description or '')} |"
        for name, field in _settings_of(model).items()
    ]
    return head + "\n".join(["| Setting | When left out | Allowed | What it is |", "|---|---|---|---|", *rows]) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be written"
    return "nothing" if field.default is None else f"`{_toml(field.default)}`"


def _allowed(field: FieldInfo) -> str:
    """The values that pass, as far as one can say it in a cell."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if get_origin(kind) is Literal:
            return " or ".join(f"`{_toml(value)}`" for value in get_args(kind))
    limits = {
        word: value
        for rule in field.metadata
        for word in ("ge", "gt", "le", "min_length", "max_length", "pattern")
        if (value := getattr(rule, word, None)) is not None
    }
    if "pattern" in limits:
        return f"`{_cell(limits['pattern'])}`"
    match limits:
        case {"ge": least, "le": most}:
            return f"{least} to {most}"
        case {"gt": least, "le": most}:
            return f"more than {least}, at most {most}"
        case {"ge": least}:
            return f"{least} or more"
        case {"min_length": least, "max_length": most}:
            return f"{least} to {most} characters"
        case {"min_length": least}:
            return f"at least {least}"
        case _:
            return ""


def _cell(text: str) -> str:
    """Without what would end a cell."""
    return text.replace("|", "\\|")

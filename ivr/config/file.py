"""Reading the settings: errors name the file, the table, the field and what belongs there."""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ivr.config.asterisk import Asterisk
from ivr.config.clients import Client
from ivr.config.eid import Broker, Eids
from ivr.config.models import Settings
from ivr.config.patterns import Pattern
from ivr.config.proxy import Proxy
from ivr.config.push import App
from ivr.config.section import table_of
from ivr.config.verifying import Policy
from ivr.config.webhooks import Webhook
from ivr.errors import ConfigError
from ivr.secret import Secret


def load(file: Path) -> Settings:
    """Read and check the settings; raises `ConfigError` that names every field that is wrong."""
    try:
        if file.exists() and not file.is_file():
            raise ConfigError(str(file), "is no file", "Name another file with --config")
        with file.open("rb") as opened:
            raw = tomllib.load(opened)
    except OSError as error:
        another_users = isinstance(error, PermissionError)
        cure = "Let the user who runs this own it" if another_users else "Name another file with --config"
        raise ConfigError(str(file), f"cannot be read ({error.strerror})", cure) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(file), f"is not TOML: {error}", "Mend that line") from None
    except UnicodeDecodeError:
        raise ConfigError(str(file), "is not UTF-8", "Save it as UTF-8") from None
    except ValueError:
        # of a whole number that Python does not read, tomllib raises nothing better
        raise ConfigError(
            str(file), "has a number of thousands of digits", "Write a number that can be meant"
        ) from None
    except RecursionError:
        raise _too_deep(file) from None
    try:
        settings = Settings.model_validate(raw)
    except RecursionError:
        raise _too_deep(file) from None
    except ValidationError as error:
        raise _explained(file, error) from None
    return settings.read_from(file.resolve())


def _too_deep(file: Path) -> ConfigError:
    return ConfigError(str(file), "has tables or lists within each other, hundreds deep", "Take some of them out")


def _explained(file: Path, error: ValidationError) -> ConfigError:
    """Every fault on a line of its own: field, what is wrong, what belongs there. Never the value."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        place, belongs, settings = _place(fault["loc"])
        problem, _, cure = fault["msg"].removeprefix("Value error, ").partition(". ")
        match fault["type"]:
            case "extra_forbidden":
                problem = "there is no such setting"
                near = difflib.get_close_matches(str(fault["loc"][-1]), settings, 1)
                cure = f"Did you mean {near[0]}?" if near else f"Here belong: {', '.join(settings)}"
            case "missing":
                problem = "is missing"
            case "too_short":
                problem = "is empty"
            case "string_pattern_mismatch":
                problem = "is not of the right form"
            case _:
                pass
        faults.append((place, problem, cure or belongs))
    place, problem, cure = faults[0]
    more = "".join(f"\n{file}: {place}: {problem}. {cure}" for place, problem, cure in faults[1:])
    return ConfigError(f"{file}: {place}", problem, cure + more)


def _place(location: tuple[int | str, ...]) -> tuple[str, str, list[str]]:
    """Where that is, as `[table.table] field`, what belongs there by the nearest description, and its table's settings."""
    model: type[BaseModel] | None = Settings
    tables: list[str] = []
    field: str | None = None
    belongs = "docs/configuration.md lists every setting"
    settings = list(Settings.model_fields)
    for part in location:
        if not isinstance(part, str) or model is None:
            break
        if model in (Settings, Proxy, Eids) and part in _NAMED:
            belongs = model.model_fields[part].description or belongs
            tables.append(part)
            model = _Named
            continue
        known = _NAMED[tables[-1]] if model is _Named else _field(model, part)
        inner = known if isinstance(known, type) else table_of(known) if known is not None else None
        if inner is not None:
            tables.append(part)
            belongs = (inner.__doc__ or belongs).strip()
            model, settings = inner, list(inner.model_fields)
        else:
            field = part
            belongs = (known.description if isinstance(known, FieldInfo) else None) or belongs
            model = None
    table = f"[{'.'.join(tables)}]" if tables else ""
    return " ".join(word for word in (table, field) if word) or "the file", belongs, settings


def _field(model: type[BaseModel], name: str) -> FieldInfo | None:
    """By its name in TOML: one that begins with a digit has another in Python."""
    return next((field for own, field in model.model_fields.items() if (field.alias or own) == name), None)


class _Named(BaseModel):
    """Stands for a table of tables whose names an administrator chooses."""


_NAMED: dict[str, type[BaseModel]] = {
    "policies": Policy, "nodes": Asterisk, "clients": Client, "webhooks": Webhook, "apps": App, "patterns": Pattern,
    "brokers": Broker,
}  # fmt: skip


def secret_of(settings: Settings, place: str, file: Path | None, variable: str | None) -> Secret | None:
    """A password from its file or environment variable; None where neither is named.

    Raises `ConfigError` where it is named, but not there, or readable by others.
    """
    if variable is not None:
        if not os.environ.get(variable):
            raise ConfigError(
                f"{settings.file}: {place}_env", "that variable is not set", f"Set {variable} in the environment"
            )
        return Secret(os.environ[variable])
    if file is None:
        return None
    path = settings.path(file)
    place = f"{settings.file}: {place}_file"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(place, f"{path} is no file", "Name the file that holds the password")
        text = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(place, f"{path} is missing", "Write the password into it, mode 0600") from None
    except OSError as error:
        # a number: names may come from a server that is not there
        cure = f"Let the user who runs this own it, and enter its folder: chown {os.geteuid()} {path}"
        raise ConfigError(place, f"{path} cannot be read ({error.strerror})", cure) from None
    except UnicodeDecodeError:
        raise ConfigError(place, f"{path} is not UTF-8", "Write the password into it, and nothing else") from None
    if mode & 0o077:
        raise ConfigError(place, f"{path} can be read by others", f"Type: chmod 600 {path}")
    if not text:
        raise ConfigError(place, f"{path} is empty", "Write the password into it")
    return Secret(text)


def secrets_of(
    settings: Settings, place: str, file: Path | None, variable: str | None, *, least: int
) -> tuple[Secret, ...]:
    """One secret or two, a line for each: two are good at once, while one takes the other's place. Of `least` characters.

    Raises `ConfigError` as `secret_of` does, and where none is named.
    """
    found = secret_of(settings, place, file, variable)
    if found is None:
        raise ConfigError(
            f"{settings.file}: {place}_file", "names no file, and no environment variable is named",
            "Name a file of mode 0600 with a secret in it, such as: openssl rand -base64 32",
        )  # fmt: skip
    lines = found.lines()
    if len(lines) > 2 or any(len(line) < least for line in lines):
        raise ConfigError(
            f"{settings.file}: {place}_{'file' if variable is None else 'env'}", f"is not one secret or two, a line for each, of {least} characters at least",
            "Make one with: openssl rand -base64 32",
        )  # fmt: skip
    return lines

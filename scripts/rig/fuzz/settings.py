"""`settings`: the TOML file: lines of settings that exist, with values that do not belong, and what is no TOML."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from ivr import sms
from ivr.agi.server import known_policy
from ivr.call.policy import policies
from ivr.config import Settings, load, secret_of
from ivr.config.section import table_of
from ivr.errors import ConfigError
from rig.fuzz.case import Finding, logger, memory, quiet
from rig.fuzz.source import Source

_CANARY = "canary-7c1f52d0"
_HEAD = '[company]\nname = "Acme"\ncountry = "SE"\n[policies.main]\nsteps = ["pin"]\nlevel = 1\n'
_VALUES = (
    "1", "-1", "0", "nan", "inf", "-0.0", "1e400", "true", '"SE"', '"sv"', '"pin"', '["pin", "sms_code"]', '["pin", "pin"]', "[]", "{}", '""',
    '"https://[::1"', '"http://a:99999/"', '"https://gateway.example/send"', '"http://127.0.0.1"', '"\\u0000"', '"../password"', '"/dev/null"',
    '"127.0.0.1:1"', '"[::1]:99999"', '["10.0.0.1"]', '"bridge"', '["PJSIP/anna"]', '"46elks"', '"http"', '"twilio"', "1979-05-27T07:32:00Z",
    "1979-99-99", "07:32:00", '{ to = "{to}", text = "{text}" }', '{ to = "{nothing}" }', '"a.0.b"', '"\\ud800"', '"unended', "'''\n", f'"{_CANARY}"', f'"redis://user:{_CANARY}@127.0.0.1/0"',
    f'["{_CANARY}"]', "1_0", "+1",
)  # fmt: skip
# Names of files, variables, steps and countries are no secrets, and errors show them.
_SHOWN = ("_file", "_env", "_folder", "steps", "countries")
# These take long to read, so they come seldom.
_HUGE = (
    "9" * 5000,
    "0x" + "f" * 5000,
    "[" * 2000 + "]" * 2000,
    "{a=" * 500 + "1" + "}" * 500,
    '"' + "x" * 70_000 + '"',
)


def _fields(model: type[BaseModel]) -> list[tuple[str, list[str]]]:
    """Each table by its name, and its settings."""
    tables: list[tuple[str, list[str]]] = [("", [])] if model is not Settings else []
    for own, field in model.model_fields.items():
        name = field.alias or own
        inner = table_of(field)
        if inner is None:
            if tables:
                tables[0][1].append(name)
            continue
        tables += [(f"{name}.{deeper}".rstrip("."), fields) for deeper, fields in _fields(inner)]
    return tables


class Toml:
    """Implements `Target`."""

    name: ClassVar[str] = "settings"
    allowed: ClassVar[str] = (
        "`ConfigError` that names the file, at reading and where a part takes its own; never a value that may be a password"
    )

    def __init__(self) -> None:
        self._tables = [
            *_fields(Settings),
            ("policies.main", ["steps", "level", "hand_over", "agents", "ring"]),
            ("nodes.b", ["url"]),
        ]
        self._folder = tempfile.TemporaryDirectory(dir=memory())
        self._file = Path(self._folder.name) / "tillit.toml"
        self._log = logger((_CANARY,))

    def run(self, source: Source) -> int:
        self._file.write_bytes(self._text(source))
        try:
            settings = load(self._file)
            policies(settings)
            known_policy(settings)
            secret_of(settings, "[redis] password", settings.redis.password_file, settings.redis.password_env)
            outbox = settings.path(settings.texts.outbox_folder).resolve()
            for name in sms.names(settings):
                # it makes its folder, and is to make none elsewhere
                if name != "outbox" or outbox.is_relative_to(self._folder.name):
                    sms.one(name, settings, self._log)
        except ConfigError as error:
            quiet(error, (_CANARY,))
            if str(self._file) not in str(error):
                raise Finding("an error that does not name the file") from None
        return 1

    def _text(self, source: Source) -> bytes:
        lines = []
        head = not source.once_in(8)
        for _ in range(source.below(6)):
            table, fields = source.pick(self._tables)
            match source.below(12):
                case 0:
                    lines.append(source.text(40))
                case 1:
                    deep = source.below(3000) if source.once_in(16) else source.below(4)
                    lines.append(f"[{'.'.join(['texts', 'http', 'body', *['a'] * deep])}]")
                case 2:
                    lines.append(f"[[{table}]]")
                case 3:
                    lines.append(f'"{source.text(12)}" = {source.pick(_HUGE if source.once_in(16) else _VALUES)}')
                case _:
                    lines.append(f"[{table}]")
                    for _ in range(source.below(5)):
                        name = source.pick(fields) if fields and not source.once_in(10) else source.text(8)
                        value = source.pick(_VALUES) if not source.once_in(6) else source.text(20)
                        lines.append(f"{name} = {value.replace(_CANARY, 'x') if name.endswith(_SHOWN) else value}")
        text = "\n".join([*lines, _HEAD] if head else lines).encode(errors="replace")
        if source.once_in(6):
            at = source.below(len(text) + 1)
            text = text[:at] + source.take(8) + text[at:]
        return text

"""Writes an Asterisk's folder: its configuration from the templates in etc/, its sounds and its music."""

from __future__ import annotations

import resource
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.install import Install
from rig.state import RigError

_TEMPLATES = Path(__file__).parent / "etc"
_DTMF_MODE = {"caller-info": "info", "caller-inband": "inband"}
_MOST_FILES = 20_000

# Asterisk asks for these and complains without.
_EMPTY = ("acl.conf", "ccss.conf", "features.conf", "pjproject.conf", "udptl.conf", "websocket_client.conf")


class _Template(string.Template):
    delimiter = "@"  # `$` is Asterisk's own


@dataclass(frozen=True)
class Settings:
    """What goes into the folder."""

    values: dict[str, str]
    dialplan: Sequence[Path | str]
    prompts: Mapping[str, Path]
    overrides: Mapping[str, str]
    callers: Sequence[str]
    agents: Sequence[str]
    debug: bool


def write_folder(folder: Path, install: Install, settings: Settings) -> None:
    """Fill the empty `folder`."""
    for part in ("etc", "lib/keys", "spool", "log/cdr-csv", "log/cel-custom", "phones", "data/sounds/en"):
        (folder / part).mkdir(parents=True)
    _link_data(folder / "data", install.data, settings.prompts)
    # A soft limit above this changes nothing but the time that Asterisk takes to close files.
    files = min(_MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    values = settings.values | {
        "modules": f"astmoddir => {install.modules}" if install.modules else "",
        "verbose": "5" if settings.debug else "3",
        "debug": "5" if settings.debug else "0",
        "debug_level": ",debug" if settings.debug else "",
        "files": str(files),
        "dialplan": "\n".join(_included(part) for part in settings.dialplan),
    }
    texts = dict.fromkeys(_EMPTY, "")
    for template in _TEMPLATES.iterdir():
        texts[template.name] = _Template(template.read_text()).substitute(values)
    texts["pjsip.conf"] += _endpoints(settings)
    for name, text in settings.overrides.items():
        texts[name] = texts.get(name, "") + text
    for name, text in texts.items():
        file = folder / "etc" / name
        file.write_text(text)
        file.chmod(0o600)


def _included(part: Path | str) -> str:
    if isinstance(part, str):
        return part
    if not part.is_file():
        raise RigError(f"no dialplan file {part}")
    return f'#include "{part.resolve()}"'


def _endpoints(settings: Settings) -> str:
    sections = []
    for name in settings.callers:
        mode = _DTMF_MODE.get(name, "rfc4733")
        sections.append(f"[{name}](caller-phone)\nauth = {name}\ndtmf_mode = {mode}\n")
    for name in settings.agents:
        sections.append(f"[{name}](agent-phone)\nauth = {name}\naors = {name}\ncallerid = {name} <{name}>\n")
        sections.append(f"[{name}](contact)\n")
    sections += [f"[{name}](login)\nusername = {name}\n" for name in (*settings.callers, *settings.agents)]
    return "\n".join(sections)


def _link_data(data: Path, installed: Path, prompts: Mapping[str, Path]) -> None:
    for part in ("documentation", "rest-api", "moh", "keys", "agi-bin", "static-http"):
        if (installed / part).exists():
            (data / part).symlink_to(installed / part)
    sounds = next((path for path in sorted((installed / "sounds").glob("en*")) if (path / "beep.wav").exists()), None)
    if sounds is None:  # packages name the voice's folder, sources `en`; either may lack WAV files
        sounds = next((path for path in sorted((installed / "sounds").glob("en*")) if path.is_dir()), None)
    for sound in sounds.iterdir() if sounds else ():
        (data / "sounds" / "en" / sound.name).symlink_to(sound)
    for language, folder in prompts.items():
        if not folder.is_dir():
            raise RigError(f"no prompts in {folder}: run scripts/prompts")
        (data / "sounds" / language).mkdir(exist_ok=True)
        (data / "sounds" / language / "tillit").symlink_to(folder.resolve())

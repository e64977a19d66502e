"""One Asterisk, and the ways in which it can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from ivr.asterisk.ari import Ari
from ivr.config import Asterisk, Settings
from ivr.doctor.console import Console
from ivr.errors import AriError


@dataclass(frozen=True, slots=True)
class Node:
    """An Asterisk that answers.

    `place` is its table in the settings: `[asterisk]`; `entity` what it calls itself; `language` what it gives to every channel; `files` how many it
    may open, and `calls` how many it takes at once, where it says.
    """

    settings: Settings
    asterisk: Asterisk
    place: str
    ari: Ari
    version: str
    language: str
    files: int | None
    calls: int | None
    console: Console | None
    entity: str

    @property
    def subject(self) -> str:
        """What its findings are about: the table's name without brackets."""
        return self.place.strip("[]")

    def about(self, subject: str) -> str:
        """The subject of a finding, with the node's name where it has one of its own."""
        return subject if self.subject == "asterisk" else f"{subject} of {self.subject}"


def rows(answer: object) -> list[dict[str, object]]:
    """What ARI gives as a list."""
    return [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else []


async def global_variable(node: Node, name: str) -> str:
    """A global variable of the dialplan; empty where it is not set."""
    match await node.ari.request("GET", f"asterisk/variable?variable={name}"):
        case {"value": str(value)}:
            return value
        case _:
            return ""


async def known_object(node: Node, module: str, kind: str, name: str) -> dict[str, str] | None:
    """What Asterisk has of this name in its files; None where it has none, or not the module."""
    try:
        told = await node.ari.request("GET", f"asterisk/config/dynamic/{module}/{kind}/{quote(name, safe='')}")
    except AriError as error:
        if error.status not in (400, 404):
            raise
        return None
    return {str(one["attribute"]): str(one["value"]) for one in rows(told)}

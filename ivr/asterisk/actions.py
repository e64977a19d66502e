"""Actions of the manager interface: whether one arrives as it is meant, and what may be told of a refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ivr.asterisk.wire import Message

# Asterisk's manager takes lines of 1024 bytes, and writes longer ones to its log.
_LONGEST = 1000

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = re.compile(r"[A-Za-z][A-Za-z ,.'/-]{0,78}")


def shown(name: str) -> str:
    """The action's name as it may stand in an error."""
    return name if _NAME.fullmatch(name) else "?"


def fault(name: str, fields: Mapping[str, str | int]) -> str | None:
    """What keeps this action from arriving as it is meant."""
    if not _NAME.fullmatch(name):
        return "not an action's name"
    for key, value in fields.items():
        if not _NAME.fullmatch(key) or key.lower() in ("action", "actionid"):
            return "not a field's name"
        text = str(value)
        if any(letter < " " or letter == "\x7f" for letter in text):
            return f"a line break or another control character in {key}"
        # surrogates are what is left of a text that was no UTF-8
        if len(key) + len(text.encode(errors="replace")) > _LONGEST or not _is_text(text):
            return f"{key} is too long, or no text"
    return None


def _is_text(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def refusal(message: Message, fields: Mapping[str, str | int]) -> str:
    """Why Asterisk refuses, where it says so in plain words that hold nothing of what was sent."""
    said = message.get("Message", "")
    held = any(str(value) in said for value in fields.values() if len(str(value)) > 2)
    return said if _WORDS.fullmatch(said) and not held else "refused"

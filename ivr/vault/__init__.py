"""The vault: keys, encrypted envelopes, blind indexes, and how PINs and codes are hashed."""

from __future__ import annotations

from functools import partial
from typing import Self

from ivr.config import Settings
from ivr.vault import keys
from ivr.vault.codes import CodeMacs
from ivr.vault.envelope import Envelope, Envelopes, Masters
from ivr.vault.index import Index
from ivr.vault.keys import Key, Keys
from ivr.vault.password import PasswordHasher
from ivr.vault.pin import PinHasher, PinRecord


class Vault:
    """Everything that needs the keys, made from them once.

    `pins` and `codes` are what `call.ports.Pins` and `call.ports.Codes` ask for.
    """

    def __init__(self, both: Keys, settings: Settings, *, again: Masters | None = None) -> None:
        """`again` reads the master keys once more, where one is met that is not among these."""
        self.keys = both
        self.envelopes = Envelopes(both.master, both.former, again=again)
        self.index = Index(both.hash)
        self.codes = CodeMacs(both.hash)
        self.pins = PinHasher(both.hash, settings.steps.pin)
        self.passwords = PasswordHasher(both.hash, settings.desk.password)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Read both keys; raises `ConfigError` where one is missing, wrong, or can be read by others."""
        return cls(keys.load(settings), settings, again=partial(keys.load_masters, settings))

    def close(self) -> None:
        """Let the threads go that hash PINs and passwords."""
        self.pins.close()
        self.passwords.close()


__all__ = [
    "CodeMacs",
    "Envelope",
    "Envelopes",
    "Index",
    "Key",
    "Keys",
    "PasswordHasher",
    "PinHasher",
    "PinRecord",
    "Vault",
]

"""PINs, and whatever else is hashed slowly: keyed, salted, and compared off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

from Crypto.Protocol.KDF import scrypt
from Crypto.Random import get_random_bytes

from ivr.errors import VaultError
from ivr.secret import Secret
from ivr.vault.keys import Key

_SALT = 16
_HASH = 32
_R = 8
"""Block size of scrypt, as every published choice of parameters has it."""

_PACKED = struct.Struct(f">BBBB{_SALT}s{_HASH}s")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class PinRecord:
    """A PIN as it is stored: salted, keyed, and scrypt-hashed with these parameters."""

    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    log2_n: int
    r: int
    p: int

    def to_bytes(self) -> bytes:
        """For storing inside the customer's envelope, which binds it to the customer."""
        return _PACKED.pack(_VERSION, self.log2_n, self.r, self.p, self.salt, self.hash)

    @classmethod
    def from_bytes(cls, data: bytes) -> PinRecord:
        """What `to_bytes` gave; raises `VaultError` for anything else."""
        try:
            version, log2_n, r, p, salt, digest = _PACKED.unpack(data)
        except struct.error:
            raise VaultError("a PIN's record is of the wrong length") from None
        if version != _VERSION:
            raise VaultError("a PIN's record was written by a newer program")
        return cls(salt, digest, log2_n, r, p)


class Cost(Protocol):
    """What scrypt takes, by the settings."""

    @property
    def scrypt_log2_n(self) -> int: ...
    @property
    def scrypt_p(self) -> int: ...


class PinHasher:
    """Makes PIN records and compares with them; implements `call.ports.Pins`.

    scrypt releases the interpreter's lock while it works: its threads use every processor, and the event loop goes on.
    """

    use: ClassVar[str] = "pin"
    """What the key is derived for: one use tells nothing of another."""

    def __init__(self, hash_key: Key, rules: Cost) -> None:
        self._rules = rules
        self.__pepper = hash_key.derive(self.use)
        self._threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix=self.use)
        self._decoy = PinRecord(
            get_random_bytes(_SALT), get_random_bytes(_HASH), rules.scrypt_log2_n, _R, rules.scrypt_p
        )

    async def make(self, pin: Secret) -> PinRecord:
        """The record of a new PIN, with the parameters of the settings."""
        empty = PinRecord(get_random_bytes(_SALT), b"", self._rules.scrypt_log2_n, _R, self._rules.scrypt_p)
        digest = await asyncio.get_running_loop().run_in_executor(self._threads, self._hash, pin, empty)
        return PinRecord(empty.salt, digest, empty.log2_n, empty.r, empty.p)

    async def matches(self, pin: Secret, record: PinRecord | None) -> bool:
        """Whether this is the PIN. For no record the same work is done on a decoy, and the answer is no.

        A record that is cheaper than the settings' cost takes as much work as the decoy; one that is dearer takes more.
        """
        against = self._decoy if record is None else record
        digest = await asyncio.get_running_loop().run_in_executor(self._threads, self._hash_in_full, pin, against)
        return hmac.compare_digest(digest, against.hash) and record is not None

    def close(self) -> None:
        """Let the threads go; a hash that has begun is finished first."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _hash_in_full(self, pin: Secret, record: PinRecord) -> bytes:
        digest = self._hash(pin, record)
        lacking = max(0, _work(self._decoy) - _work(record))
        # As much as can be at today's N: a large N takes longer than its share, for the memory that it needs.
        for log2_n in range(self._decoy.log2_n, 0, -1):
            p, lacking = divmod(lacking, _R << log2_n)
            if p:
                self._hash(pin, replace(self._decoy, log2_n=log2_n, p=p))
        return digest

    def _hash(self, pin: Secret, record: PinRecord) -> bytes:
        # Keyed before it is hashed: whoever has the database but not the hash key cannot try the few possible PINs.
        return scrypt(
            hmac.digest(self.__pepper, pin.reveal().encode(), hashlib.sha256),
            record.salt, _HASH, N=1 << record.log2_n, r=record.r, p=record.p,
        )  # fmt: skip


def _work(record: PinRecord) -> int:
    """What the time of scrypt is proportional to."""
    return (record.r << record.log2_n) * record.p

"""Envelopes: the data of a customer, or of somebody who signs in, encrypted with a key of their own, which the master key encrypts.

AES-256-GCM throughout, with a new random nonce of 96 bits each time (NIST SP 800-38D, 8.2.2). What is encrypted is bound
to the customer and to the field, so that nothing can be moved to another customer, or from one field to another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import NoReturn

from Crypto.Cipher import AES
from Crypto.Random import get_random_bytes

from ivr.errors import ConfigError, VaultError
from ivr.secret import Personal, Secret
from ivr.vault.encoding import joined
from ivr.vault.keys import LENGTH, Key

_VERSION = b"\x01"
_NONCE = 12
_TAG = 16

Masters = Callable[[], Iterable[Key]]
"""Reads the master keys from where they are kept."""

# Seconds between two looks for a key that is not known: rows of a lost one must not have the file read at each call.
_PATIENCE = 1.0


class Envelope:
    """One customer's data key, open. Short-lived: made to seal or to open that customer's fields.

    `key_id` names the master key that `wrapped` is encrypted with; both are stored beside the fields.
    """

    __slots__ = ("__key", "customer", "key_id", "wrapped")

    def __init__(self, customer: str, key_id: str, wrapped: bytes, key: bytes) -> None:
        self.customer = customer
        self.key_id = key_id
        self.wrapped = wrapped
        self.__key = key

    def __repr__(self) -> str:
        return f"<Envelope {self.customer}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Envelope cannot be stored")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        self.__reduce__()

    def seal(self, field: str, text: Secret) -> bytes:
        """Encrypt one field's text."""
        return _seal(self.__key, self._bound_to(field), text.reveal().encode())

    def open(self, field: str, sealed: bytes) -> Personal:
        """The text of one field; raises `VaultError` where it is not what was sealed there."""
        return Personal(self.open_bytes(field, sealed).decode())

    def seal_bytes(self, field: str, data: bytes) -> bytes:
        """Encrypt what is no text, such as a PIN's record."""
        return _seal(self.__key, self._bound_to(field), data)

    def open_bytes(self, field: str, sealed: bytes) -> bytes:
        """What `seal_bytes` took; raises `VaultError` where it is not what was sealed there."""
        try:
            return _open(self.__key, self._bound_to(field), sealed)
        except ValueError:
            raise VaultError(f"{_called(self.customer)}: the encrypted {field} was changed") from None

    def _bound_to(self, field: str) -> bytes:
        return joined("field", self.customer, field)


class Envelopes:
    """Makes envelopes with the newest master key, and opens those of any.

    A key that was added while this runs is read where it is first needed: a running worker goes on while keys are rotated.
    """

    def __init__(self, master: Key, former: Iterable[Key] = (), *, again: Masters | None = None) -> None:
        self.key_id = master.id
        self.__wrapping = {key.id: key.derive("wrap") for key in (*former, master)}
        self.__again = again
        self.__looked = -_PATIENCE

    def new(self, customer: str) -> Envelope:
        """An envelope with a new data key, for a customer of this reference."""
        key = get_random_bytes(LENGTH)
        return Envelope(customer, self.key_id, self._wrapped(customer, key), key)

    def open(self, customer: str, key_id: str, wrapped: bytes) -> Envelope:
        """A stored envelope; raises `VaultError` where it was changed, or is of another customer or master key."""
        return Envelope(customer, key_id, wrapped, self._data_key(customer, key_id, wrapped))

    def rewrapped(self, customer: str, key_id: str, wrapped: bytes) -> bytes:
        """The same data key, wrapped with the newest master key; raises `VaultError` as `open` does."""
        return self._wrapped(customer, self._data_key(customer, key_id, wrapped))

    def _wrapped(self, customer: str, key: bytes) -> bytes:
        return _seal(self.__wrapping[self.key_id], joined("wrap", self.key_id, customer), key)

    def _data_key(self, customer: str, key_id: str, wrapped: bytes) -> bytes:
        master = self.__wrapping.get(key_id) or self._looked_for(key_id)
        if master is None:
            raise VaultError(f"{_called(customer)}: encrypted with another master key than {self.key_id}")
        try:
            return _open(master, joined("wrap", key_id, customer), wrapped)
        except ValueError:
            raise VaultError(f"{_called(customer)}: the encrypted data key was changed") from None

    def _looked_for(self, key_id: str) -> bytes | None:
        """What this key wraps with, where it was added since the keys were read."""
        if self.__again is None or monotonic() - self.__looked < _PATIENCE:
            return None
        self.__looked = monotonic()
        try:
            self.__wrapping |= {key.id: key.derive("wrap") for key in self.__again()}
        except ConfigError:
            return None
        return self.__wrapping.get(key_id)


def _called(owner: str) -> str:
    """No customer's reference has a stroke in it."""
    return owner if "/" in owner else f"customer {owner}"


def _seal(key: bytes, bound_to: bytes, data: bytes) -> bytes:
    nonce = get_random_bytes(_NONCE)
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce, mac_len=_TAG)
    cipher.update(bound_to)
    sealed, tag = cipher.encrypt_and_digest(data)
    return b"".join((_VERSION, nonce, sealed, tag))


def _open(key: bytes, bound_to: bytes, sealed: bytes) -> bytes:
    """Raises `ValueError` for whatever was not sealed with this key and bound to this."""
    head = len(_VERSION)
    if sealed[:head] != _VERSION or len(sealed) < head + _NONCE + _TAG:
        raise ValueError("not sealed")
    nonce, data, tag = sealed[head : head + _NONCE], sealed[head + _NONCE : -_TAG], sealed[-_TAG:]
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce, mac_len=_TAG)
    cipher.update(bound_to)
    return cipher.decrypt_and_verify(data, tag)

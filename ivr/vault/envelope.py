"""Envelopes: a customer's data, encrypted with a key of that customer's own, which the master key encrypts.

AES-256-GCM throughout, with a new random nonce of 96 bits each time (NIST SP 800-38D, 8.2.2). What is encrypted is bound
to the customer and to the field, so that nothing can be moved to another customer, or from one field to another.
"""

from __future__ import annotations

from typing import NoReturn

from Crypto.Cipher import AES
from Crypto.Random import get_random_bytes

from ivr.errors import VaultError
from ivr.secret import Personal, Secret
from ivr.vault.encoding import joined
from ivr.vault.keys import LENGTH, Key

_VERSION = b"\x01"
_NONCE = 12
_TAG = 16


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
            raise VaultError(f"customer {self.customer}: the encrypted {field} was changed") from None

    def _bound_to(self, field: str) -> bytes:
        return joined("field", self.customer, field)


class Envelopes:
    """Makes and opens envelopes with the master key."""

    def __init__(self, master: Key) -> None:
        self.key_id = master.id
        self.__wrapping = master.derive("wrap")

    def new(self, customer: str) -> Envelope:
        """An envelope with a new data key, for a customer of this reference."""
        key = get_random_bytes(LENGTH)
        return Envelope(customer, self.key_id, _seal(self.__wrapping, self._bound_to(customer), key), key)

    def open(self, customer: str, key_id: str, wrapped: bytes) -> Envelope:
        """A stored envelope; raises `VaultError` where it was changed, or is of another customer or master key."""
        if key_id != self.key_id:
            raise VaultError(f"customer {customer}: encrypted with another master key than {self.key_id}")
        try:
            key = _open(self.__wrapping, self._bound_to(customer), wrapped)
        except ValueError:
            raise VaultError(f"customer {customer}: the encrypted data key was changed") from None
        return Envelope(customer, key_id, wrapped, key)

    def _bound_to(self, customer: str) -> bytes:
        return joined("wrap", self.key_id, customer)


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

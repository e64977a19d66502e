"""Which fields of a customer are sealed, and under which names: a name that changes makes old data unreadable."""

from __future__ import annotations

import re
import secrets
from base64 import b32encode

NUMBER = "number"
NAME = "name"
PIN = "pin"
TOTP = "totp"
MAIL = "mail"

_REF = re.compile(r"[a-z2-7]{12}")


def identity(kind: str) -> str:
    """The name of the field of what a customer is called at a provider."""
    return f"identity.{kind}"


def push(id: str) -> str:
    """The name of the field of a browser's subscription."""
    return f"push.{id}"


def evidence(id: str) -> str:
    """The name of the field of what a provider has said."""
    return f"evidence.{id}"


def notice(id: str) -> str:
    """The name of the field of a number that is to be told of something."""
    return f"notice.{id}"


def phone(position: int) -> str:
    """The name of a telephone number's field."""
    return f"phone.{position}"


def new_ref() -> str:
    """A customer's reference, which agents and the dialplan see: 12 letters and digits, random, telling nothing."""
    return b32encode(secrets.token_bytes(8)).decode().lower()[:12]


def is_ref(text: str) -> bool:
    """Whether it has the form of a customer's reference: else it may be anything that somebody has typed."""
    return _REF.fullmatch(text) is not None


def person(id: str) -> str:
    """Whose envelope that of somebody who signs in is: never that of a customer."""
    return f"person/{id}"


def token_key(id: str) -> str:
    """Whose envelope that of a key that signs tokens is."""
    return f"token/{id}"


def credential(method: str) -> str:
    """The name of the field of a way of signing in."""
    return f"credential.{method}"


def endpoint_key(endpoint: str) -> str:
    """What an endpoint is found by: two that differ in upper and lower case alone belong to one person."""
    return endpoint.casefold()


def customer_key(tenant: str, index: str) -> str:
    """What is counted of a customer by (`Subject.key`): the tenant, and the blind index of the number."""
    return f"{tenant}:{index}"


def of_customer_key(key: str) -> tuple[str, str]:
    """Tenant and blind index again; the tenant is empty where none stands there, as before customers had one."""
    tenant, _, index = key.rpartition(":")
    return tenant, index

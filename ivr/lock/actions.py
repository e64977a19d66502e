"""What can be done to a customer's record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ivr.errors import InputError
from ivr.numbers import e164
from ivr.prompts import languages
from ivr.secret import Personal, Secret
from ivr.store.register import Customer

MOST_PHONES = 10
"""Telephone numbers of one customer."""

# longer than any number, in whatever way it is written
_LONGEST = 40

ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "lock": (),
        "set_language": ("language",),
        "add_phone": ("phone",),
        "change_phone": ("phone", "to"),
        "remove_phone": ("phone",),
        "replace_sim": ("phone",),
        "clear_pin": (),
    }
)
"""By name, with what each is given; all of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """An act, checked, but for whether the record is one on which it can be done.

    `detail` is what the trail is told of it: numbers are masked.
    """

    action: str
    language: str | None = None
    phone: Personal | None = None
    to: Personal | None = None
    detail: Mapping[str, str] = field(default_factory=dict)

    def phones(self, held: Customer) -> tuple[Personal, ...]:
        """The telephone numbers as they are then. Raises `InputError` where these are not numbers to do that with."""
        match self:
            case Change(action="add_phone", phone=Personal() as phone):
                return _new(held.phones, phone, held.phones)
            case Change(action="change_phone", phone=Personal() as phone, to=Personal() as to):
                others = _without(held.phones, phone)
                _new(others, to, held.phones)
                return tuple(to if one == phone else one for one in held.phones)
            case Change(action="remove_phone", phone=Personal() as phone):
                return _without(held.phones, phone)
            case Change(action="replace_sim", phone=Personal() as phone):
                _without(held.phones, phone)
                return held.phones
            case _:
                return held.phones


def checked(action: str, arguments: Mapping[str, Secret], country: str) -> Change:
    """The change. Raises `InputError` for what is none, or is given other things than it needs; never with what was given."""
    if action not in ACTIONS:
        raise InputError(f"action: there is no such one. Here belong: {', '.join(ACTIONS)}")
    if set(arguments) != set(ACTIONS[action]):
        belongs = ", ".join(ACTIONS[action]) or "nothing"
        raise InputError(f"{action}: is not given what it needs. Here belongs: {belongs}")
    read: dict[str, Callable[[Secret], str | Personal]] = {
        "language": _language,
        "phone": lambda text: _number(text, country, "phone"),
        "to": lambda text: _number(text, country, "to"),
    }
    given = {name: read[name](text) for name, text in arguments.items()}
    told = {name: value.masked if isinstance(value, Personal) else value for name, value in given.items()}
    language, phone, to = given.get("language"), given.get("phone"), given.get("to")
    return Change(
        action,
        language if isinstance(language, str) else None,
        phone if isinstance(phone, Personal) else None,
        to if isinstance(to, Personal) else None,
        told,
    )


def _language(text: Secret) -> str:
    known = list(languages())
    try:
        return known[known.index(text.reveal())]
    except ValueError:
        raise InputError(f"language: there are no prompts in it. Write one of: {', '.join(known)}") from None


def _number(text: Secret, country: str, name: str) -> Personal:
    number = e164(text.reveal(), country) if len(text) <= _LONGEST else None
    if number is None:
        raise InputError(f"{name}: is no telephone number. Write it as +46701234567, or as it is dialled in {country}")
    return number


def _new(others: tuple[Personal, ...], phone: Personal, all_of: tuple[Personal, ...]) -> tuple[Personal, ...]:
    if phone in all_of:
        raise InputError("phone: the customer has it. Nothing was done")
    if len(others) >= MOST_PHONES:
        raise InputError(f"phone: the customer has {MOST_PHONES} of them. Remove one. Nothing was done")
    return (*others, phone)


def _without(phones: tuple[Personal, ...], phone: Personal) -> tuple[Personal, ...]:
    if phone not in phones:
        raise InputError("phone: the customer has none like it. Nothing was done")
    return tuple(one for one in phones if one != phone)

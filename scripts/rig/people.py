"""Made-up customers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Customer:
    """A made-up customer. The first of `phones` gets the texts."""

    number: str
    name: str
    phones: str = ""
    pin: str = ""
    language: str = ""
    policy: str = ""


ANNA = Customer("10001", "Anna Andersson", "+46701740601", "2580")
BO = Customer("10002", "Bo Berg", "+46701740602", "7391")
CECILIA = Customer("10003", "Cecilia Dahl", "+46701740603;+46701740699", "4862")
DAVID = Customer("10004", "David Ek", "+46701740604;+46701740699", "9157")
CUSTOMERS = (ANNA, BO, CECILIA, DAVID)

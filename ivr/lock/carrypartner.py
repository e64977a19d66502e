"""How a proof reaches the app of another company, such as the person's bank: by what that app calls the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ivr.call.proof import Proof, Stage
from ivr.errors import NobodyThere, PushError
from ivr.lock.carryapp import App
from ivr.lock.proofports import Reach, Told
from ivr.secret import Personal, Secret
from ivr.store.register import Customer


class Ids(Protocol):
    """`ivr.store.partners.Partners`."""

    async def of(self, ref: str) -> Mapping[str, Personal]: ...


class PartnerCarrier:
    """To one app: the first, in the order of the settings, that takes it. Nothing tells whether it was shown, and nobody which app it was."""

    def __init__(self, apps: Mapping[str, App], ids: Ids, url: str) -> None:
        """`apps`: by the names under which the customer's ids are kept; `url`: of the public page."""
        self._apps = apps
        self._ids = ids
        self._url = url.rstrip("/")

    async def reach_of(self, held: Customer, _: Personal | None, __: float) -> Reach | None:
        """None where no id of the customer's at any of them is on record. It is not changed at the desk."""
        ids = await self._ids.of(held.ref)
        # which app, and under which id, is looked up as it goes out
        return Reach(Personal(""), None) if ids.keys() & self._apps.keys() else None

    def parts(self, proof: Proof, word: Secret) -> int:
        """None: no text goes."""
        del proof, word
        return 0

    async def carry(self, proof: Proof, to: Personal, word: Secret, told: Told) -> None:
        """Raises `PushError` where none of their servers takes it, or knows such a user."""
        del to
        link = word.within(f"{self._url}/p/{{link}}", "{link}")
        ids, why = await self._ids.of(proof.subject), "partner: no id is left"
        for name, app in self._apps.items():
            if (user := ids.get(name)) is None:
                continue
            try:
                await app.ask(user, link, proof.shown.company, proof.until)
            except (NobodyThere, PushError) as error:
                why = str(error)
            else:
                await told(Stage.SENT)
                return
        raise PushError(why)

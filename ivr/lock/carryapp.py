"""How a proof reaches the company's own app: its server is told, and shows it to the one user."""

from __future__ import annotations

from typing import Protocol

from ivr.call.proof import Proof, Stage
from ivr.errors import NobodyThere, PushError
from ivr.lock.proofports import Reach, Told
from ivr.secret import Personal, Secret
from ivr.store.register import Customer


class App(Protocol):
    """`ivr.push.app.AppServer`."""

    async def ask(self, user: Personal, link: Secret, company: str, until: int) -> None: ...


class AppCarrier:
    """It knows its users by their customer numbers. Nothing tells whether it was shown."""

    def __init__(self, app: App, url: str) -> None:
        """`url`: of the public page."""
        self._app = app
        self._url = url.rstrip("/")

    async def reach_of(self, held: Customer, _: Personal | None, __: float) -> Reach | None:
        """Every customer has a number; whether there is an app, its server knows."""
        return Reach(held.number, None)

    def parts(self, proof: Proof, word: Secret) -> int:
        """None: no text goes."""
        del proof, word
        return 0

    async def carry(self, proof: Proof, to: Personal, word: Secret, told: Told) -> None:
        """Raises `PushError` where its server does not take it, or knows no such user."""
        link = word.within(f"{self._url}/p/{{link}}", "{link}")
        try:
            await self._app.ask(to, link, proof.shown.company, proof.until)
        except NobodyThere as error:
            raise PushError(str(error)) from None
        await told(Stage.SENT)

"""How the message of a proof goes out."""

from __future__ import annotations

from ivr.call.proof import Proof, Stage, Way
from ivr.errors import TextError
from ivr.lock.proofports import Told
from ivr.numbers import Range
from ivr.prompts import text
from ivr.secret import Personal, Secret
from ivr.sms.dispatch import Dispatch


class TextCarrier:
    """By text message: with a link, or with a short code for a site that the person knows."""

    def __init__(self, way: Way, dispatch: Dispatch, url: str, site: str) -> None:
        """`url`: of the public page; `site`: what it is called in a message that has no link."""
        self._words = "proof" if way is Way.TEXT else "proof_code"
        self._dispatch = dispatch
        self._url = url.rstrip("/")
        self._site = site

    def range_of(self, number: Personal) -> Range | None:
        """As of `Texts`."""
        return self._dispatch.range_of(number)

    def parts(self, proof: Proof, word: Secret) -> int:
        """As of `Texts`."""
        return self._dispatch.parts(self._message(proof, word))

    async def carry(self, proof: Proof, to: Personal, word: Secret, told: Told) -> None:
        """Raises `TextError` where no gateway takes it, or each that has says that it will not arrive."""
        message = self._message(proof, word)
        handed = await self._dispatch.send(to, message)
        if handed.nowhere:
            raise TextError("no text goes to the number on record")
        await told(Stage.SENT)
        report = await self._dispatch.follow(handed, to, message)
        if report is None:
            return
        if report.delivery.lost:
            raise TextError(f"{report.gateway}: {report.delivery.value} {report.code}".rstrip())
        await told(Stage.DELIVERED)

    def _message(self, proof: Proof, word: Secret) -> Secret:
        shown = proof.shown
        name = f"{self._words}_{'outbound' if shown.outbound else 'inbound'}"
        who = f"{shown.agent}, {shown.department}" if shown.department else shown.agent
        filled = text(name, shown.language, company=shown.company, who=who, about=shown.about, site=self._site)
        return word.within(filled.replace("{link}", f"{self._url}/p/{{code}}"), "{code}")

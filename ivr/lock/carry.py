"""How the message of a proof goes out."""

from __future__ import annotations

from ivr.call.proof import Proof, Stage, Way
from ivr.errors import TextError
from ivr.lock.proofports import Reach, Told
from ivr.prompts import text
from ivr.secret import Personal, Secret
from ivr.sms.dispatch import Dispatch
from ivr.store.register import Customer


class TextCarrier:
    """By text message: with a link, or with a short code for a site that the person knows."""

    def __init__(self, way: Way, dispatch: Dispatch, url: str, site: str) -> None:
        """`url`: of the public page; `site`: what it is called in a message that has no link."""
        self._words = "proof" if way is Way.TEXT else "proof_code"
        self._dispatch = dispatch
        self._url = url.rstrip("/")
        self._site = site

    async def reach_of(self, held: Customer, on_line: Personal | None, settled: float) -> Reach | None:
        """The telephone on the line, where that is on record and texts go to it; else the first one on record that they go to."""
        # who calls from a number of theirs has that telephone at hand
        phones = [number for number, since in zip(held.phones, held.since, strict=True) if since <= settled]
        for number in sorted(phones, key=lambda one: on_line is None or one != on_line):
            if (area := self._dispatch.range_of(number)) is not None:
                return Reach(number, area)
        return None

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
        return message(self._words, proof, word, self._url, self._site)


def message(words: str, proof: Proof, word: Secret, url: str, site: str = "") -> Secret:
    """The sentence of this name in the person's language, with the link or the code in it."""
    return word.within(_filled(words, proof, site).replace("{link}", f"{url}/p/{{code}}"), "{code}")


def sentence(words: str, proof: Proof) -> str:
    """The same without a link, where that goes beside it."""
    return _filled(words, proof, "").replace("{link}", "").strip()


def _filled(words: str, proof: Proof, site: str) -> str:
    shown = proof.shown
    name = f"{words}_{'outbound' if shown.outbound else 'inbound'}"
    who = f"{shown.agent}, {shown.department}" if shown.department else shown.agent
    return text(name, shown.language, company=shown.company, who=who, about=shown.about, site=site)

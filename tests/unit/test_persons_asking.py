"""What is asked of an app behind a proof: a provider that is away counts no try, and whose turn it is stays so as long as an order goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ivr.errors import EidError, StoreError
from ivr.persons.asking import Asking
from ivr.secret import Secret
from ivr.store.backs import Back
from tests.contract.ari_log import Log

BACK = Back("proof", "browser", "strict", "bankid", "round", "own")
PROOF: Any = SimpleNamespace(
    id="proof", node="node", channel="c.1", tenant="main",
    shown=SimpleNamespace(language="en", agent="Agda", outbound=False),
)  # fmt: skip
TALK: Any = SimpleNamespace(subject=SimpleNamespace(ref="ref-1", key="main:key"), round="round")


class House:
    """All that is asked; `down` is what fails."""

    def __init__(self, *down: str) -> None:
        self.down = down
        self.done: list[str] = []
        settings = SimpleNamespace(
            company=SimpleNamespace(name="Acme"), page=SimpleNamespace(url="https://id.example.com")
        )
        around: Any = SimpleNamespace(
            settings=settings, log=Log().logger, eids={"bankid": self}, identities=SimpleNamespace(of=self.does("of", Secret("1"))),
            turns=SimpleNamespace(take=self.does("take", self.does("let", None))), beside=SimpleNamespace(count=self.does("count", None)),
            trail=SimpleNamespace(append=self.does("row", "asked")), backs=SimpleNamespace(of=self.does("shown", None)),
        )  # fmt: skip
        self.life = 60.0
        self.reach, self.begin = self.does("reach", None), self.does("begin", "order")
        self.cancel = self.does("cancel", "cancel" not in down)
        backing: Any = SimpleNamespace(over=self.does("over", None))
        self.asking = Asking(around, backing)

    def does(self, what: str, answer: object) -> Callable[..., Any]:
        async def done(*_: object) -> object:
            await asyncio.sleep(0)
            self.done.append(what)
            if what in self.down and what != "cancel":
                raise EidError("away") if what == "reach" else StoreError("away")
            return answer

        return done

    async def identify(self) -> list[str]:
        wish: Any = SimpleNamespace(address="192.0.2.1")
        taking: Any = None
        await self.asking.identify(PROOF, BACK, TALK, None, wish, taking)
        return self.done


@pytest.fixture(autouse=True)
def _provider(monkeypatch: pytest.MonkeyPatch) -> None:
    one = SimpleNamespace(name="bankid", kind="person_number")
    monkeypatch.setattr("ivr.persons.asking.provider", lambda *_: one)


async def test_a_provider_that_is_away_counts_no_try() -> None:
    assert await House("reach").identify() == ["of", "take", "reach", "let", "over"]


async def test_an_order_that_nobody_can_be_shown_is_cancelled_and_the_turn_given_back() -> None:
    assert (await House("shown").identify())[-4:] == ["shown", "cancel", "let", "over"]


async def test_an_order_that_goes_on_keeps_others_from_asking() -> None:
    done = await House("shown", "cancel").identify()
    assert done[-2:] == ["cancel", "over"] and "let" not in done

"""Whoever denies behind the confirmation has no mark by what was shown on the page. Real Redis and database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ivr.call.mark import Mark
from ivr.call.ports import Attempt
from ivr.call.proof import Proof
from ivr.secret import Secret
from ivr.store.backs import Back, Backs, BackStage
from ivr.store.live import RedisLive
from tests.contract.live_server import Server
from tests.contract.lock_kit import NODE
from tests.contract.prove_kit import CALL, Proved, proving_in, until
from tests.unit.database_kit import asked

pytestmark = pytest.mark.servers

SETTINGS = '[prove]\nback = ["app"]\n[policies.app]\nsteps = ["totp"]\nlevel = 1\n'


@pytest.fixture
async def here(tmp_path: Path, server: Server) -> AsyncIterator[Proved]:
    async with proving_in(tmp_path, server, SETTINGS) as made:
        yield made


def backs_of(here: Proved) -> Backs:
    assert here.desk.prover is not None
    return here.desk.prover.backs


def live_of(here: Proved) -> RedisLive:
    return here.desk.live


async def marked(here: Proved, *, nonce: str = "nonce") -> tuple[Proof, Secret]:
    """The person has keyed the digits, and then shown on the page who they are."""
    proof, link = await here.begun()
    await here.page.opened(link)
    await until(lambda: _said(here))
    await here.page.key(link, Secret(here.speech.said[-1][:6]))
    await here.stage("confirmed")
    mark = Mark(NODE, CALL, proof.subject, 1, ("totp",), "app", int(time.time()) + 600, "nonce")
    assert await live_of(here).place_beside(mark, Attempt("acme:nobody", None, f"{NODE}:{CALL}"))
    back = Back(proof.id, "browser", "app", "totp", "round", "own-p-anna", BackStage.KNOWN, mark=nonce)
    assert await backs_of(here).change(proof.id, lambda _: back) == back
    return proof, link


async def _said(here: Proved) -> bool:
    return bool(here.speech.said)


async def voids(here: Proved) -> list[tuple[str, str, str, str]]:
    rows = await asked(here.desk.database, "SELECT actor, outcome, call, subject FROM audit WHERE action = 'mark.void'")
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def test_a_denial_behind_the_mark_takes_it_away(here: Proved) -> None:
    proof, link = await marked(here)
    await here.page.deny(link)

    async def over() -> bool:
        back = await backs_of(here).of(proof.id)
        return back is not None and back.stage is BackStage.REFUSED

    await until(over)
    assert await live_of(here).mark(NODE, CALL) is None
    assert await voids(here) == [("desk", "abandoned", CALL, proof.subject)]
    assert ("unmark", NODE, CALL, "own-p-anna") in here.desk.switch.done


async def test_a_mark_of_another_round_stays(here: Proved) -> None:
    _, link = await marked(here, nonce="another")
    await here.page.deny(link)
    await until(lambda: _denied(here))
    stands = await live_of(here).mark(NODE, CALL)
    assert stands is not None and stands.nonce == "nonce"
    assert await voids(here) == []


async def _denied(here: Proved) -> bool:
    return any(done[0] == "event" and done[2] == "CallerDeniesUs" for done in here.desk.switch.done)


async def test_what_nothing_comes_of_is_over_by_itself(here: Proved) -> None:
    backs = backs_of(here)
    begun = Back("p", "browser", "app", "totp", "round", "own", until=int(time.time()) + 600)
    await backs.change("p", lambda _: begun)
    assert await backs.of("p") == begun
    late = replace(begun, until=int(time.time()) - 1)
    await backs.change("p", lambda _: late)
    assert await backs.of("p") == replace(late, stage=BackStage.REFUSED, why="over")

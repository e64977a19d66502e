"""From the desk to the proxy: a code for one host and one browser, for who has calls and has signed in."""

from __future__ import annotations

import hashlib

import pytest

from ivr.secret import Secret
from ivr.store.handovers import Handovers
from ivr.store.link import Link
from tests.contract.live_server import Server
from tests.contract.web_kit import desk

pytestmark = pytest.mark.servers

PROXY = '[proxy]\nurl = "https://crm.example.com"\n'
BEGUN = hashlib.sha256(b"bits").hexdigest()


async def test_who_has_signed_in_goes_on_with_a_code(server: Server) -> None:
    async with desk(server, PROXY) as made:
        answer = await made.get(f"/crossing?begun={BEGUN}")
        assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
        await made.sign_in()
        for query in ("", "?begun=", "?begun=x", f"?begun={BEGUN}0", f"?begin={BEGUN}"):
            assert (await made.get(f"/crossing{query}")).status == 404
        answer = await made.get(f"/crossing?begun={BEGUN}")
        place, _, code = answer.headers["Location"].partition("?code=")
        assert (answer.status, place) == (303, "https://crm.example.com/.tillit/enter")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        link = Link.of(made.settings)
        handovers = Handovers(link, made.settings.redis.prefix, made.settings.desk)
        token = await handovers.take(Secret(code), "crm.example.com", Secret("bits"))
        assert token is not None
        guest = await handovers.of(token, per_minute=600)
        assert guest is not None
        assert guest.person == "p-anna"
        await link.close()
        assert code not in str(made.log.lines)


async def test_who_has_no_calls_does_not(server: Server) -> None:
    async with desk(server, PROXY) as made:
        await made.sign_in("rut")
        assert (await made.get(f"/crossing?begun={BEGUN}")).status == 403


async def test_without_a_proxy_there_is_no_such_way(server: Server) -> None:
    async with desk(server) as made:
        await made.sign_in()
        assert (await made.get(f"/crossing?begun={BEGUN}")).status == 404


async def test_a_session_that_ends_meanwhile_goes_nowhere(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        return None

    monkeypatch.setattr(Handovers, "keep", gone)
    async with desk(server, PROXY) as made:
        await made.sign_in()
        assert (await made.get(f"/crossing?begun={BEGUN}")).headers["Location"] == "/sign-in"

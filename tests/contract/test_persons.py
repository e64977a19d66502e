"""Two people show each other who they are: the page and the desk's side on a real Redis, BankID and a gateway by their published forms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.live_server import Server
from tests.contract.persons_kit import ASKER, KARIN, KARL, OTHER, People, code_of, link_of, people

pytestmark = pytest.mark.servers


@pytest.fixture
async def there(server: Server, tmp_path: Path) -> AsyncIterator[People]:
    async with people(server, tmp_path) as made:
        yield made


async def test_from_the_question_to_the_answer(there: People) -> None:
    karl = await there.browser()
    app = await karl.begin("0701740605", "070-174 06 06")
    assert "Open BankID" in app.said
    assert 'href="https://app.bankid.com/?autostarttoken=auto%20canary%2F1&amp;redirect=http' in app.text
    assert "+46…06" in there.bankid.last.visible, "whom it is shown to"
    keyed = await there.identified(karl, KARL)
    code = await there.text(1)
    assert (code["to"], len(there.gateway.asked)) == (ASKER, 1), "the own number first, and nobody else"
    assert "Is it your number?" in keyed.said or "Is it your number?" in (await karl.until("Is it your number?")).said
    waits = await karl.send("/person/code", code=code_of(code["message"]))
    assert f"It has gone to {OTHER}" in waits.said
    assert waits.headers["Refresh"] == "5"

    asks = await there.text(2)
    assert asks["to"] == OTHER
    assert asks["message"].startswith(f"Acme: Karl Canaryson, identified by BankID, with the number {ASKER}, ")
    link, karin = link_of(asks["message"]), await there.browser()
    first = await karin.ask(link)
    assert "Somebody shows you who they are" in first.said
    assert "Canaryson" not in first.text
    who = await karin.send(f"{link}/open")
    for said in ("Karl Canaryson", ASKER, "BankID", OTHER):
        assert said in who.said
    assert "Open BankID" in (await karin.send(f"{link}/answer", start="here")).said
    assert "Karl Canaryson" in there.bankid.last.visible
    await there.identified(karin, KARIN, name="Karin Svar")
    met = await karin.until("This is who it is")
    assert "Karl Canaryson" in met.said
    assert ASKER in met.said
    found = await karl.until("This is who it is")
    assert "Karin Svar" in found.said
    assert OTHER in found.said
    assert "It was answered" in (await karin.ask(link)).said
    assert [entry.action for entry in there.trail.entries] == ["person.identify", "person.ask", "person.answer"]
    assert len(there.gateway.asked) == 2

"""Our own domain, as the doctor looks at it: as another organisation asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ivr.doctor import peers as doctor
from ivr.doctor.finding import Finding
from ivr.peers import keys
from tests.contract.peers_kit import Internet, Organisation, organisation
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers


@pytest.fixture
async def hospital(tmp_path: Path) -> AsyncIterator[Organisation]:
    async with organisation(Internet(tmp_path), "hospital.example", "+46812345678") as made:
        yield made


async def looked(one: Organisation) -> list[Finding]:
    return await doctor.check(one.settings, one.internet.names, one.internet.clock)


async def test_all_is_well(hospital: Organisation) -> None:
    (found,) = await looked(hospital)
    assert (found.name, found.what) == (
        "ok",
        "https://hospital.example/.well-known/tillit.json is signed by the key that is here",
    )


async def test_without_a_domain_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert [one.name for one in await doctor.check(settings_in(tmp_path))] == ["ok"]


async def test_a_key_that_is_not_there(hospital: Organisation) -> None:
    hospital.settings.path(hospital.settings.peers.key_file).unlink()
    assert [one.name for one in await looked(hospital)] == ["peers-settings"]


async def test_a_domain_that_tells_nothing(hospital: Organisation) -> None:
    hospital.body = "<html>welcome</html>"
    (found,) = await looked(hospital)
    assert (found.name, "it is no document of a Tillit" in found.what) == ("peers-away", True)
    hospital.internet.names.leads.clear()
    (found,) = await looked(hospital)
    assert found.name == "peers-away"
    assert found.cure[0] == "curl -sv https://hospital.example/.well-known/tillit.json"


async def test_a_desk_with_another_key(hospital: Organisation) -> None:
    keys.turn(hospital.settings, hospital.internet.clock())
    (found,) = await looked(hospital)
    assert found.name == "peers-other"
    assert hospital.own.key.id in found.what


async def test_no_number_that_others_know(tmp_path: Path) -> None:
    async with organisation(Internet(tmp_path), "hospital.example", "") as made:
        (found,) = await looked(made)
        assert found.name == "peers-unnumbered"
        assert "[peers] numbers" in found.cure[0]

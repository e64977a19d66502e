"""What a login that nobody has takes, compared with one that somebody has: as `test_timing` compares customers."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ivr.secret import Secret
from ivr.staff import Denial, Denied
from ivr.vault import PinRecord
from tests.contract.desk_kit import House, house_in, settings_of
from tests.contract.live_server import Server
from tests.contract.test_timing import Work, measured
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

GENEROUS = """
[desk]
url = "https://desk.example.com"
[desk.password]
scrypt_p = 1
[desk.sign_in]
login_in_a_row = 100
login_most = 100
address_in_a_row = 1000
all = 1000000
"""
PAIRS = 60


async def tries(house: House) -> tuple[Work, Work]:
    """With a wrong password: for each of some people in turn, and for logins that nobody has."""
    known = itertools.cycle([f"anna{n}" for n in range(4)])
    for n in range(4):
        await house.enrolled(f"anna{n}", f"PJSIP/{n}")
    number = itertools.count()

    async def wrong(login: str) -> None:
        place = f"10.{next(number) // 250 % 250}.{next(number) % 250}.1"
        answer = await house.door.sign_in("main", login, Secret("a wrong password"), Secret("000000"), place)
        assert answer == Denied(Denial.WRONG)

    return (lambda: wrong(next(known))), (lambda: wrong(f"nobody{next(number)}"))


async def test_a_login_that_nobody_has_takes_as_long(tmp_path: Path, server: Server) -> None:
    async with house_in(settings_of(settings_in(tmp_path), server, GENEROUS)) as house:
        wall, work = await measured(*await tries(house), PAIRS)
    assert not wall.differ, wall
    assert not work.differ, work


async def test_one_that_compares_nothing_for_nobody_is_found(tmp_path: Path, server: Server) -> None:
    """The control: scrypt is left out where there is nobody."""
    async with house_in(settings_of(settings_in(tmp_path), server, GENEROUS)) as house:
        matches = house.vault.passwords.matches

        async def hasty(pin: Secret, record: PinRecord | None) -> bool:
            return record is not None and await matches(pin, record)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(house.vault.passwords, "matches", hasty)
            wall, work = await measured(*await tries(house), 40)
    assert wall.differ and work.differ, (wall, work)

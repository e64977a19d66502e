"""The company proves who it is by e-mail: real Redis, database and mail server."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from ivr.call.proof import Proof, Stage, Way
from ivr.config import load
from ivr.errors import ConfigError
from ivr.lock import Reason
from ivr.secret import Personal, Secret
from ivr.store import mails
from ivr.store.opened import Confirmed
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, denied
from tests.contract.prove_kit import CALL, Proved, proving_in, until
from tests.contract.test_mail import Server as MailServer
from tests.contract.test_mail import ca, serving
from tests.unit.database_kit import settings_in

__all__ = ["ca"]
pytestmark = [
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),
]

ADDRESS = "xenia.canary@customer.example"


@asynccontextmanager
async def by_mail(folder: Path, server: Server, ca: trustme.CA) -> AsyncIterator[tuple[Proved, MailServer, str]]:
    """A desk with a mail server, and a customer with an address on record; the reference."""
    async with serving(ca) as mail:
        text = (
            f'[prove]\nways = ["mail", "text"]\n[mail]\nhost = "localhost"\nport = {mail.port}\nusername = "calls"\n'
            'password_file = "mail.password"\nsender = "calls@example.com"\nca_file = "ca.pem"\n'
        )
        async with proving_in(folder, server, text) as here:
            ref = await here.desk.customer("10001", "Xenia Ask", "+46701112233")
            async with here.desk.database.write() as connection:
                await mails.keep(connection, here.desk.vault, ref, Personal(ADDRESS), time.time())
            here.desk.joined(ANNA, CALL)
            yield here, mail, ref


async def test_from_the_press_to_the_digits(tmp_path: Path, server: Server, ca: trustme.CA) -> None:
    async with by_mail(tmp_path, server, ca) as (here, mail, _):
        assert isinstance(await here.press(way=Way.MAIL), Proof)
        await here.stage("sent")
        ((envelope, message),) = mail.taken
        assert envelope.rcpt_tos == [ADDRESS]
        assert message["Subject"] == "Example"
        said = message.get_content().strip()
        assert said.startswith(
            "Example: Du ringde oss och talar med Anna om en faktura. Stämmer det? https://id.example.com/p/"
        )
        found = re.search(r"/p/([A-Za-z0-9_-]{22})$", said)
        assert found is not None
        link = Secret(found[1])
        seen = await here.page.look(link)
        assert seen is not None and seen.stage is Stage.SENT
        await here.page.opened(link)
        await here.stage("opened")
        await until(lambda: _spoken(here))
        assert await here.page.key(link, Secret(here.speech.said[0])) == Confirmed()
        await here.stage("confirmed")
        assert [(row[1], row[4]["way"]) for row in await here.rows()] == [("asked", "mail"), ("confirmed", "mail")]
        assert here.gateway.asked == [], "no text goes out"


async def _spoken(here: Proved) -> bool:
    return bool(here.speech.said)


async def test_a_mailbox_that_is_not_there(tmp_path: Path, server: Server, ca: trustme.CA) -> None:
    async with by_mail(tmp_path, server, ca) as (here, mail, _):
        mail.recipient = f"550 {ADDRESS} unknown"
        assert isinstance(await here.press(way=Way.MAIL), Proof)
        await here.stage("failed")
        row = (await here.rows())[-1]
        assert (row[1], row[4]["why"]) == ("failed", "mail: there is no such mailbox (status 550)")
        assert "canary" not in str(here.desk.log.lines)


async def test_who_has_no_address_is_as_who_is_no_customer(tmp_path: Path, server: Server, ca: trustme.CA) -> None:
    async with by_mail(tmp_path, server, ca) as (here, mail, ref):
        async with here.desk.database.write() as connection:
            assert await mails.remove(connection, ref)
        assert await here.press(way=Way.MAIL) == denied(Reason.NO_WAY)
        assert await here.press(way=Way.MAIL, customer="10009") == denied(Reason.NO_WAY)
        assert mail.taken == []


def test_without_a_mail_server_it_cannot_be_chosen(tmp_path: Path) -> None:
    file = settings_in(tmp_path).file
    file.write_text(f'{file.read_text()}\n[prove]\nways = ["mail"]\n')
    with pytest.raises(ConfigError, match=r'ways has "mail", and \[mail\] host is left out'):
        load(file)

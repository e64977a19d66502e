"""What the doctor says of the ways in which the company proves who it is, and of people who show each other who they are."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trustme

from ivr.doctor import persons, texts, ways
from ivr.doctor.finding import Finding
from tests.contract.eid_kit import Ends
from tests.contract.live_server import Server
from tests.contract.page_kit import ZONE, page
from tests.contract.test_mail import serving
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

PAGE = '[page]\nurl = "https://id.example.com"\n'


def named(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.name, one.what) for one in found]


def nobody() -> str:
    """An address of this machine at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


async def test_by_texts_alone_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert await ways.check(settings_in(tmp_path)) == []
    assert await ways.check(settings_in(tmp_path, PAGE)) == []


async def test_ways_without_a_page(tmp_path: Path) -> None:
    (found,) = await ways.check(settings_in(tmp_path, '[prove]\nways = ["text"]\n'))
    assert found.name == "prove-page"
    assert f"{tmp_path}/tillit.toml: [prove] ways" in found.what


async def test_the_mail_server(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")

    def text(port: int) -> str:
        return (
            f'{PAGE}[prove]\nways = ["mail"]\n[mail]\nhost = "localhost"\nport = {port}\nusername = "calls"\n'
            'password_file = "mail.password"\nsender = "calls@example.com"\nca_file = "ca.pem"\n'
        )

    async with serving(ca) as server:
        settings = settings_in(tmp_path, text(server.port))
        assert [one.name for one in await ways.check(settings)] == ["prove-settings"]
        (tmp_path / "mail.password").touch(0o600)
        (tmp_path / "mail.password").write_text("another")
        assert named(await ways.check(settings)) == [("prove-away", "mail: username or password is wrong")]
        (tmp_path / "mail.password").write_text("correct horse")
        assert named(await ways.check(settings)) == [("ok", "localhost takes e-mail from us")]
        assert server.taken == []
    assert named(await ways.check(settings)) == [("prove-away", "mail: it cannot be connected to")]


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        (PAGE, True),
        (f'{PAGE}[prove]\nways = ["spoken"]\npublished = "08-123 456"\n', False),
        ('[persons]\neids = ["bankid"]\n', True),
        ("", False),
    ],
)
async def test_texts_are_looked_at_where_any_go_out(more: str, sent: bool, tmp_path: Path) -> None:
    """No policy of these has a step that sends one."""
    found = await texts.check(settings_in(tmp_path, f'[texts]\ngateway = "outbox"\noutbox_folder = "out"\n{more}'))
    assert [one.name for one in found] == (["texts-outbox"] if sent else ["ok"])


# ---------------------------------------------------------------- people who show each other who they are

EIDS = '[persons]\neids = ["bankid"]\n'


async def test_without_them_nothing_is_said(tmp_path: Path) -> None:
    assert await persons.check(settings_in(tmp_path)) == []


async def test_what_the_desk_needs_for_them(tmp_path: Path) -> None:
    found = await persons.check(settings_in(tmp_path, EIDS))
    assert {one.name for one in found} == {"persons-settings"}
    assert ["[eid.bankid]" in found[0].what, "no public page" in found[1].what] == [True, True]


@pytest.mark.parametrize(
    ("lines", "lacks"),
    [
        ('eids = ["freja"]\n', "[eid.freja]"),
        ('eids = ["example"]\nlabels = { example = "Example ID" }\n', "[eid.brokers.example]"),
    ],
)
async def test_whichever_provider_is_missing_is_named(tmp_path: Path, lines: str, lacks: str) -> None:
    found, *_ = await persons.check(settings_in(tmp_path, f"[persons]\n{lines}"))
    assert found.name == "persons-settings"
    assert lacks in found.what and "bankid" not in found.what


@pytest.mark.servers
async def test_the_page_and_the_desk_say_the_same(server: Server, tmp_path: Path) -> None:
    eid = Ends(tmp_path).settings("eid.bankid", "https://127.0.0.1:9/rp/v6.0").eid
    for offered in (True, False):
        async with page(server, ZONE + EIDS * offered) as house:
            with_page = house.settings
            desk = with_page.model_copy(update={"eid": eid, "persons": settings_in(tmp_path, EIDS).persons})
            off = with_page.model_copy(update={"persons": settings_in(tmp_path).persons})
            assert [one.name for one in await persons.check(desk)] == ["ok" if offered else "persons-page"]
            assert [one.name for one in await persons.check(off)] == ["persons-page"] * offered
        # who does not answer is told of beside what else is wrong with the page
        assert await persons.check(desk) == []

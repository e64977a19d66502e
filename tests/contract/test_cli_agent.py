"""`agent …`: who signs in, on both databases and a real Redis."""

from __future__ import annotations

import asyncio
import base64
import gzip
import re
from dataclasses import dataclass

import pyrage
import pytest

from ivr.config import Settings, load
from ivr.database import Database
from ivr.secret import Secret
from ivr.staff import Denied, Person, Role, SignedIn
from ivr.store.identities import Identities
from ivr.store.live import RedisLive
from ivr.store.people import People
from ivr.vault import Vault
from tests.contract.authenticator import Authenticator
from tests.contract.desk_kit import HERE, PASSWORD, house_of, settings_of
from tests.contract.live_server import Server
from tests.unit.cli_kit import Ended, typed
from tests.unit.conftest import Either
from tests.unit.database_kit import asked, empty_database, on_postgresql

pytestmark = pytest.mark.servers

LINK = re.compile(r"https://desk\.example\.com/welcome/([A-Za-z0-9_-]{43})\n")
FIRST = "Nobody signs in at the desk yet: added admin of main as administrator"


@dataclass
class Office:
    settings: Settings

    async def type(self, *words: str, stdin: str = "") -> Ended:
        return await asyncio.to_thread(typed, *words, "--config", str(self.settings.file), stdin=stdin)

    async def well(self, *words: str) -> str:
        ended = await self.type(*words)
        assert (ended.code, ended.err) == (0, ""), ended
        return ended.out

    async def refused(self, *words: str, code: int = 2) -> str:
        ended = await self.type(*words)
        assert (ended.code, ended.out) == (code, ""), ended
        assert "Traceback" not in ended.err
        return ended.err

    async def asked(self, query: str) -> list[tuple[object, ...]]:
        async with await Database.open(self.settings) as database:
            return await asked(database, query)

    async def person(self, login: str, tenant: str = "main") -> Person:
        vault = Vault.open(self.settings)
        try:
            async with await Database.open(self.settings) as database:
                found = await People(database, vault).find(tenant, login)
                assert found is not None
                return found
        finally:
            vault.close()

    async def last(self) -> tuple[object, ...]:
        return (await self.asked("SELECT action, outcome FROM audit WHERE chain = 'cli' ORDER BY seq DESC LIMIT 1"))[0]


@pytest.fixture
async def office(either: Either, server: Server) -> Office:
    made = Office(settings_of(either(), server))
    if on_postgresql(made.settings):
        await empty_database(made.settings)
    out = (await made.well("init")).splitlines(keepends=True)
    at = out.index(f"{FIRST}\n")
    assert LINK.fullmatch(out[at + 2])
    return made


async def test_the_first_run_makes_the_first_administrator_once(office: Office) -> None:
    assert (await office.person("admin")).role is Role.ADMINISTRATOR
    assert await office.well("init") == "Nothing to do: the keys and the database are there.\n"
    rows = await office.asked("SELECT action FROM audit ORDER BY seq")
    assert rows == [("init",), ("agent.add",)]


async def test_without_a_desk_nobody_is_made_and_nobody_is_added(either: Either, server: Server) -> None:
    office = Office(settings_of(either(), server, ""))
    if on_postgresql(office.settings):
        await empty_database(office.settings)
    assert "administrator" not in await office.well("init")
    assert "[desk] url: is left out, and a link begins with it" in await office.refused(
        "agent", "add", "anna", "--name", "Anna"
    )
    assert (
        await office.well("agent", "list") == "Nobody signs in yet: ari_app.py agent add LOGIN --role administrator\n"
    )


async def test_somebody_is_added_shown_listed_and_given_phones(office: Office) -> None:
    out = await office.well(
        "agent", "add", "anna", "--name", "Anna Åkesson", "--role", "Supervisor", "--team", "support",
        "--endpoint", "pjsip/anna", "--endpoint", "PJSIP/anna-home", "--language", "sv",
    )  # fmt: skip
    assert out.startswith("Added anna of main as supervisor\nThe link is good once, for 24 hours.")
    assert LINK.search(out)
    anna = await office.person("anna")
    assert (anna.name, anna.team, anna.language) == ("Anna Åkesson", "support", "sv")
    assert anna.endpoints == {"PJSIP/anna", "PJSIP/anna-home"}
    shown = await office.well("agent", "show", "anna")
    assert (
        "name        Anna Åkesson\n" in shown and "signs in by link\n" in shown and "may         approve, call" in shown
    )
    listed = await office.well("agent", "list")
    assert [line.split()[0] for line in listed.splitlines()] == ["admin", "anna"]
    assert "PJSIP/anna, PJSIP/anna-home" in listed
    assert await office.well("agent", "endpoints", "anna", "--remove", "PJSIP/ANNA", "--add", "SIP/17") == (
        "anna of main: PJSIP/anna-home, SIP/17\n"
    )
    assert await office.well("agent", "list", "--tenant", "other") != listed
    ((detail,),) = await office.asked("SELECT detail FROM audit WHERE action = 'agent.endpoints'")
    assert '"added":"SIP/17"' in str(detail) and '"removed":"PJSIP/ANNA"' in str(detail)


async def test_what_cannot_be_is_refused_with_place_and_cure(office: Office) -> None:
    await office.well("agent", "add", "anna", "--name", "Anna", "--endpoint", "PJSIP/anna")
    add = ("agent", "add", "bo", "--name", "Bo")
    for words, said in (
        (("agent", "add", "Bo Berg", "--name", "B"), "LOGIN: is not 1 to 64 of a-z, 0-9 and . _ @ -"),
        (("agent", "add", "bö", "--name", "B"), "LOGIN: is not 1 to 64"),
        (("agent", "add", "anna", "--name", "B"), "LOGIN: somebody in main has it. Choose another"),
        ((*add, "--role", "boss"), "--role: there is no such role. Write one of: agent, supervisor, administrator"),
        ((*add, "--team", "a b"), "--team: is not 1 to 40 of letters, digits, - and _"),
        ((*add, "--tenant", "a:b"), "--tenant: is not 1 to 40 of letters, digits, - and _"),
        ((*add, "--endpoint", "anna"), "--endpoint: is no phone as Dial() calls it. Write it as PJSIP/anna"),
        ((*add, "--endpoint", "Local/1@x"), "--endpoint: is no phone as Dial() calls it"),
        ((*add, "--endpoint", "PJSIP/a&PJSIP/b"), "--endpoint: is no phone as Dial() calls it"),
        (
            (*add, "--endpoint", "PJSIP/Anna"),
            "--endpoint: PJSIP/anna belongs to anna of main. Take it away there first: "
            "ari_app.py agent endpoints anna --tenant main --remove PJSIP/anna\n",
        ),
        ((*add, "--tenant", "other", "--endpoint", "PJSIP/anna"), "--endpoint: PJSIP/anna belongs to anna of main"),
        ((*add, "--language", "xx"), "language: there are no prompts in it"),
        (("agent", "endpoints", "anna", "--remove", "PJSIP/bo"), "--remove: PJSIP/bo is no phone of anna"),
        (("agent", "endpoints", "admin", "--add", "PJSIP/anna"), "--endpoint: PJSIP/anna belongs to anna"),
        (("agent", "show", "bo"), "LOGIN: nobody in main has it. Type: ari_app.py agent list"),
        (("agent", "show", "anna", "--tenant", "other"), "LOGIN: nobody in other has it"),
        (("agent", "disable", "admin"), "admin: is the last administrator. Add another one first"),
    ):  # fmt: skip
        assert (await office.refused(*words)).startswith(said), words
    assert await office.last() == ("agent.disable", "refused")
    assert [row[0] for row in await office.asked("SELECT login FROM people ORDER BY login")] == ["admin", "anna"]
    assert (await office.person("anna")).endpoints == {"PJSIP/anna"}


async def test_of_two_administrators_who_disable_each_other_one_stays(office: Office) -> None:
    await office.well("agent", "add", "root", "--name", "Root", "--role", "administrator")
    # in processes of their own they would be the same two transactions
    first = await office.type("agent", "disable", "root")
    second = await office.type("agent", "disable", "admin")
    assert sorted((first.code, second.code)) == [0, 2]


async def test_role_team_language_and_name_are_changed(office: Office) -> None:
    await office.well("agent", "add", "anna", "--name", "Anna", "--team", "support")
    before = await office.person("anna")
    assert await office.well(
        "agent", "change", "anna", "--role", "supervisor", "--team", "north", "--language", "pl"
    ) == (
        "Changed anna of main: supervisor, team north\n"
        "The link that anna had is void: it was given for less. For a new one type: ari_app.py agent reset anna --tenant main\n"
    )
    after = await office.person("anna")
    assert (after.role, after.team, after.language, after.id) == (Role.SUPERVISOR, "north", "pl", before.id)
    assert await office.well("agent", "change", "anna", "--team", "", "--language", "", "--name", "Anna Ek") == (
        "Changed anna of main: supervisor, team none\n"
    )
    after = await office.person("anna")
    assert (after.name, after.team, after.language) == ("Anna Ek", "", None)
    told = str((await office.asked("SELECT detail FROM audit WHERE action = 'agent.change' ORDER BY seq"))[0])
    assert '"role":"agent"' in told and '"to_role":"supervisor"' in told
    for words, said in (
        (("anna",), "agent change: names nothing to change"), (("anna", "--role", "boss"), "--role: there is no such role"),
        (("bo", "--team", "x"), "LOGIN: nobody in main has it"), (("admin", "--role", "agent"), "admin: is the last administrator"),
    ):  # fmt: skip
        assert (await office.refused("agent", "change", *words)).startswith(said)
    assert await office.last() == ("agent.change", "refused")


async def test_single_permissions_are_given_taken_and_left_to_the_role(office: Office) -> None:
    await office.well("agent", "add", "anna", "--name", "Anna")
    # the link that she had may be in the hands of whoever got it at the desk, when it opened less
    assert await office.well("agent", "permit", "anna", "approve") == (
        "anna of main may: approve, call, dial, prove, verify\n"
        "The link that anna had is void: it was given for less. For a new one type: ari_app.py agent reset anna --tenant main\n"
    )
    assert await office.well("agent", "deny", "anna", "verify") == "anna of main may: approve, call, dial, prove\n"
    assert await office.well("agent", "deny", "anna", "approve") == "anna of main may: call, dial, prove\n"
    assert await office.well("agent", "usual", "anna", "approve") == "anna of main may: call, dial, prove\n"
    assert await office.well("agent", "usual", "anna", "verify") == "anna of main may: call, dial, prove, verify\n"
    assert (await office.refused("agent", "permit", "anna", "all")).startswith(
        "PERMISSION: there is no such permission"
    )
    assert (await office.refused("agent", "deny", "admin", "staff")).startswith("admin: is the last administrator")
    assert (await office.person("admin")).denied == frozenset()
    rows = await office.asked("SELECT action, outcome FROM audit WHERE action LIKE 'agent.%' ORDER BY seq")
    assert rows[-6:] == [
        ("agent.permit", "done"), ("agent.deny", "done"), ("agent.deny", "done"), ("agent.usual", "done"), ("agent.usual", "done"),
        ("agent.deny", "refused"),
    ]  # fmt: skip


async def test_somebody_is_linked_with_an_account_at_a_provider(office: Office) -> None:
    for login in ("anna", "bo"):
        await office.well("agent", "add", login, "--name", login)
    assert "[desk.oidc]: is left out" in await office.refused("agent", "link", "anna", "abc-1")
    file = office.settings.file
    file.write_text(
        f'{file.read_text()}\n[desk.oidc]\nissuer = "https://op.example.com"\nname = "OP"\nclient_id = "desk"\n'
    )
    assert await office.well("agent", "link", "anna", "abc-1") == (
        "Linked anna of main with an account at https://op.example.com\n"
    )
    assert "signs in by oidc, link" in await office.well("agent", "show", "anna")
    assert (await office.refused("agent", "link", "bo", "abc-1")).startswith("SUBJECT: it is somebody's already")
    assert (await office.refused("agent", "link", "anna", "abc-2")).startswith(
        "SUBJECT: it is somebody's already, or anna"
    )
    assert (await office.refused("agent", "link", "bo", "ö")).startswith("SUBJECT: is not 1 to 255 ASCII")
    assert "abc-1" not in str(await office.asked("SELECT * FROM audit"))
    assert "abc-1" not in str(await office.asked("SELECT * FROM credentials"))
    # a lost password is no reason to take it away
    await office.well("agent", "reset", "anna")
    assert "signs in by oidc, link" in await office.well("agent", "show", "anna")
    assert await office.well("agent", "unlink", "anna") == "Unlinked anna of main\n"
    assert (await office.refused("agent", "unlink", "anna")).startswith("anna: is not linked")
    assert await office.well("agent", "link", "bo", "abc-1")


async def test_reset_and_disable_end_sessions_at_once(office: Office) -> None:
    await office.well("agent", "add", "anna", "--name", "Anna")
    anna = await office.person("anna")
    live = await RedisLive.open(office.settings)
    try:
        sessions = live.sessions(office.settings.desk)

        async def begun() -> Secret:
            made = await sessions.begin(SignedIn(anna, None, 2**53))
            assert not isinstance(made, Denied)
            assert await sessions.of(made[0]) is not None
            return made[0]

        token = await begun()
        out = await office.well("agent", "reset", "anna")
        assert out.startswith("Reset anna of main, and ended all sessions\n") and LINK.search(out)
        assert await sessions.of(token) is None
        token = await begun()
        assert await office.well("agent", "disable", "anna") == (
            "Disabled anna of main, who may do nothing from now on\nEnded all sessions\n"
        )
        assert await sessions.of(token) is None
        assert (await office.person("anna")).permissions == frozenset()
        assert await office.asked("SELECT count(*) FROM links WHERE person = '" + anna.id + "'") == [(0,)]
        assert "is disabled. Type first: ari_app.py agent enable anna" in await office.refused("agent", "reset", "anna")
        assert await office.last() == ("agent.reset", "disabled")
        # as if Redis had been away, and had kept it
        token = await begun()
        assert await office.well("agent", "enable", "anna") == "Enabled anna of main\n"
        assert await sessions.of(token) is None
    finally:
        await live.close()


async def test_without_redis_somebody_is_disabled_all_the_same_and_nobody_is_reset_by_halves(
    office: Office, server: Server
) -> None:
    await office.well("agent", "add", "anna", "--name", "Anna")
    before = await office.asked("SELECT * FROM links ORDER BY 2")
    server.stop()
    assert "no Redis answers" in await office.refused("agent", "reset", "anna", code=75)
    assert await office.asked("SELECT * FROM links ORDER BY 2") == before
    ended = await office.type("agent", "disable", "anna")
    assert (ended.code, ended.out) == (75, "Disabled anna of main, who may do nothing from now on\n")
    assert (await office.person("anna")).disabled
    assert await office.last() == ("agent.disable", "done")


async def test_a_link_is_nowhere_but_on_the_screen(office: Office) -> None:
    found = LINK.search(await office.well("agent", "add", "anna", "--name", "Anna"))
    assert found is not None
    for table in ("people", "links", "audit", "credentials"):
        assert found[1] not in str(await office.asked(f"SELECT * FROM {table}"))


# ---------------------------------------------------------------- keys and back-ups


async def test_people_are_rotated_backed_up_and_brought_back(office: Office, server: Server) -> None:
    await office.well("agent", "add", "anna", "--name", "Anna Åkesson", "--team", "a", "--endpoint", "PJSIP/anna")
    await office.well("customer", "add", "10001", "--name", "Bo", "--no-pin")
    file = office.settings.file
    out = await office.well("keys", "backup", str(file.parent / "identity"))
    file.write_text(f"{file.read_text()}\n{out[out.index('[backup]') :]}")
    async with house_of(office.settings) as house:
        anna = await house.enrol(await office.person("anna"))
        app, key = house.keys, Authenticator()
        answer = key.make(await house.passkeys.offer(anna, b"browser"))
        assert await house.passkeys.add(anna, b"browser", answer, "Canary laptop", HERE)
        assert await Identities(house.database, house.vault).link(anna, "https://op.example.com", "canary-subject")
        link = await house.invite(await house.people.find("main", "admin") or anna)
    ((old,),) = await office.asked("SELECT DISTINCT key_id FROM people")
    assert "Wrapped 3 data keys" in await office.well("keys", "rotate")
    ((new,),) = await office.asked("SELECT DISTINCT key_id FROM people")
    assert new != old
    assert "Destroyed" in await office.well("keys", "retire", str(old))
    before = await office.person("anna")
    assert before.name == "Anna Åkesson"
    saved = file.parent / "one.age"
    assert "Wrote 1 customers, 2 people who sign in and " in await office.well("backup", str(saved))
    # sealed with the person's data key, which lies apart: whoever reads the one file reads none of this
    identity = pyrage.x25519.Identity.from_str((file.parent / "identity").read_text().splitlines()[-1])
    plain = gzip.decompress(pyrage.decrypt(saved.read_bytes(), [identity]))
    assert anna.id.encode() in plain, "it is the right file"
    secrets = (
        PASSWORD,
        app["anna"].reveal(),
        link.reveal(),
        "Åkesson",
        "Canary laptop",
        "canary-subject",
        key.id.hex(),
    )
    for canary in (*(one.encode() for one in secrets), key.id, base64.b64encode(key.id)[:40]):
        for text in (plain, saved.read_bytes(), saved.with_name("data-keys.age").read_bytes()):
            assert canary not in text
    ended = await office.type("keys", "rotate")
    assert ended.code == 0
    assert "newest data-keys.age needs it" in await office.refused("keys", "retire", str(new))
    # on a new machine, an SQLite
    other = file.parent / "new"
    other.mkdir()
    text = re.sub(r"(?s)\[database\].*?(?=\[)", "", file.read_text())
    (other / "tillit.toml").write_text(text)
    (other / "keys").symlink_to(file.parent / "keys")
    again = Office(load(other / "tillit.toml"))
    out = await again.well("restore", str(saved), "--identity", str(file.parent / "identity"))
    assert "Restored 1 customers, 2 people who sign in and " in out
    assert await again.person("anna") == before
    assert await office.asked("SELECT count(*) FROM links") == [(1,)]
    assert await again.asked("SELECT count(*) FROM links") == [(0,)], "a link may have been used since"
    async with house_of(again.settings) as house:
        house.keys = app
        entered = await house.sign_in("anna")
        assert isinstance(entered, SignedIn) and entered.person == before
        shown = key.show(await house.passkeys.ask(b"browser", alone=True))
        assert isinstance(await house.door.sign_in_by_passkey("main", shown, b"browser", HERE), SignedIn)
        assert await Identities(house.database, house.vault).who("https://op.example.com", "canary-subject") == before

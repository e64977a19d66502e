"""The desk with a real call behind it: who may read a customer's record, and when. Signed in by password and code, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import aiohttp
import pytest
from rig.crm import DOCUMENT
from rig.desk import Desk
from rig.guest import Guest
from rig.ports import HOST, Ports
from rig.stage import ANNA, Stage
from rig.totp import App
from yarl import URL

from ivr.vault.tokens import Verifier
from tests.contract.ami_server import PASSWORD as AMI_PASSWORD
from tests.contract.ami_server import USER, AmiServer, message
from tests.contract.hooks_kit import SECRET, listening
from tests.contract.metrics_kit import samples
from tests.contract.web_kit import Jar
from tests.e2e.scene import LIMIT, Scene

STAGE = {
    "dialplan": """
[callers]
exten => 100,1,Gosub(tillit-verify,s,1(main))
 same => n,Queue(support,b(tillit-badge^s^1))
; to the same queue, without being verified
exten => 300,1,Answer()
 same => n,Queue(support)
[agents]
exten => 999,1,Answer()
 same => n,Echo()
""",
    "customers": (ANNA,),
    "desk": True,
    "crm": True,
}

PASSWORD = secrets.token_urlsafe(18)


class Agent:
    """Somebody at a browser, signed in."""

    def __init__(self, desk: Desk, login: str, link: str) -> None:
        self.desk = desk
        self.login = login
        self._link = link
        self._app: App | None = None
        self.csrf = ""
        self._kept: dict[str, str] = {}
        self.browser = aiohttp.ClientSession(cookie_jar=Jar(unsafe=True))

    async def enrol(self) -> None:
        """Use the one-time link, as its page asks for."""
        page = await self._page(self._link)
        self._app = App(_found(r'<code class="key">([A-Z2-7]+)</code>', page))
        given = {
            "csrf": _field("csrf", page),
            "sealed": _field("sealed", page),
            "password": PASSWORD,
            "again": PASSWORD,
        }
        answer = await self._post(self._link, {**given, "code": await self._app.code()})
        assert answer.headers["Location"] == "/sign-in?welcome_done", await answer.text()

    async def sign_in(self) -> None:
        """By the page."""
        assert self._app is not None
        page = await self._page(f"{self.desk.url}/sign-in")
        given = {
            "csrf": _field("csrf", page),
            "login": self.login,
            "password": PASSWORD,
            "code": await self._app.code(),
        }
        answer = await self._post(f"{self.desk.url}/sign-in", given)
        assert answer.headers.get("Location") == "/", await answer.text()
        self.csrf = (await self.get("/api/v1/session"))[1]["csrf"]

    async def leave(self) -> None:
        """Close the browser, which keeps its cookies."""
        self._kept = {cookie.key: cookie.value for cookie in self.browser.cookie_jar}
        await self.browser.close()

    def come_back(self) -> None:
        """Open it anew, in the loop that runs now."""
        self.browser = aiohttp.ClientSession(cookie_jar=Jar(unsafe=True))
        self.browser.cookie_jar.update_cookies(self._kept, URL(self.desk.url))

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.browser.get(f"{self.desk.url}{path}") as answer:
            return answer.status, await answer.json(content_type=None)

    async def send(self, method: str, path: str, given: Any = None) -> tuple[int, dict[str, Any]]:
        headers = {"CSRF-Token": self.csrf, "Origin": self.desk.url}
        async with self.browser.request(method, f"{self.desk.url}{path}", json=given, headers=headers) as answer:
            return answer.status, {} if answer.status == 204 else await answer.json(content_type=None)

    async def record(self, ref: str) -> tuple[int, str]:
        """The status, and the reason or the customer's name."""
        status, told = await self.get(f"/api/v1/customers/{ref}/record")
        return status, str(told.get("reason") or told["fields"]["name"])

    async def calls(self) -> list[dict[str, Any]]:
        status, told = await self.get("/api/v1/calls/current")
        assert status == 200
        return list(told["calls"])

    async def until(self, condition: Callable[[list[dict[str, Any]]], bool], what: str) -> list[dict[str, Any]]:
        """Wait until the own calls are so."""
        calls: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(LIMIT):
                while not condition(calls := await self.calls()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"waited {LIMIT:g} s in vain for {what}: {calls}") from None
        return calls

    async def _page(self, url: str) -> str:
        async with self.browser.get(url) as answer:
            assert answer.status == 200
            return await answer.text()

    async def _post(self, url: str, given: dict[str, str]) -> aiohttp.ClientResponse:
        return await self.browser.post(url, data=given, headers={"Origin": self.desk.url}, allow_redirects=False)


def _found(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    assert found is not None, page
    return found[1]


def _field(name: str, page: str) -> str:
    return _found(rf'name="{name}" value="([^"]+)"', page)


@pytest.fixture
async def desk(stage: Stage, scene: Scene) -> AsyncIterator[Desk]:
    with stage.desk() as running:
        yield running


@asynccontextmanager
async def at_work(
    desk: Desk, stage: Stage, login: str, phone: str, role: str = "agent", *, leaves: bool = True
) -> AsyncIterator[Agent]:
    """Somebody new, signed in; who leaves has the phone no longer."""
    words = ("agent", "add", login, "--name", f"Agent {login}", "--role", role, "--endpoint", f"PJSIP/{phone}")
    told = await asyncio.to_thread(stage.command, *words)
    agent = Agent(desk, login, told.splitlines()[-1])
    async with agent.browser:
        await agent.enrol()
        await agent.sign_in()
        yield agent
    if leaves:
        # a phone is one person's
        await asyncio.to_thread(stage.command, "agent", "endpoints", login, "--remove", f"PJSIP/{phone}")


async def test_the_record_is_open_while_its_customer_is_on_the_line_verified(scene: Scene, desk: Desk) -> None:
    stage = scene.stage
    async with at_work(desk, stage, "agda", "agent1") as agda, at_work(desk, stage, "bror", "agent2") as bror:
        phone, other = await scene.phone("agent1"), await scene.phone("agent2")
        # the other agent is at work too, in a call of his own
        await other.call("999")
        await other.until("confirmed")
        assert await agda.record("aaaaaaaaaaaa") == (403, "no_call")

        # a caller who was not verified
        stranger = await scene.caller("300", who=None)
        await phone.incoming()
        await phone.answer()
        (call,) = await agda.until(lambda calls: len(calls) == 1, "the caller")
        assert (call["state"], call["shut"], call["name"], call["ref"]) == ("not_verified", "not_verified", None, None)
        assert await agda.record("aaaaaaaaaaaa") == (403, "not_verified")
        await stranger.hang_up()
        await agda.until(lambda calls: calls == [], "the caller to be gone")

        # the page is told of the next one, by itself
        async with agda.browser.ws_connect(f"{desk.url}/live", headers={"Origin": desk.url}) as live:
            assert await live.receive_json(timeout=LIMIT) == {"known": True, "calls": []}
            caller = await scene.verified("100")
            invite = await phone.incoming()
            ref = _found(r"ref=([a-z0-9]{12})", str(invite.header("X-Caller-Auth")))
            assert await agda.record(ref) == (403, "no_call"), "ringing is not talking"
            await phone.answer()
            (shown,) = (await live.receive_json(timeout=LIMIT))["calls"]
            assert (shown["sign"], shown["title"], shown["name"]) == (
                "verified",
                "Verified at level 2",
                "Anna Andersson",
            )

            assert await agda.record(ref) == (200, "Anna Andersson")
            assert await agda.record("aaaaaaaaaaaa") == (403, "other_customer")
            status, told = await agda.get(f"/api/v1/customers/{ref}/record?fields=phones")
            assert (status, told["fields"]) == (200, {"phones": ["+46701740601"]})
            # nobody else, whatever he knows
            assert (await bror.record(ref))[0] == 403
            assert await bror.calls() == [] or "Anna" not in str(await bror.calls())

            await caller.hang_up()
            assert (await live.receive_json(timeout=LIMIT))["calls"] == []
        assert await agda.record(ref) == (403, "no_call")
        await other.hang_up()

    rows = [(row["actor"], row["outcome"]) for row in scene.audit("record.read")]
    assert ("desk:agda", "granted") in rows
    assert {outcome for actor, outcome in rows if actor == "desk:bror"} == {"refused"}


async def test_two_persons_open_one_record_without_a_call(scene: Scene, desk: Desk) -> None:
    stage = scene.stage
    async with (
        at_work(desk, stage, "doris", "agent1") as doris,
        at_work(desk, stage, "siv", "agent2", "supervisor") as siv,
    ):
        caller = await scene.verified("100")
        phone = await scene.phone("agent1")
        ref = _found(r"ref=([a-z0-9]{12})", str((await phone.incoming()).header("X-Caller-Auth")))
        await caller.hang_up()
        assert await doris.record(ref) == (403, "no_call")

        wish = {"ref": ref, "reason": "must be called back at once", "fields": ["name"]}
        status, opening = await doris.send("POST", "/api/v1/openings", wish)
        assert (status, opening["open"]) == (201, False)
        place = f"/api/v1/openings/{opening['id']}"
        assert (await doris.get(f"{place}/record"))[1]["reason"] == "not_open"
        assert (await doris.send("POST", f"{place}/approval"))[1]["reason"] == "not_permitted"
        assert [one["id"] for one in (await siv.get("/api/v1/openings"))[1]["openings"]] == [opening["id"]]
        assert (await siv.send("POST", f"{place}/approval"))[1]["open"] is True
        assert (await doris.get(f"{place}/record"))[1]["fields"] == {"name": "Anna Andersson"}
        assert (await siv.get(f"{place}/record"))[1]["reason"] == "not_open", "it is open to the one who has asked"
        assert (await doris.send("DELETE", place))[0] == 204
        assert (await doris.get(f"{place}/record"))[1]["reason"] == "not_open"
    told = [
        (row["actor"], row["action"], row["outcome"])
        for what in ("ask", "approve", "read")
        for row in scene.audit(f"glass.{what}")
    ]
    for row in (("doris", "ask", "asked"), ("siv", "approve", "approved"), ("doris", "read", "granted")):
        assert (f"desk:{row[0]}", f"glass.{row[1]}", row[2]) in told


async def test_another_program_is_told_of_the_call_and_checks_its_token_by_itself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    audience, secret = "https://crm.example.com", secrets.token_urlsafe(32)
    monkeypatch.setenv("CRM_SECRET", secret)
    monkeypatch.setenv("CRM_WEBHOOK", SECRET)
    with closing(Ports()) as ports:
        await _told(scene, audience, secret, ports.take())


async def _told(scene: Scene, audience: str, secret: str, port: int) -> None:
    stage = scene.stage
    async with listening() as heard:
        client = {"secret_env": "CRM_SECRET", "audiences": [audience], "origins": [audience]}
        stage.write_config(
            {
                "tokens": {"audiences": [audience]},
                "clients.crm": client,
                "webhooks.crm": {"url": heard.url, "secret_env": "CRM_WEBHOOK"},
                "desk.metrics": {"listen": f"{HOST}:{port}"},
            }
        )
        try:
            with stage.desk() as desk:
                async with at_work(desk, stage, "tora", "agent1") as tora, aiohttp.ClientSession() as program:
                    phone = await scene.phone("agent1")
                    caller = await scene.verified("100")
                    await heard.until(lambda one: len(one.taken) == 1)
                    told = heard.heard[0].body["data"]
                    await phone.incoming()
                    await phone.answer()
                    calls = await tora.until(lambda calls: bool(calls) and calls[0]["ref"] is not None, "the caller")
                    assert (told["call"], told["customer"], told["level"]) == (calls[0]["id"], calls[0]["ref"], 2)
                    assert told["methods"] == ["pin", "sms_code"]

                    status, given = await tora.send(
                        "POST", f"/api/v1/calls/{told['call']}/token", {"audience": audience}
                    )
                    assert status == 201, given

                    async def asked() -> dict[str, Any]:
                        login = {"Authorization": f"Basic {base64.b64encode(f'crm:{secret}'.encode()).decode()}"}
                        url = f"{desk.url}/api/v1/tokens/introspect"
                        async with program.post(url, data={"token": given["token"]}, headers=login) as answer:
                            return dict(await answer.json())

                    claims = await asked()
                    assert claims["active"] and (claims["sub"], claims["login"]) == (told["customer"], "tora")
                    async with program.get(f"{desk.url}/.well-known/jwks.json") as answer:
                        keys = (await answer.json())["keys"]
                    found = Verifier(keys).read(given["token"])
                    assert found is not None and found.claims["sub"] == claims["sub"]

                    await caller.hang_up()
                    await tora.until(lambda calls: calls == [], "the caller to be gone")
                    assert await asked() == {"active": False}
                    await heard.until(lambda one: len(one.taken) == 2)
                    ended = heard.heard[1].body
                    assert (ended["type"], ended["data"]["call"], ended["data"]["reason"]) == (
                        "mark.ended",
                        told["call"],
                        "over",
                    )
                    async with program.get(f"http://{HOST}:{port}/metrics") as answer:
                        _counted(samples(await answer.text()))
        finally:
            stage.write_config()


def _counted(found: dict[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
    """What monitoring was told of that call, and nothing of whose it was."""

    def number(name: str, **labels: str) -> float | None:
        return found.get((name, frozenset(labels.items())))

    issued = {"route": "/api/v1/calls/{call}/token", "method": "POST", "status": "201"}
    assert number("tillit_http_requests_total", **issued) == 1
    assert number("tillit_talks_known", node="asterisk") == number("tillit_manager_connected", node="asterisk") == 1
    assert (number("tillit_webhooks_total", receiver="crm", result="told") or 0) >= 1
    assert number("tillit_webhooks_unread_rows") is not None and number("tillit_ready", part="audit") == 1
    assert (number("tillit_request_seconds_count", part="redis", node="") or 0) > 0
    values = " ".join(value for _, labels in found for _, value in labels)
    assert "tora" not in values and "agent1" not in values and "Andersson" not in values


async def test_an_action_needs_the_same_and_the_desk_ends_in_order(scene: Scene, desk: Desk) -> None:
    async with at_work(desk, scene.stage, "cilla", "agent1") as cilla:
        other, phone = await scene.phone("agent2"), await scene.phone("agent1")
        await other.call("999")
        await other.until("confirmed")
        caller = await scene.verified("100")
        invite = await phone.incoming()
        ref = _found(r"ref=([a-z0-9]{12})", str(invite.header("X-Caller-Auth")))
        await phone.answer()
        await cilla.until(lambda calls: bool(calls) and calls[0]["state"] == "verified", "the verified caller")

        async def act(action: str, **arguments: str) -> tuple[int, dict[str, Any]]:
            url = f"{desk.url}/api/v1/customers/{ref}/actions/{action}"
            headers = {"CSRF-Token": cilla.csrf, "Origin": desk.url}
            async with cilla.browser.post(url, json={"arguments": arguments}, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)

        assert await act("set_language", language="sv") == (200, {"action": "set_language", "ref": ref})
        status, told = await act("add_phone", phone="+46701740655")
        assert (status, told["reason"], told["needs"]) == (403, "level", 3)
        assert (await act("nothing"))[0] == 422
        await caller.hang_up()
        await cilla.until(lambda calls: calls == [], "the caller to be gone")
        assert (await act("set_language", language="de"))[1]["reason"] == "no_call"
        await other.hang_up()
        said = desk.log_file.read_text()
        for hidden in (PASSWORD, cilla.csrf, "Andersson", "+46701740601"):
            assert hidden not in said
        assert desk.stop() == 0
        assert [line["event"] for line in desk.log()][-1] == "desk.stopped"


async def test_a_manager_interface_that_is_another_asterisks(stage: Stage) -> None:
    """One node's calls would be taken for another's."""
    file = stage.folder / "other.password"
    file.touch(0o600)
    file.write_text(AMI_PASSWORD)
    async with AmiServer() as other:
        other.rule("Getvar", lambda asked: message(Response="Success", ActionID=asked["ActionID"], Value="02:00"))
        stage.write_config({"asterisk.desk": {"port": other.port, "username": USER, "password_file": file.name}})
        try:
            done = await asyncio.to_thread(stage.attempt, "desk")
        finally:
            stage.write_config()
    assert done.returncode == 2
    assert "[asterisk.desk] host, port: the manager interface there is that of another Asterisk" in done.stderr
    assert AMI_PASSWORD not in done.stderr + done.stdout


def test_two_tables_that_lead_to_one_asterisk(stage: Stage) -> None:
    """Of two that have one name the desk would know one: with whom somebody talks at the other it would not see."""
    ami = {"port": stage.pbx.ami_port, "password_file": "desk.password"}
    south = {"url": f"http://localhost:{stage.pbx.http_port}/ari", "password_file": "ari.password"}
    stage.write_config({"nodes.south": south, "nodes.south.desk": ami})
    try:
        done = stage.attempt("desk")
    finally:
        stage.write_config()
    assert done.returncode == 2
    assert "[asterisk] url, [nodes.south] url: both lead to an Asterisk whose entity_id is" in done.stderr


# ---------------------------------------------------------------- in front of a CRM


@asynccontextmanager
async def guest(desk: Desk, proxy: Desk, stage: Stage, login: str, phone: str) -> AsyncIterator[Guest]:
    words = ("agent", "add", login, "--name", f"Agent {login}", "--role", "agent", "--endpoint", f"PJSIP/{phone}")
    told = await asyncio.to_thread(stage.command, *words)
    async with Guest(desk.url, proxy.url, told.splitlines()[-1], login) as made:
        yield made
    await asyncio.to_thread(stage.command, "agent", "endpoints", login, "--remove", f"PJSIP/{phone}")


async def test_the_crm_is_open_while_its_customer_is_on_the_line_verified(scene: Scene, desk: Desk) -> None:
    stage = scene.stage
    path, document = f"/api/customers/{ANNA.number}", f"/api/customers/{ANNA.number}/document"
    with stage.crm(), stage.proxy() as proxy:
        async with guest(desk, proxy, stage, "pia", "agent1") as pia, guest(desk, proxy, stage, "per", "agent2") as per:

            async def asked(who: Guest, path: str, method: str = "GET") -> tuple[int, str]:
                status, body = await who.send(method, path)
                return status, json.loads(body).get("reason", "")

            async def until(wanted: tuple[int, str]) -> None:
                async with asyncio.timeout(LIMIT):
                    while await asked(pia, path) != wanted:
                        await asyncio.sleep(0.02)

            phone, other = await scene.phone("agent1"), await scene.phone("agent2")
            await other.call("999")
            await other.until("confirmed")
            assert await asked(pia, path) == (403, "no_call")
            stranger = await scene.caller("300", who=None)
            await phone.incoming()
            await phone.answer()
            await until((403, "not_verified"))
            await stranger.hang_up()
            await until((403, "no_call"))

            caller = await scene.verified("100")
            ref = _found(r"ref=([a-z0-9]{12})", str((await phone.incoming()).header("X-Caller-Auth")))
            assert await asked(pia, path) == (403, "no_call"), "ringing is not talking"
            await phone.answer()
            await until((200, ""))
            status, body = await pia.get(path)
            told = json.loads(body)
            assert (status, told["name"], "phones" in told, told["cards"]) == (
                200,
                "Anna Andersson",
                False,
                [{"name": "gold"}],
            )
            assert (await pia.get(document))[1] == DOCUMENT
            assert (await asked(pia, f"/api/by-reference/{ref}"))[0] == 200
            assert (await asked(pia, path, "PUT"))[0] == 200
            assert await asked(pia, "/api/customers/10002") == (403, "other_customer")
            assert await asked(pia, "/api/customers/10001/../10002") == (400, "ambiguous")
            upgrade = {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "x" * 22 + "==",
            }
            assert (await pia.get(path, headers=upgrade))[0] == 400
            # the other one is in a call, too, and knows the address
            assert await asked(per, path) in ((403, "no_call"), (403, "not_verified"))

            await caller.hang_up()
            await until((403, "no_call"))
            await pia.sign_out()
            assert await asked(pia, path) == (401, "not_signed_in")
            await other.hang_up()
        said = proxy.log_file.read_text()
        assert all(hidden not in said for hidden in ("Andersson", "10001", "+46701740601", "code="))
        assert proxy.stop() == 0
        assert [line["event"] for line in proxy.log()][-1] == "proxy.stopped"
    rows = [
        (row["actor"], row["action"], row["outcome"])
        for what in ("read", "change")
        for row in scene.audit(f"proxy.{what}")
    ]
    assert ("desk:pia", "proxy.read", "granted") in rows
    assert ("desk:pia", "proxy.change", "granted") in rows
    assert {outcome for actor, _, outcome in rows if actor == "desk:per"} == {"refused"}

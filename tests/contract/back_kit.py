"""Identifying back behind a proof: the public page, the desk's side, a Redis, a database, and BankID's and Freja's local servers."""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pyotp
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import RSAKey
from rig.bankid import BankIdServer, Placed
from rig.ports import Ports

from ivr.call.mark import Mark
from ivr.call.proof import Proof
from ivr.page.run import meters_of, opened
from ivr.persons.run import identifying_back
from ivr.secret import Secret
from ivr.store import eids, totps
from ivr.store.backs import Back
from ivr.store.customers import Customers
from ivr.store.introduction import Act, Wish
from ivr.store.opened import rights
from ivr.store.pagekey import PageKey
from ivr.store.wishes import BACK, PageWishes
from tests.contract.ari_log import Log
from tests.contract.eid_kit import ANOTHER, WHO, Ends, self_signed
from tests.contract.freja_server import FrejaServer
from tests.contract.live_server import Server
from tests.contract.lock_kit import NODE
from tests.contract.persons_kit import Browser
from tests.contract.prove_kit import ANNA, CALL, CALLER, Proved, proving_in, until
from tests.contract.texts_server import TextsServer
from tests.unit.database_kit import asked

# Whose call it is, and somebody else
PERSON, OTHERS = ANOTHER, WHO
KEY = Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
COOKIE = "__Host-back"

_PASSWORD = "of the page's own user"
_POLICIES = """
[policies.strict]
steps = ["bankid"]
level = 3
[policies.freja]
steps = ["freja"]
level = 3
[policies.app]
steps = ["totp"]
level = 1
"""


@dataclass
class Backed:
    """A desk that proves, and somebody who shows who they are behind it."""

    here: Proved
    url: str
    bankid: BankIdServer
    provider: TextsServer
    freja: FrejaServer
    log: Log
    wishes: PageWishes
    stack: AsyncExitStack
    ref: str = ""

    async def browser(self) -> Browser:
        return Browser(self.url, await self.stack.enter_async_context(aiohttp.ClientSession()), name=COOKIE)

    async def confirmed(self) -> tuple[Proof, Browser, str]:
        """The person has keyed the digits of the call: the proof, their browser, and the path of the link."""
        desk = self.here.desk
        self.ref = await desk.customer("10001", "Xenia Ask", CALLER, language="en")
        desk.joined(ANNA, CALL)
        proof = await self.here.press()
        assert isinstance(proof, Proof), proof
        link = await self.here.link()
        async with desk.database.write() as connection:
            await eids.enter(connection, desk.vault, self.ref, "SE", Secret(PERSON), time.time())
            await totps.enrol(connection, desk.vault, self.ref, KEY, 0, time.time())
        browser, path = await self.browser(), f"/p/{link.reveal()}"
        await browser.send(f"{path}/open")
        await until(self._spoken)
        assert (
            "You are talking with us" in (await browser.send(f"{path}/confirm", digits=self.here.speech.said[-1])).said
        )
        await self.here.stage("confirmed")
        return proof, browser, path

    async def _spoken(self) -> bool:
        return bool(self.here.speech.said)

    def code(self) -> str:
        """What the person's authenticator app shows."""
        return pyotp.TOTP(KEY.reveal()).now()

    async def order(self, count: int) -> Placed:
        """The so-many-th at BankID."""

        async def there() -> bool:
            return len(self.bankid.orders) >= count

        await until(there)
        return self.bankid.orders[count - 1]

    async def forged(self, browser: Browser, path: str, proof: Proof, step: str) -> None:
        """Whoever has broken into the public page passes on a wish for this step; returns when it was dealt with."""
        store = self.here.page
        seen = await store.look(Secret(path.removeprefix("/p/")))
        assert seen is not None and browser.cookie is not None
        name = await store.mine(Secret(path.removeprefix("/p/")), seen, Secret(browser.cookie))
        fields = {"step": Secret(step), "link": Secret(path.removeprefix("/p/"))}
        wish = Wish(Act.BEGIN, name, proof.id, "en", eid=step, address="192.0.2.9", fields=fields)
        assert await self.wishes.want(wish)

        async def done() -> bool:
            return await self.wishes.done(wish)

        await until(done)

    async def mark(self) -> Mark | None:
        return await self.here.desk.live.mark(NODE, CALL)

    async def back(self, proof: Proof) -> Back | None:
        assert self.here.desk.prover is not None
        return await self.here.desk.prover.backs.of(proof.id)

    async def rows(self, action: str) -> list[str]:
        """The outcomes of these rows of the trail."""
        found = await asked(self.here.desk.database, "SELECT action, outcome FROM audit ORDER BY at, seq")
        return [row[1] for row in found if row[0] == action]


@asynccontextmanager
async def backing_in(
    folder: Path, server: Server, back: tuple[str, ...] = ("strict", "freja", "app"), text: str = ""
) -> AsyncIterator[Backed]:
    """`back`: of [prove]; `text`: further lines of the settings."""
    async with AsyncExitStack() as stack:
        ends, bankid, material = Ends(folder), BankIdServer(), secrets.token_bytes(32)
        provider = await stack.enter_async_context(TextsServer(bankid, ends.tls()))
        signs = rsa.generate_private_key(65537, 2048)
        (folder / "freja-results.pem").write_bytes(self_signed(signs).public_bytes(Encoding.PEM))
        freja = FrejaServer(RSAKey.import_key(signs))
        at_freja = await stack.enter_async_context(TextsServer(freja, ends.tls()))
        for name, content in (
            ("page.password", _PASSWORD.encode()), ("page.key", b"tillit-page-v1:" + b64encode(material) + b"\n"),
        ):  # fmt: skip
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        pinned = f'signing_certificate_file = "{folder / "freja-results.pem"}"\n'
        more = (
            f"[prove]\nback = {list(back)}\n{_POLICIES}{text}\n"
            f'[eid.bankid]\nurl = "{provider.url}/rp/v6.0"\n{_ends(ends)}'
            f'[eid.freja]\nurl = "{at_freja.url}"\n{pinned}{_ends(ends)}'
        )
        here = await stack.enter_async_context(proving_in(folder, server, more, key=PageKey(material)))
        desk, prover, ports = here.desk, here.desk.prover, Ports(1)
        assert prover is not None
        stack.callback(ports.close)
        port = ports.take()
        url = f"http://127.0.0.1:{port}"
        own = {
            "listen": f"127.0.0.1:{port}", "url": url, "key_file": folder / "page.key", "redis_password_file": folder / "page.password",
            "per_address_minute": 100_000, "per_minute": 6000,
        }  # fmt: skip
        ours = desk.settings.model_copy(
            update={"page": desk.settings.page.model_copy(update=own), "policies": prover.settings.policies}
        )
        prefix = ours.redis.prefix
        server.client.execute_command(
            "ACL", "SETUSER", "tillit-page", "reset", "on", f">{_PASSWORD}", *rights(prefix).split()
        )
        log, page_log = Log(), Log()
        pages, _ = await stack.enter_async_context(opened(ours, meters_of(ours), page_log.logger))
        await pages.open("127.0.0.1", port, None)
        stack.push_async_callback(pages.close)
        await stack.enter_async_context(
            identifying_back(
                ours, prover, here.course, link=desk.link, live=desk.live,
                customers=await Customers.open(desk.database, desk.vault),
                changed=lambda endpoints: here.changed.extend(sorted(endpoints)), log=log.logger, tick=0.02, poll=0.02,
            )
        )  # fmt: skip
        wishes = PageWishes(desk.link, prefix, PageKey(material), BACK)
        yield Backed(here, url, bankid, provider, freja, log, wishes, stack)


def _ends(ends: Ends) -> str:
    return (
        f'certificate_file = "{ends.client.chain}"\nkey_file = "{ends.client.key}"\nca_file = "{ends.theirs.file}"\n'
        'allow_private = ["127.0.0.1"]\n'
    )


__all__ = ["ANNA", "CALL", "KEY", "NODE", "OTHERS", "PERSON", "Backed", "backing_in", "until"]

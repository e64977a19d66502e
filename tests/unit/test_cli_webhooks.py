"""`webhooks …`, as an administrator types it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from standardwebhooks import Webhook

from ivr.call.ports import Entry
from ivr.config import load
from ivr.database import Database
from ivr.hooks.outbox import Outbox
from tests.unit.cli_kit import Cli, Ended, typed
from tests.unit.database_kit import INDEX, TOML, trail_of

HOOK = '[webhooks.crm]\nurl = "https://crm.example.com/hook"\nsecret_env = "HOOK"\n'


def test_a_secret_is_one(cli: Cli) -> None:
    one, two = (cli("webhooks", "secret").out.strip() for _ in range(2))
    assert one != two and one.startswith("whsec_")
    Webhook(one)


async def ended(*words: str) -> Ended:
    """What is typed is a program of its own, with a loop of its own."""
    return await asyncio.to_thread(typed, *words)


async def test_what_waits_and_what_was_given_up(cli: Cli, tmp_path: Path) -> None:
    del cli  # it has gone into that folder
    file = tmp_path / "tillit.toml"
    file.write_text(TOML)
    assert (await ended("init")).code == 0
    assert (await ended("webhooks", "list")).out == "The settings have no [webhooks.NAME]\n"
    file.write_text(TOML + HOOK)
    assert (await ended("webhooks", "list")).out == "crm: 0 wait\n"
    settings = load(file)
    async with await Database.open(settings) as database, trail_of(database, "tillit") as trail:
        outbox = Outbox(database, {"crm": settings.webhooks["crm"].events})
        await outbox.read(0, INDEX)
        for channel in ("c.1", "c.2"):
            await trail.append(Entry("caller", "verify", "refused", call=channel, detail={"node": "n"}))
        assert await outbox.read(0, INDEX) == 2
        assert (await ended("webhooks", "list")).out.startswith("crm: 2 wait, the oldest of 20")
        (first, second) = await outbox.due("crm", time.time(), 10)
        await outbox.not_taken(first, None)
        await outbox.taken(second)
        assert (await ended("webhooks", "list")).out == "crm: 0 wait; 1 given up: webhooks retry crm\n"
        refused = await ended("webhooks", "retry", "erp")
        assert (refused.code, refused.err) == (2, "erp: the settings have no [webhooks.erp]. Nothing was done\n")
        assert (await ended("webhooks", "retry", "crm")).out == "1 messages are told to crm again\n"
        assert [one.id for one in await outbox.due("crm", time.time(), 10)] == [first.id]

"""What the doctor says of programs, and of webhooks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ivr.call.ports import Entry
from ivr.doctor.webhooks import check
from ivr.hooks.outbox import Outbox
from tests.contract.hooks_kit import SECRET, listening
from tests.unit.database_kit import INDEX, database_of, settings_in, trail_of


def _named(findings: object) -> list[str]:
    return [finding.name for finding in findings]  # type: ignore[attr-defined]


async def test_nothing_where_there_are_none(tmp_path: Path) -> None:
    assert await check(settings_in(tmp_path)) == []


async def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path, '[clients.crm]\nsecret_env = "CRM"\n[webhooks.crm]\nurl = "https://127.0.0.1:9/"\nsecret_env = "HOOK"\n')  # fmt: skip
    found = await check(settings)
    assert _named(found) == ["program-secret", "program-secret"]
    monkeypatch.setenv("CRM", "s" * 40)
    monkeypatch.setenv("HOOK", "s" * 40)
    found = await check(settings)
    assert _named(found) == ["ok", "program-secret"] and "webhooks secret" in " ".join(found[1].cure)
    monkeypatch.setenv("HOOK", SECRET)
    found = await check(settings)
    assert _named(found) == ["ok", "webhook-away"] and "cannot be connected to" in found[1].what
    elsewhere = settings_in(tmp_path, '[webhooks.crm]\nurl = "https://10.0.0.5/"\nsecret_env = "HOOK"\n')
    (private,) = await check(elsewhere)
    assert "private" in private.what


async def test_what_was_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", SECRET)
    async with listening() as heard:
        settings = settings_in(tmp_path, f'[webhooks.crm]\nurl = "{heard.url}"\nsecret_env = "HOOK"\n')
        async with await database_of(settings) as database, trail_of(database, "tillit") as trail:
            assert _named(await check(settings)) == ["ok"]
            outbox = Outbox(database, {"crm": settings.webhooks["crm"].events})
            await outbox.read(0, INDEX)
            row = Entry(
                "caller", "verify", "refused", call="c.1", detail={"node": "n", "happened": "2026-01-01T00:00:00Z"}
            )
            await trail.append(row)
            assert await outbox.read(0, INDEX) == 1
            assert _named(await check(settings)) == ["webhook-late"]
            (message,) = await outbox.due("crm", time.time(), 9)
            await outbox.not_taken(message, None)
            (given_up,) = await check(settings)
            assert (given_up.name, given_up.cure) == ("webhook-given-up", ("ari_app.py webhooks retry crm",))

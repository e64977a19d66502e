"""`peer …`, as an administrator types it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ivr.call.ports.peers import Pin
from ivr.config import Settings, load
from ivr.database import Database
from ivr.peers import keys
from ivr.peers.keys import OwnKeys
from ivr.store.peers import StoredPeers
from tests.unit.cli_kit import Cli, trail, typed
from tests.unit.database_kit import TOML

PEERS = '[peers]\ndomain = "office.example"\nseconds = 0.5\n'


def acts(file: Path) -> list[tuple[str, str]]:
    return [(action, outcome) for _, action, outcome in trail(load(file)) if action.startswith("peer.")]


def test_a_key_is_made_shown_and_replaced(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "tillit.toml"
    file.write_text(TOML)
    assert cli("init").code == 0
    refused = cli("peer", "key")
    assert (refused.code, "[peers] domain: is left out" in refused.err) == (2, True)
    file.write_text(TOML + PEERS)
    made = cli("peer", "key")
    key = OwnKeys.open(load(file)).key.id
    assert made.out == f"Made the key {key}. Copy its file to every desk, and start them anew\n"
    assert cli("peer", "key").out == f"{key}\n"
    following = cli("peer", "key", "--next")
    after = OwnKeys.open(load(file))
    assert after.key.id != key and after.key.id in following.out
    assert [public["kid"] for public, _ in after.former] == [key]
    assert acts(file) == [("peer.key", "done")] * 2


def test_a_key_is_turned_when_its_row_is_durable(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tillit.toml"
    file.write_text(TOML + PEERS)
    assert cli("init").code == 0 and cli("peer", "key").code == 0
    turn, rows = keys.turn, []

    def watched(settings: Settings, now: float) -> str:
        rows.extend(acts(file))
        return turn(settings, now)

    monkeypatch.setattr(keys, "turn", watched)
    assert cli("peer", "key", "--next").code == 0
    assert rows == [("peer.key", "done")] * 2


def test_those_that_were_seen(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "tillit.toml"
    file.write_text(TOML + PEERS)
    assert cli("init").code == 0 and cli("peer", "key").code == 0
    assert cli("peer", "list").out == "No other organisation was ever seen\n"
    key = OwnKeys.open(load(file)).key
    asyncio.run(seen(file, Pin("xn--hospitl-7fg.example", key.id, key.public, 1_800_000_000, 1_800_000_000)))
    listed = f"xn--hospitl-7fg.example (hospitаl.example)  {key.id}  since 2027-01-15\n"
    assert cli("peer", "list").out == listed
    assert cli("peer", "forget", "hospital.example").code == 2
    assert cli("peer", "list").out == listed
    assert cli("peer", "forget", "hospitаl.example").out == "It is forgotten\n"
    assert cli("peer", "list").out == "No other organisation was ever seen\n"
    assert acts(file) == [("peer.key", "done"), ("peer.forget", "done")]


async def seen(file: Path, pin: Pin) -> None:
    async with await Database.open(load(file)) as database:
        await StoredPeers(database).first(pin)


def test_a_domain_that_is_none_or_not_there(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "tillit.toml"
    file.write_text(TOML + PEERS)
    assert cli("init").code == 0
    for command in (("show",), ("agree", "KEY"), ("forget",)):
        ended = typed("peer", command[0], "127.0.0.1", *command[1:])
        assert (ended.code, ended.err) == (2, "domain: is none, such as hospital.example. Nothing was done\n")
    ended = cli("peer", "show", "nobody.invalid")
    assert ended.code == 1 and ended.err.startswith("peers: nobody.invalid")

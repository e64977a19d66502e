"""What monitoring reads of the desk and the proxy: requests, refusals, pages, who is known to talk, webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from ivr.call.ports import Entry
from ivr.errors import StoreError
from ivr.hooks.outbox import Outbox
from ivr.metrics import DeskMeters, ServedMeters
from ivr.metrics.served import Mailbox
from ivr.store.tables import CURSORS, MESSAGES
from ivr.web.problems import STATUSES
from tests.contract.metrics_kit import Node, desk_served, heard, samples, served
from tests.unit.database_kit import settings_in, trail_of

HOSTILE = (
    "+46701740601",
    "Anna Andersson",
    'x"} 1\nevil{',
    "/api/v1/customers/perukcnyu6jt/record",
    None,
    7,
    1000,
    ["x"],
    b"x",
    -1.5,
)
RECORD = "/api/v1/customers/{ref}/record"


async def test_requests_are_counted_by_what_was_asked_and_why_it_was_refused(tmp_path: Path) -> None:
    async with desk_served(tmp_path) as (made, _):
        log = heard(made.meters)
        log.info("web.request", route=RECORD, method="GET", status=403, reason="not_verified", seconds=0.004)
        log.info("web.request", route=RECORD, method="GET", status=200, reason=None, seconds=0.006)
        # a page's websocket: as long as the page was open
        log.info("web.request", route="/live", method="GET", status=101, reason=None, seconds=3600.0)
        log.error("reads.stopped", person="p", hour=1, day=1)
        log.info("proof.asked", proof="x", way="text", person="p", call="1.1")
        log.info("proof.moved", proof="x", way="text", stage="opened")
        log.warning("proof.denied", proof="x", way="text", person="p", call="1.1")
        where = {"route": RECORD, "method": "GET"}
        assert await made.number("tillit_http_requests_total", status="403", **where) == 1
        assert await made.number("tillit_http_requests_total", status="200", **where) == 1
        assert await made.number("tillit_http_seconds_count", route=RECORD) == 2
        assert await made.number("tillit_http_requests_total", route="/live", method="GET", status="101") == 1
        assert await made.number("tillit_http_seconds_count", route="/live") is None
        assert await made.number("tillit_refusals_total", reason="not_verified") == 1
        assert await made.number("tillit_refusals_total", reason="no_call") == 0
        for stage, count in (("asked", 1), ("opened", 1), ("denied", 1), ("confirmed", 0)):
            assert await made.number("tillit_proofs_total", way="text", stage=stage) == count
        # what the alerts of agents look for is logged here, and by no worker
        assert await made.number("tillit_troubles_total", event="reads.stopped", level="error") == 1


async def test_what_anybody_can_choose_is_no_label(tmp_path: Path) -> None:
    proxy = ServedMeters("tillit-proxy", {"none", "orders"}, STATUSES)
    async with desk_served(tmp_path) as (made, _), served(settings_in(tmp_path), meters=proxy) as other:
        for served_by, event in (made, "web.request"), (other, "proxy.request"):
            log = heard(served_by.meters)
            for value in HOSTILE:
                log.info(event, **dict.fromkeys(("route", "pattern", "method", "status", "reason", "seconds"), value))
                for name in "webhook.told", "webhook.failed", "webhook.given_up":
                    log.info(name, receiver=value)
            found = samples((await served_by.get("/metrics"))[1])
            values = {value for _, labels in found for _, value in labels}
            assert not values & {str(value) for value in HOSTILE if value is not None} - {"7"}
            assert "other" in values
            for number in range(100):
                log.info(
                    event,
                    route=f"/r{number}",
                    pattern=f"p{number}",
                    method=f"M{number}",
                    status=600 + number,
                    reason=f"r{number}",
                )
            assert len(samples((await served_by.get("/metrics"))[1])) == len(found)


async def test_pages_and_nodes_are_shown_as_they_are(tmp_path: Path) -> None:
    async with desk_served(tmp_path) as (made, _):
        south = Node("[nodes.south]", known=False)
        made.meters.watch(south)
        assert await made.number("tillit_pages", kind="own") == 2
        assert await made.number("tillit_talks_known", node="asterisk") == 1
        assert await made.number("tillit_talks_known", node="nodes.south") == 0
        south.connected = False
        assert await made.number("tillit_manager_connected", node="nodes.south") == 0


async def test_what_waits_for_receivers_is_shown(tmp_path: Path) -> None:
    async with desk_served(tmp_path) as (made, database):
        rows = [
            {"place": place, "receiver": "crm", "id": f"m{place}", "call": "n/c", "body": "{}", "since": 1000, "due": 0, "tries": 0, "dead": place > 2}
            for place in range(1, 4)
        ]  # fmt: skip
        await database.put_down(lambda connection: connection.execute(insert(MESSAGES), rows).rowcount, lock="x")
        async with trail_of(database, "tillit") as trail:
            await trail.append(Entry("desk", "keys.tokens", "kept"))
            await database.put_down(
                lambda connection: connection.execute(insert(CURSORS), [{"chain": "", "seq": 0}]).rowcount, lock="x"
            )
            await trail.append(Entry("desk", "keys.tokens", "kept"))
        assert await made.number("tillit_webhooks_waiting", receiver="crm") == 2
        assert await made.number("tillit_webhooks_given_up", receiver="crm") == 1
        assert (await made.number("tillit_webhooks_oldest_seconds", receiver="crm") or 0) > 1_000_000
        assert await made.number("tillit_webhooks_unread_rows") == 2
        assert await made.number("tillit_webhooks_total", receiver="crm", result="told") == 0
        heard(made.meters).info("webhook.told", receiver="crm", id="msg_1", tries=1)
        assert await made.number("tillit_webhooks_total", receiver="crm", result="told") == 1


async def test_a_database_that_is_away_shows_nothing_rather_than_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_served(tmp_path) as (made, database):
        outbox = Outbox(database, {"crm": ("call.verified",)})
        made.meters.looked = ()
        made.meters._outbox = mailbox = Mailbox(outbox, lasts=0.0)
        made.meters.looked = (mailbox,)
        assert await made.number("tillit_webhooks_waiting", receiver="crm") == 0
        assert await made.number("tillit_webhooks_unread_rows") == 0, "nobody has begun to read"

        async def failing(_: Any) -> Any:
            raise StoreError("database: gone")

        monkeypatch.setattr(database, "look_up", failing)
        assert await made.number("tillit_webhooks_waiting", receiver="crm") is None
        assert await made.number("tillit_webhooks_unread_rows") is None


async def test_a_desk_that_tells_nobody_shows_nothing_of_it(tmp_path: Path) -> None:
    meters = DeskMeters("tillit-desk", (), STATUSES, ())
    async with served(settings_in(tmp_path), meters=meters) as made:
        meters.show(dict, None)
        assert "tillit_webhooks_waiting" not in (await made.get("/metrics"))[1]

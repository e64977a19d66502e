"""Whether a channel was only parted from another, as Asterisk's answers tell, and what becomes of the two then."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ivr.asterisk.ari import Ari
from ivr.asterisk.conversation import Conversation
from ivr.asterisk.parted import is_parted
from ivr.errors import AriError
from ivr.secret import Secret
from tests.contract.ari_log import Log
from tests.contract.ari_server import PASSWORD, USER, Answer, AriServer, Asked, Status

PLACES: dict[str, tuple[str, str, str]] = {
    # as it is now: the context, the application and what it was given
    "bridged": ("tillit-verify", "Stasis", "tillit,inbound,main,,,,"),
    "leg": ("agents", "Stasis", "tillit,agent"),
    "sent": ("tillit-again", "Stasis", "tillit,inbound,main,,,,"),
    "on-the-way": ("tillit-verify", "Set", "CALLER_AUTH_STATUS="),
    "keying": ("tillit-verify", "Stasis", "tillit,inbound,main,again,PJSIP/anna-1,called,"),
    "waits": ("tillit-wait", "MusicOnHold", ",10"),
}


async def asterisk(asked: Asked) -> Answer:
    channel = asked.path.split("/")[1]
    if asked.method == "DELETE":
        return 204, None
    if channel not in PLACES:
        return 404, {"message": "Channel not found"}
    context, app, data = PLACES[channel]
    if asked.path.endswith("/variable"):
        return 200, {"value": context}
    return 200, {"id": channel, "dialplan": {"context": context, "app_name": app, "app_data": data}}


@pytest.fixture
async def server() -> AsyncIterator[AriServer]:
    async with AriServer(asterisk) as running:
        yield running


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def ari(server: AriServer, log: Log) -> AsyncIterator[Ari]:
    made = Ari(url=server.url, username=USER, password=Secret(PASSWORD), app="tillit", seconds=5.0, log=log.logger)
    await made.open()
    yield made
    await made.close()


async def test_who_was_sent_there(ari: Ari) -> None:
    told = {channel: await is_parted(ari, channel) for channel in (*PLACES, "gone")}
    assert {channel for channel, parted in told.items() if parted} == {"sent", "on-the-way", "keying", "waits"}


async def test_where_asterisk_does_not_say_it_nobody_guesses(ari: Ari, server: AriServer) -> None:
    server.rule("GET", "channels/bridged/variable", Status(500))
    with pytest.raises(AriError):
        await is_parted(ari, "bridged")


async def test_of_a_conversation_that_is_ended_who_is_parted_stays(ari: Ari, server: AriServer, log: Log) -> None:
    """Of a worker that had died meanwhile."""
    await Conversation(ari, "bridge-1", {"keying", "waits"}, log.logger).end()
    assert [asked.path for asked in server.requests("DELETE", "*")] == ["bridges/bridge-1"]
    await Conversation(ari, "bridge-2", {"bridged", "leg", "gone"}, log.logger).end()
    deleted = {asked.path for asked in server.requests("DELETE", "*")}
    assert {"channels/bridged", "channels/leg", "bridges/bridge-2"} <= deleted
    server.rule("DELETE", "bridges/bridge-3", Status(500))
    await Conversation(ari, "bridge-3", set(), log.logger).end()
    assert len(log.of("conversation.left")) == 1

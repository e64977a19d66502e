"""Two channels that are parted by the manager interface, where Asterisk refuses, or is not the one that it should be."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ivr.asterisk.ami import Ami
from ivr.asterisk.switch import Switch
from ivr.asterisk.talks import Talks
from ivr.config import AmiSettings
from ivr.errors import AmiError, Unavailable
from ivr.secret import Secret
from tests.contract.ami_server import PASSWORD, AmiServer, Fields, Rule, message
from tests.contract.ari_log import Log
from tests.contract.test_ami_talks import listed

NODE, CALLER, AGENT = "node", "17.1", "17.2"
NAMES = {CALLER: "PJSIP/trunk-00000001", AGENT: "PJSIP/anna-00000002"}


def refused(why: str) -> Rule:
    return lambda asked: message(Response="Error", ActionID=asked["ActionID"], Message=why)


def named(asked: Fields) -> bytes:
    name = NAMES.get(asked["Channel"])
    if name is None:
        return refused("No such channel")(asked) or b""
    return message(Response="Success", ActionID=asked["ActionID"], Variable=asked["Variable"], Value=name)


@pytest.fixture
async def server() -> AsyncIterator[AmiServer]:
    async with AmiServer() as made:
        made.rule("Getvar", named)
        made.rule("ShowDialPlan", lambda asked: listed(asked, "ShowDialPlanComplete"))
        yield made


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def switch(server: AmiServer, log: Log) -> AsyncIterator[Switch]:
    ami = Ami(AmiSettings(port=server.port), Secret(PASSWORD), log=log.logger)
    await ami.open()
    yield Switch({NODE: ami}, log.logger)
    await ami.close()


async def yes() -> bool:
    return True


def asked_of(server: AmiServer, name: str) -> list[Fields]:
    return [{key: value for key, value in one.items() if key not in ("Action", "ActionID")} for one in server.of(name)]


async def test_both_go_at_once(server: AmiServer, switch: Switch) -> None:
    assert await switch.part(NODE, CALLER, AGENT, "main", yes)
    assert asked_of(server, "Setvar") == [{"Channel": CALLER, "Variable": "TILLIT_ASKED", "Value": "main"}]
    assert asked_of(server, "Redirect") == [
        {
            "Channel": CALLER, "Context": "tillit-again", "Exten": NAMES[AGENT], "Priority": "1",
            "ExtraChannel": AGENT, "ExtraContext": "tillit-wait", "ExtraExten": NAMES[CALLER], "ExtraPriority": "1",
        }
    ]  # fmt: skip


async def test_it_is_asked_last_whether_they_are_still_the_two(server: AmiServer, switch: Switch) -> None:
    """Whoever is transferred meanwhile is left where they are, and nothing is left of it."""

    async def no() -> bool:
        assert [one["Value"] for one in asked_of(server, "Setvar")] == ["main"]
        assert len(server.of("ShowDialPlan")) == len(server.of("Getvar")) == 2
        return False

    assert not await switch.part(NODE, CALLER, AGENT, "main", no)
    assert [one["Value"] for one in asked_of(server, "Setvar")] == ["main", ""]
    assert not server.of("Redirect")

    async def late() -> bool:
        nonlocal before
        before = len(server.actions)
        return True

    before = 0
    assert await switch.part(NODE, CALLER, AGENT, "main", late)
    assert [one["Action"] for one in server.actions[before:]] == ["Redirect"]


@pytest.mark.parametrize("gone", [CALLER, AGENT])
async def test_where_one_is_gone_the_other_stays(server: AmiServer, switch: Switch, gone: str) -> None:
    caller, agent = (f"{one}-gone" if one == gone else one for one in (CALLER, AGENT))
    assert not await switch.part(NODE, caller, agent, "main", yes)
    assert not server.of("Redirect")


async def test_one_who_goes_in_the_last_moment(server: AmiServer, switch: Switch) -> None:
    server.rule("Redirect", refused("Redirect failed, channel not up."))
    assert not await switch.part(NODE, CALLER, AGENT, "main", yes)
    assert [one["Value"] for one in asked_of(server, "Setvar")] == ["main", ""], "nothing is left of it"


async def test_nothing_is_left_to_be_taken_back_of_who_is_gone(server: AmiServer, switch: Switch) -> None:
    server.rule("Redirect", refused("Channel does not exist"))
    answers = iter((message(Response="Success"), message(Response="Error", Message="No such channel")))
    server.rule(
        "Setvar",
        lambda asked: next(answers).replace(b"Response", f"ActionID: {asked['ActionID']}\r\nResponse".encode(), 1),
    )
    assert not await switch.part(NODE, CALLER, AGENT, "main", yes)


@pytest.mark.parametrize("context", ["tillit-again", "tillit-wait"])
async def test_nobody_is_sent_where_the_dialplan_has_no_place(
    server: AmiServer, switch: Switch, log: Log, context: str
) -> None:
    server.rule(
        "ShowDialPlan",
        lambda asked: (
            refused(f"Did not find context {context}")(asked)
            if asked["Context"] == context
            else listed(asked, "ShowDialPlanComplete")
        ),
    )
    with pytest.raises(Unavailable, match=f"the dialplan has no context {context}"):
        await switch.part(NODE, CALLER, AGENT, "main", yes)
    assert not server.of("Setvar")
    assert [line["context"] for line in log.of("midcall.no_dialplan")] == [context]


@pytest.mark.parametrize("action", ["ShowDialPlan", "Setvar", "Redirect"])
async def test_a_user_who_may_not(server: AmiServer, switch: Switch, log: Log, action: str) -> None:
    server.rule(action, refused("Permission denied"))
    with pytest.raises(AmiError):
        await switch.part(NODE, CALLER, AGENT, "main", yes)
    assert [line["action"] for line in log.of("midcall.denied")] == [action]


async def test_who_waits(server: AmiServer, switch: Switch) -> None:
    places = {"waits": ("tillit-wait", ""), "talks": ("tillit-wait", "bridge"), "elsewhere": ("agents", "")}

    def status(asked: Fields) -> bytes:
        if asked["Channel"] not in places:
            return refused("No such channel")(asked) or b""
        context, bridge = places[asked["Channel"]]
        return listed(asked, "StatusComplete", {"Event": "Status", "Context": context, "BridgeID": bridge})

    server.rule("Status", status)
    assert [await switch.waits(NODE, channel) for channel in (*places, "gone")] == [True, False, False, False]


async def test_what_announces_a_mark_is_taken_back(server: AmiServer, switch: Switch) -> None:
    await switch.unmark(NODE, CALLER, AGENT)
    told = {(one["Channel"], one["Variable"]): one["Value"] for one in asked_of(server, "Setvar")}
    assert told[CALLER, "CALLER_AUTH_STATUS"] == "refused"
    assert told[CALLER, "CALLER_AUTH_LEVEL"] == "0"
    for name in ("CALLER_AUTH_SUBJECT", "CALLER_AUTH_METHODS", "__TILLIT_BADGE", "CALLERID(name)"):
        assert told[CALLER, name] == ""
    assert told[AGENT, "CONNECTEDLINE(name)"] == ""


async def test_of_who_has_hung_up_nothing_need_be_taken_back(server: AmiServer, switch: Switch) -> None:
    server.rule("Setvar", refused("No such channel"))
    await switch.unmark(NODE, CALLER, AGENT)
    server.rule("UserEvent", refused("Permission denied"))
    with pytest.raises(AmiError):
        await switch.event(NODE, "CallerWrongPerson", {"Subject": "abc"})


async def test_a_node_that_the_settings_do_not_have(switch: Switch, log: Log) -> None:
    with pytest.raises(Unavailable, match="a node that the settings do not have"):
        await switch.waits("another", "PJSIP/anna-1")
    assert Talks({}, log.logger).around("another", CALLER) == frozenset()


async def test_where_the_connection_ends_behind_the_last_step_nobody_knows_and_nothing_is_taken_back(
    server: AmiServer, switch: Switch
) -> None:
    server.rule("Redirect", lambda _: server.drop())
    with pytest.raises(AmiError, match="^Redirect: connection lost$"):
        await switch.part(NODE, CALLER, AGENT, "main", yes)
    assert [one["Value"] for one in asked_of(server, "Setvar")] == ["main"]


async def test_no_answer_is_no_no(server: AmiServer, switch: Switch) -> None:
    server.drop()
    with pytest.raises(AmiError):
        await switch.part(NODE, CALLER, AGENT, "main", yes)
    with pytest.raises(AmiError):
        await switch.waits(NODE, NAMES[AGENT])

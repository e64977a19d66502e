"""Talks from a server that speaks AMI: lists, events that come before, within and behind them, lag, refusals, silence."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from time import monotonic

import pytest

import ivr.asterisk.exchange as exchange_module
import ivr.asterisk.looks as looks_module
from ivr.asterisk.ami import Ami
from ivr.asterisk.identity import demand
from ivr.asterisk.talks import Talks
from ivr.config import AmiSettings
from ivr.errors import ConfigError, Unavailable
from ivr.secret import Secret
from tests.contract.ami_server import PASSWORD, AmiServer, Fields, Rule, message
from tests.contract.ari_log import Log, wait_for

NODE = "02:00:00:00:00:01"
ANNA, CALLER, BO = "PJSIP/anna-00000001", "PJSIP/trunk-00000002", "PJSIP/bo-00000003"


class Pbx:
    """What is true in an Asterisk, and told when asked; events are what a test sends."""

    def __init__(self, server: AmiServer) -> None:
        self.server = server
        self.seats: dict[str, str] = {}
        self.holding: set[str] = set()
        self.entity = NODE
        server.rules |= {
            "Getvar": self._variable,
            "CoreShowChannels": self._channels, "BridgeList": self._bridges, "BridgeInfo": self._bridge, "Status": self._status
        }  # fmt: skip

    def put(self, **seats: str) -> None:
        """These channels are in these bridges now, by the first letter of their name: `anna`, `caller`, `bo`."""
        for who, bridge in seats.items():
            self.seats[who] = bridge

    def enter(self, who: str, bridge: str) -> bytes:
        return message(Event="BridgeEnter", BridgeUniqueid=bridge, BridgeTechnology="simple_bridge", **_channel(who))

    def leave(self, who: str, bridge: str) -> bytes:
        return message(Event="BridgeLeave", BridgeUniqueid=bridge, BridgeTechnology="simple_bridge", **_channel(who))

    def _variable(self, asked: Fields) -> bytes:
        variable, value = asked["Variable"], self.entity
        if found := re.fullmatch(r"CHANNELS\((.+)\)", variable):
            value = " ".join(
                name for name in (_channel(who)["Channel"] for who in self.seats) if re.match(found[1], name)
            )
        return message(Response="Success", ActionID=asked["ActionID"], Variable=variable, Value=value)

    def _channels(self, asked: Fields) -> bytes:
        told = [dict(Event="CoreShowChannel", BridgeId=self.seats[who], **_channel(who)) for who in self.seats]
        return listed(asked, "CoreShowChannelsComplete", *told)

    def _bridges(self, asked: Fields) -> bytes:
        bridges = sorted({bridge for bridge in self.seats.values() if bridge})
        told = [
            {"Event": "BridgeListItem", "BridgeUniqueid": one, "BridgeTechnology": self._kind(one)} for one in bridges
        ]
        return listed(asked, "BridgeListComplete", *told)

    def _bridge(self, asked: Fields) -> bytes:
        bridge = asked["BridgeUniqueid"]
        told = [dict(Event="BridgeInfoChannel", **_channel(who)) for who in self.seats if self.seats[who] == bridge]
        if not told:
            return message(Response="Error", ActionID=asked["ActionID"], Message="Specified BridgeUniqueid not found")
        return listed(asked, "BridgeInfoComplete", *told, BridgeUniqueid=bridge, BridgeTechnology=self._kind(bridge))

    def _status(self, asked: Fields) -> bytes:
        who = next((who for who in self.seats if _channel(who)["Channel"] == asked["Channel"]), None)
        if who is None:
            return message(Response="Error", ActionID=asked["ActionID"], Message="No such channel")
        return listed(asked, "StatusComplete", dict(Event="Status", BridgeID=self.seats[who], **_channel(who)))

    def _kind(self, bridge: str) -> str:
        return "holding_bridge" if bridge in self.holding else "simple_bridge"


def _channel(who: str) -> dict[str, str]:
    name = {"anna": ANNA, "caller": CALLER, "bo": BO}.get(who, who)
    number = "+46701740601" if who == "caller" else "<unknown>"
    return {
        "Channel": name, "ChannelState": "6", "ChannelStateDesc": "Up", "CallerIDNum": number, "CallerIDName": "<unknown>",
        "ConnectedLineNum": "<unknown>", "ConnectedLineName": "<unknown>", "Language": "en", "AccountCode": "",
        "Context": "desk", "Exten": "", "Priority": "1", "Uniqueid": f"id-{who}", "Linkedid": "id-caller",
    }  # fmt: skip


def listed(asked: Fields, complete: str, *told: dict[str, str], **more: str) -> bytes:
    own = {"ActionID": asked["ActionID"]}
    start = message(Response="Success", **own, EventList="start", Message="will follow")
    return start + b"".join(message(**one, **own) for one in told) + message(Event=complete, **own, **more)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def server() -> AsyncIterator[AmiServer]:
    async with AmiServer() as running:
        yield running


@pytest.fixture
def pbx(server: AmiServer) -> Pbx:
    return Pbx(server)


@pytest.fixture
async def talks(server: AmiServer, pbx: Pbx, log: Log) -> AsyncIterator[Talks]:
    """Where Anna and the caller talk."""
    pbx.put(anna="x", caller="x")
    ami = Ami(AmiSettings(port=server.port, seconds=10.0), Secret(PASSWORD), log=log.logger)
    made = Talks({NODE: ami}, log.logger)
    await ami.open()
    await made.until_known()
    yield made
    await ami.close()
    await made.close()


async def with_whom(talks: Talks, endpoint: str = "PJSIP/anna") -> list[list[str]]:
    return [[other.channel for other in talk.others] for talk in await talks.of(endpoint)]


async def until(talks: Talks, wanted: list[list[str]], endpoint: str = "PJSIP/anna") -> None:
    async with asyncio.timeout(5):
        while await with_whom(talks, endpoint) != wanted:
            await asyncio.sleep(0.005)


async def test_what_is_there_at_the_beginning(server: AmiServer, talks: Talks) -> None:
    assert server.of("Login")[0]["Events"] == "call"
    (talk,) = await talks.of("PJSIP/anna")
    assert (talk.node, talk.own.channel, talk.others[0].channel) == (NODE, "id-anna", "id-caller")
    assert talk.others[0].number is not None
    assert "46701740601" not in repr(talk)
    assert await with_whom(talks, "PJSIP/trunk") == [["id-anna"]]
    assert await with_whom(talks, "PJSIP/bo") == []
    assert await with_whom(talks, "PJSIP/anna-00000001") == []


async def test_a_change_is_told(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    told: list[frozenset[str]] = []
    talks.on_change(told.append)
    pbx.put(caller="")
    server.send(pbx.leave("caller", "x"))
    await wait_for(lambda: told, "it to be told")
    assert told == [{"PJSIP/anna", "PJSIP/trunk"}]
    assert await with_whom(talks) == []


async def test_a_list_whose_bridges_are_holding_ones(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    pbx.holding.add("x")
    server.drop()
    await wait_for(lambda: not talks.known, "it to be noticed")
    await talks.until_known()
    assert await with_whom(talks) == []


@pytest.mark.parametrize("place", ["before", "within", "behind"])
async def test_an_event_beside_the_list_counts(server: AmiServer, pbx: Pbx, talks: Talks, place: str) -> None:
    """The caller leaves, and comes to Bo, while the lists are made that still have her at Anna's."""
    old = pbx._channels

    def rule(asked: Fields) -> bytes:
        whole = old(asked)
        news = pbx.leave("caller", "x") + pbx.enter("bo", "y") + pbx.enter("caller", "y")
        pbx.put(caller="y", bo="y")
        middle = {"before": 0, "within": whole.index(b"Event: CoreShowChannelsComplete"), "behind": len(whole)}[place]
        return whole[:middle] + news + whole[middle:]

    server.rules["CoreShowChannels"] = rule
    server.drop()
    await wait_for(lambda: not talks.known, "it to be noticed")
    await talks.until_known()
    assert await with_whom(talks) == []
    assert await with_whom(talks, "PJSIP/bo") == [["id-caller"]]


async def test_events_that_are_older_than_the_list(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    """They lag: of whom they tell in the meantime nobody is told, for the bridge says something else."""
    pbx.put(bo="y")
    server.drop()
    await wait_for(lambda: not talks.known, "it to be noticed")
    await talks.until_known()
    # Bo was with Anna before: what tells of it comes late
    server.send(pbx.enter("bo", "x"))
    await wait_for(lambda: len(talks._exchanges[NODE]._board.members("x")) == 3, "the event")
    asking = asyncio.create_task(with_whom(talks))
    server.send(pbx.leave("bo", "x") + pbx.enter("bo", "y"))
    assert await asking == [["id-caller"]]


async def test_events_that_do_not_come(server: AmiServer, pbx: Pbx, talks: Talks, log: Log) -> None:
    """The caller has gone, and an Asterisk under load has not told it yet: nobody is told that she is there."""
    await with_whom(talks)
    pbx.put(caller="")
    server.send(message(Event="Unhold", **_channel("anna")))
    talks._exchanges[NODE]._looks.forget_all()
    assert await with_whom(talks) == []
    assert len(log.of("talks.corrected")) == 1


async def test_a_proof_is_good_for_a_second(
    server: AmiServer, pbx: Pbx, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        assert await with_whom(talks) == [["id-caller"]]
    assert len(server.of("BridgeInfo")) == 1
    monkeypatch.setattr(looks_module, "_FRESH", 0.0)
    assert await with_whom(talks) == [["id-caller"]]
    assert len(server.of("BridgeInfo")) == 2
    assert await with_whom(talks, "PJSIP/bo") == []
    # of whoever is in no bridge that is asked alone
    asked = [one["Variable"] for one in server.of("Getvar")][-1]
    assert asked == "CHANNELS(^[Pp][Jj][Ss][Ii][Pp]/[Bb][Oo]-[^-]*$)"


async def test_a_second_call_of_the_same_phone_is_seen_before_an_event_tells_of_it(
    server: AmiServer, pbx: Pbx, talks: Talks, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is joined with somebody else as well is not known to talk with the first alone."""
    monkeypatch.setattr(looks_module, "_FRESH", 0.0)
    second = "PJSIP/anna-00000009"
    pbx.put(**{second: "", "bo": ""})
    assert await with_whom(talks) == [["id-caller"]], "it rings"
    pbx.put(**{second: "y", "bo": "y"})
    assert sorted(await with_whom(talks)) == [["id-bo"], ["id-caller"]]
    assert len(log.of("talks.corrected")) == 1
    # whoever waits in one that joins nobody talks with nobody
    pbx.put(**{second: "z"})
    pbx.holding.add("z")
    server.send(pbx.leave(second, "y"))
    await until(talks, [["id-caller"]])


async def test_a_phone_is_the_same_in_upper_and_lower_case(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    pbx.put(**{"PJSIP/Anna-00000009": "y", "bo": "y"})
    assert sorted(await with_whom(talks, "pjsip/ANNA")) == [["id-bo"], ["id-caller"]]


@pytest.mark.parametrize("endpoint", ["SIP/a.b", "DAHDI/i1/5+5", "PJSIP/x(1)", "PJSIP/$^*"])
async def test_an_endpoint_is_no_pattern(server: AmiServer, talks: Talks, endpoint: str) -> None:
    assert await talks.of(endpoint) == ()
    pattern = re.fullmatch(r"CHANNELS\((.+)\)", [one["Variable"] for one in server.of("Getvar")][-1])
    assert pattern is not None
    assert re.match(pattern[1], f"{endpoint}-0000000a")
    assert not re.match(pattern[1], f"{endpoint}-b-0000000a")


async def test_any_event_of_a_bridge_ends_the_proof(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    await with_whom(talks)
    pbx.put(bo="x")
    server.send(pbx.enter("bo", "x"))
    await until(talks, [["id-bo", "id-caller"]])
    assert len(server.of("BridgeInfo")) == 2


async def test_who_holds_is_told_while_the_proof_is_young(server: AmiServer, talks: Talks) -> None:
    """Of a hold no look tells: events alone do, and what was put together before one is of before."""
    for kind, held in (("Hold", True), ("Unhold", False), ("Hold", True)):
        assert await with_whom(talks) == [["id-caller"]]
        server.send(message(Event=kind, **_channel("anna")))
        await wait_for(lambda held=held: talks.told("PJSIP/anna")[0].own.held is held, "the event")  # type: ignore[misc]
        ((talk,), (other,)) = await talks.of("PJSIP/anna"), await talks.of("PJSIP/trunk")
        assert (talk.own.held, other.others[0].held) == (held, held), kind
    # nobody had to be asked: the bridge is the same
    assert len(server.of("BridgeInfo")) == 1


async def test_a_second_channel_that_a_look_has_found_ends_the_proof(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    """The looks at the bridge are young, and no event has told of the other one."""
    second = "PJSIP/anna-00000009"
    for _ in range(2):
        # asked for, and then proven by that
        assert await with_whom(talks) == [["id-caller"]]
    looks = talks._exchanges[NODE]._looks
    pbx.put(**{second: "y", "bo": "y"})
    looks.forget("pjsip/anna-")
    assert second in await looks.channels_of("PJSIP/anna")
    assert sorted(await with_whom(talks)) == [["id-bo"], ["id-caller"]]
    assert len([one for one in server.of("BridgeInfo") if one["BridgeUniqueid"] == "x"]) == 1


async def test_another_look_at_the_bridge_ends_the_proof(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    """Somebody else has asked for it, and no event has told yet who is there now."""
    for _ in range(2):
        assert await with_whom(talks) == [["id-caller"]]
    looks = talks._exchanges[NODE]._looks
    pbx.put(bo="x")
    looks.forget("x")
    assert len((await looks.at("x")).seats) == 3
    assert await with_whom(talks) == [["id-bo", "id-caller"]]


async def test_a_second_channel_in_no_bridge_of_ours_is_looked_at_each_time(
    server: AmiServer, pbx: Pbx, talks: Talks
) -> None:
    """Where it comes to is told by no event: what is known of it is never a proof."""
    second = "PJSIP/anna-00000009"
    pbx.put(**{second: ""})
    assert await with_whom(talks) == [["id-caller"]], "it rings"
    pbx.put(**{second: "y", "bo": "y"})
    # all looks are young
    assert sorted(await with_whom(talks)) == [["id-bo"], ["id-caller"]]
    assert len([one for one in server.of("BridgeInfo") if one["BridgeUniqueid"] == "x"]) == 1


async def test_a_half_that_led_nowhere_is_followed_each_time(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    """Where its other end comes to no event may tell, and the looks at its own bridge are young."""
    one, two = "Local/far@desk-00000000;1", "Local/far@desk-00000000;2"
    pbx.put(**{one: "x", two: ""})
    server.send(pbx.enter(one, "x"))
    await wait_for(lambda: len(talks._exchanges[NODE]._board.members("x")) == 3, "the event")
    for _ in range(2):
        assert await with_whom(talks) == [["id-caller"]], "it leads nowhere yet"
    pbx.put(**{two: "y", "bo": "y"})
    assert await with_whom(talks) == [["id-bo", "id-caller"]]
    assert len([asked for asked in server.of("BridgeInfo") if asked["BridgeUniqueid"] == "x"]) == 1


@pytest.mark.parametrize("endpoint", ["PJSIP/anna", "PJSIP/bo"])
async def test_a_link_that_is_half_open(server: AmiServer, talks: Talks, endpoint: str) -> None:
    for action in ("BridgeInfo", "Getvar"):
        server.rule(action, lambda asked: None)
    with pytest.raises(Unavailable):
        await talks.of(endpoint)


async def test_an_answer_that_was_under_way_for_long_is_no_proof(
    server: AmiServer, pbx: Pbx, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks while it is under way gets none that is older than the question."""
    for module in (exchange_module, looks_module):
        monkeypatch.setattr(module, "_PATIENCE", 0.4)
    late: list[bytes] = []
    clock = asyncio.get_running_loop().time
    when: list[float] = []

    def rule(asked: Fields) -> bytes | None:
        answer = pbx._bridge(asked)
        if late:
            return answer
        late.append(answer)
        when.append(clock())
        return None

    server.rules["BridgeInfo"] = rule
    with pytest.raises(Unavailable):
        await talks.of("PJSIP/anna")
    # what was asked for before it, on a busy machine, took of the time for which is waited
    while clock() - when[0] <= 0.4:
        await asyncio.sleep(0.01)
    pbx.put(caller="")
    asking = asyncio.create_task(with_whom(talks))
    await asyncio.sleep(0)
    server.send(late[0])
    assert await asking == []


@pytest.mark.timeout(10)
async def test_an_answer_that_came_late_holds_up_nobody(
    server: AmiServer, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks between its coming and its end being told asks anew: it is too old, and to wait for it takes no time."""
    monkeypatch.setattr(looks_module, "_FRESH", 0.0)
    looks = talks._exchanges[NODE]._looks
    asked: list[asyncio.Task[looks_module.Look]] = []

    async def late() -> None:
        looks._found["x"] = monotonic() - 2 * looks_module._PATIENCE, looks_module.Look(())
        asked.append(asyncio.create_task(looks.at("x")))

    looks._asked["x"] = asking = asyncio.ensure_future(late())
    asking.add_done_callback(lambda done: looks._ended("x", done))
    await asking
    assert {seat.channel for seat in (await asked[0]).seats} == {"id-anna", "id-caller"}
    assert len(server.of("BridgeInfo")) == 1
    await wait_for(lambda: not looks._asked, "all to be told")


async def test_a_look_that_is_denied(server: AmiServer, talks: Talks) -> None:
    def denied(asked: Fields) -> bytes:
        return message(Response="Error", ActionID=asked["ActionID"], Message="Permission denied")

    server.rule("BridgeInfo", denied)
    with pytest.raises(Unavailable):
        await talks.of("PJSIP/anna")


async def test_where_events_and_bridges_never_agree_nothing_is_known(
    server: AmiServer, pbx: Pbx, talks: Talks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "_CATCH_UP", 3600.0)
    pbx.put(bo="x")
    with pytest.raises(Unavailable, match="do not agree"):
        await talks.of("PJSIP/anna")


async def test_a_half_that_leads_where_no_event_has_told_of(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    """As when it takes the place of a channel in a conference."""
    one, two = "Local/far@desk-00000000;1", "Local/far@desk-00000000;2"
    pbx.put(**{one: "x", two: "y", "bo": "y"})
    server.send(pbx.enter(one, "x") + pbx.enter("bo", "y"))
    await until(talks, [["id-bo", "id-caller"]])
    assert len(await with_whom(talks, "PJSIP/bo")) == 1


async def test_a_channel_that_ends_and_never_left(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    """Another has its place: what is known of the bridge is asked for."""
    del pbx.seats["caller"]
    pbx.put(bo="x")
    server.send(message(Event="Hangup", **_channel("caller")))
    await until(talks, [["id-bo"]])


MARKED = "id-marked"


@pytest.mark.parametrize("field", ["CallerIDNum", "ConnectedLineNum", "Exten"])
@pytest.mark.parametrize("how", ["a field", "a message", "two messages"])
async def test_what_a_caller_writes_into_it_is_believed_of_nobody(
    server: AmiServer, pbx: Pbx, talks: Talks, log: Log, field: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line break in a number is one in AMI: the caller says there that he is the channel that bears a mark."""
    names = list(_channel("caller"))
    behind = names[names.index(field) + 1 :]
    rest = {
        "a field": f"\r\nUniqueid: {MARKED}",
        "a message": "".join(f"\r\n{name}: {MARKED}" for name in behind) + "\r\n",
        "two messages": "".join(f"\r\n{name}: {MARKED}" for name in behind) + "\r\n\r\nEvent: x\r\nq: ",
    }[how]
    monkeypatch.setitem(globals(), "_channel", _writing(field, f"1{rest}"))
    pbx.put(bo="y", evil="y")
    server.send(pbx.enter("bo", "y") + pbx.enter("evil", "y"))
    await wait_for(lambda: log.of("ami.forged"), "it to be noticed")
    for _ in range(3):
        with pytest.raises(Unavailable):
            assert MARKED not in str(await with_whom(talks, "PJSIP/bo"))
    # the others are not touched by it
    assert await with_whom(talks) == [["id-caller"]]
    server.drop()
    await wait_for(lambda: not talks.known, "it to be noticed")
    await talks.until_known()
    with pytest.raises(Unavailable):
        await with_whom(talks, "PJSIP/bo")
    assert await with_whom(talks) == [["id-caller"]]


@pytest.mark.parametrize(
    "written",
    [
        "1\r\n\r\nEvent: Shutdown\r\n", "1\r\n\r\nEvent: Shutdown\r\nShutdown: Cleanly", "1\r\nCommandID: a\r\nCommandID: b",
        "1\r\nEvent: a\r\nActionID: b", "1\r\n\r\nResponse: Follows\r\n", "1\r\n\r\nResponse: Fail\r\nActionID: a\r\nActionID: b",
    ],
)  # fmt: skip
async def test_a_caller_shuts_the_lock_for_nobody_else(
    server: AmiServer, pbx: Pbx, talks: Talks, log: Log, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the library trips over, or takes for Asterisk's end, would end the connection, again and again."""
    monkeypatch.setitem(globals(), "_channel", _writing("CallerIDNum", written))
    pbx.put(bo="y", evil="y")
    for _ in range(3):
        server.send(pbx.enter("bo", "y") + pbx.enter("evil", "y"))
        assert await with_whom(talks) == [["id-caller"]]
        with pytest.raises(Unavailable):
            await with_whom(talks, "PJSIP/bo")
    server.drop()
    await wait_for(lambda: not talks.known, "it to be noticed")
    await talks.until_known()
    assert await with_whom(talks) == [["id-caller"]]
    assert server.connections == 2


def _writing(field: str, text: str) -> Callable[[str], dict[str, str]]:
    usual = _channel
    return lambda who: usual(who) | ({field: text} if who == "evil" else {})


async def test_a_stranger_who_gives_himself_a_colleagues_name(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    """The message that tells of a new name is short enough for a number: the bridge has another one."""
    server.send(message(Event="Rename", Channel=CALLER, Newname=BO, Uniqueid="id-caller"))
    await wait_for(lambda: talks._exchanges[NODE]._board.named("x") >= {("id-caller", BO)}, "the event")
    ((talk,),) = [await talks.of("PJSIP/anna")]
    assert [other.endpoint for other in talk.others] == ["PJSIP/trunk"]


async def test_a_half_of_which_nothing_is_told_leads_somewhere(server: AmiServer, pbx: Pbx, talks: Talks) -> None:
    one = "Local/far@desk-00000000;1"
    pbx.put(**{one: "x"})
    server.rule("Status", lambda asked: listed(asked, "StatusComplete"))
    server.send(pbx.enter(one, "x"))
    with pytest.raises(Unavailable):
        await with_whom(talks)


async def test_without_a_connection_nothing_is_known(server: AmiServer, talks: Talks) -> None:
    told: list[frozenset[str]] = []
    talks.on_change(told.append)
    await server.stop()
    await wait_for(lambda: told, "it to be told")
    assert told == [{"PJSIP/anna", "PJSIP/trunk"}]
    for endpoint in ("PJSIP/anna", "PJSIP/bo"):
        with pytest.raises(Unavailable):
            await talks.of(endpoint)
    await server.start()
    await talks.until_known()
    assert await with_whom(talks) == [["id-caller"]]
    assert told[1:] == [{"PJSIP/anna", "PJSIP/trunk"}]


async def test_what_may_not_be_asked_is_said_once(
    server: AmiServer, pbx: Pbx, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "_WAITS", (0.01,))
    rule: Rule = lambda asked: message(Response="Error", ActionID=asked["ActionID"], Message="Permission denied")  # noqa: E731
    server.rule("CoreShowChannels", rule)
    ami = Ami(AmiSettings(port=server.port), Secret(PASSWORD), log=log.logger)
    talks = Talks({NODE: ami}, log.logger)
    await ami.open()
    await wait_for(lambda: len(server.of("CoreShowChannels")) > 3, "it to be asked again")
    with pytest.raises(Unavailable):
        await talks.of("PJSIP/anna")
    assert [line["action"] for line in log.of("talks.denied")] == ["CoreShowChannels"]
    server.rules["CoreShowChannels"] = pbx._channels
    await talks.until_known()
    await ami.close()
    await talks.close()


async def test_several_nodes_and_one_of_them_is_away(server: AmiServer, pbx: Pbx, log: Log) -> None:
    pbx.put(anna="x", caller="x")
    async with AmiServer() as second:
        other = Pbx(second)
        other.put(anna="x", bo="x")
        pbx.entity, other.entity = str(server.port), str(second.port)
        amis = {
            str(one.port): Ami(AmiSettings(port=one.port), Secret(PASSWORD), log=log.logger) for one in (server, second)
        }
        talks = Talks(amis, log.logger)
        for ami in amis.values():
            await ami.open()
        await talks.until_known()
        found = {(talk.node, talk.others[0].channel) for talk in await talks.of("PJSIP/anna")}
        assert found == {(str(server.port), "id-caller"), (str(second.port), "id-bo")}
        await second.stop()
        await wait_for(lambda: not talks.known, "it to be noticed")
        with pytest.raises(Unavailable):
            await talks.of("PJSIP/anna")
        for ami in amis.values():
            await ami.close()
        await talks.close()


async def test_another_nodes_interface_tells_nothing(
    server: AmiServer, pbx: Pbx, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two Asterisks a channel may have the same id; also of one that has come in the other's place meanwhile."""
    monkeypatch.setattr(exchange_module, "_WAITS", (0.01,))
    pbx.put(anna="x", caller="x")
    ami = Ami(AmiSettings(port=server.port), Secret(PASSWORD), log=log.logger, place="tillit.toml: [nodes.south.desk]")
    talks = Talks({NODE: ami}, log.logger)
    await ami.open()
    await talks.until_known()
    await demand(ami, NODE)
    pbx.entity = "02:00:00:00:00:99"
    with pytest.raises(
        ConfigError, match=r"^tillit\.toml: \[nodes\.south\.desk\] host, port: the manager interface there is"
    ):
        await demand(ami, NODE)
    asked = len(server.of("Getvar"))
    server.drop()
    await wait_for(lambda: len(server.of("Getvar")) > asked + 3, "it to be asked again")
    with pytest.raises(Unavailable):
        await talks.of("PJSIP/anna")
    assert [line["found"] for line in log.of("talks.other_node")] == [pbx.entity]
    pbx.entity = NODE
    await talks.until_known()
    assert await with_whom(talks) == [["id-caller"]]
    server.drop()
    # whoever does not answer is not taken for another
    await demand(ami, "another")
    await ami.close()
    await talks.close()

"""Who talks with whom, by the events that a real Asterisk sent of each shape of a call; and by any order of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.asterisk.switchboard import Seat, Switchboard, seat_of

Event = dict[str, str]
NAMES = {
    "c": "PJSIP/trunk-00000001", "a": "PJSIP/anna-00000002", "b": "PJSIP/bo-smith-00000003", "d": "PJSIP/anna-00000004",
    "1": "Local/anna@desk-00000000;1", "2": "Local/anna@desk-00000000;2",
    "3": "Local/bo@desk-00000001;1", "4": "Local/bo@desk-00000001;2",
}  # fmt: skip


def enter(who: str, bridge: str, technology: str = "simple_bridge", name: str = "") -> Event:
    return {
        "Event": "BridgeEnter", "BridgeUniqueid": bridge, "BridgeTechnology": technology, "Uniqueid": who,
        "Channel": name or NAMES[who], "CallerIDNum": "<unknown>",
    }  # fmt: skip


def leave(who: str, bridge: str) -> Event:
    return {"Event": "BridgeLeave", "BridgeUniqueid": bridge, "Uniqueid": who, "Channel": NAMES[who]}


def hangup(who: str) -> Event:
    return {"Event": "Hangup", "Uniqueid": who, "Channel": NAMES[who]}


def destroy(bridge: str) -> Event:
    return {"Event": "BridgeDestroy", "BridgeUniqueid": bridge}


def fed(*events: Event, board: Switchboard | None = None) -> Switchboard:
    board = Switchboard() if board is None else board
    for event in events:
        board.feed(event, 1.0)
    return board


def with_whom(board: Switchboard, endpoint: str) -> list[tuple[str, ...]]:
    """For each of the endpoint's talks the others' channels."""
    return [tuple(other.channel for other in talk.others) for talk in board.talks("node", endpoint)]


def all_talks(board: Switchboard) -> dict[str, list[tuple[str, ...]]]:
    return {name.rpartition("-")[0]: with_whom(board, name.rpartition("-")[0]) for name in NAMES.values()}


def test_two_in_a_bridge_talk() -> None:
    board = Switchboard()
    assert board.feed(enter("a", "x"), 5.0) == (frozenset(), frozenset())
    assert with_whom(board, "PJSIP/anna") == []
    changed, doubtful = board.feed(enter("c", "x") | {"CallerIDNum": "+46701740601"}, 7.0)
    assert (changed, doubtful) == ({"PJSIP/anna", "PJSIP/trunk"}, frozenset())
    (talk,) = board.talks("node", "PJSIP/anna")
    assert (talk.node, talk.own.channel, talk.own.endpoint, talk.own.since) == ("node", "a", "PJSIP/anna", 7.0)
    (caller,) = talk.others
    assert (caller.channel, caller.endpoint, caller.since, caller.held) == ("c", "PJSIP/trunk", 7.0, False)
    assert caller.number is not None and caller.number.masked == "+46…01"
    assert board.feed(leave("c", "x"), 8.0)[0] == {"PJSIP/anna", "PJSIP/trunk"}
    assert all_talks(board) == all_talks(Switchboard())


def test_an_endpoint_may_have_hyphens() -> None:
    assert with_whom(fed(enter("b", "x"), enter("c", "x")), "PJSIP/bo-smith") == [("c",)]


def test_upper_and_lower_case_are_the_same_phone() -> None:
    board = fed(enter("a", "x"), enter("c", "x"), enter("d", "y", name="PJSIP/Anna-00000009"), enter("b", "y"))
    assert with_whom(board, "PJSIP/ANNA") == with_whom(board, "PJSIP/anna") == [("c",), ("b",)]
    board.feed(hangup("a"), 1.0)
    assert with_whom(board, "PJSIP/anna") == [("b",)]


def test_who_holds_is_told() -> None:
    board = fed(enter("a", "x"), enter("c", "x"))
    assert board.feed({"Event": "Hold", "Uniqueid": "a"}, 2.0)[0] == {"PJSIP/anna", "PJSIP/trunk"}
    (talk,) = board.talks("node", "PJSIP/trunk")
    assert (talk.own.held, talk.others[0].held) == (False, True)
    board.feed({"Event": "Unhold", "Uniqueid": "a"}, 2.0)
    assert not next(iter(board.talks("node", "PJSIP/anna"))).own.held


def test_behind_a_local_channel() -> None:
    board = fed(enter("a", "x"), enter("2", "x"), enter("1", "y"))
    assert with_whom(board, "PJSIP/anna") == []
    assert board.feed(enter("c", "y"), 1.0)[0] == {"PJSIP/anna", "PJSIP/trunk"}
    assert with_whom(board, "PJSIP/anna") == [("c",)]
    assert all_talks(board)["Local/anna@desk"] == []
    # Asterisk takes the Local channel out: in this order
    fed(leave("a", "x"), leave("1", "y"), enter("a", "y") | {"SwapUniqueid": "1"}, leave("2", "x"), board=board)
    assert with_whom(board, "PJSIP/anna") == [("c",)]
    assert len(board) == 2


def test_a_half_that_comes_last_joins_both_sides() -> None:
    board = fed(enter("a", "x"), enter("2", "x"), enter("c", "y"))
    assert board.feed(enter("1", "y"), 1.0)[0] == {"PJSIP/anna", "PJSIP/trunk"}
    assert board.feed(hangup("2"), 1.0)[0] == {"PJSIP/anna", "PJSIP/trunk"}


def test_two_local_channels_one_behind_the_other() -> None:
    board = fed(*(enter(who, bridge) for who, bridge in ("ax", "2x", "1y", "4y", "3z", "cz")))
    assert with_whom(board, "PJSIP/anna") == [("c",)]
    (_, circle), *_ = board.circles("PJSIP/anna")
    assert (circle.bridges, circle.open) == ({"x", "y", "z"}, frozenset())


def test_where_a_half_leads_nowhere_it_is_open() -> None:
    ((_, circle),) = fed(enter("a", "x"), enter("2", "x")).circles("PJSIP/anna")
    assert circle.open == {NAMES["1"]}


def test_in_a_holding_bridge_nobody_talks() -> None:
    board = fed(
        enter("a", "x"), enter("c", "x"), enter("c", "lot", "holding_bridge"), enter("b", "lot", "holding_bridge")
    )
    assert all_talks(board) == all_talks(Switchboard())
    assert board.feed(leave("c", "lot"), 1.0) == (frozenset(), frozenset())


@pytest.mark.parametrize("kind", ["Announcer", "CBAnn", "CBRec", "Message", "Recorder", "Surrogate"])
def test_what_nobody_is_behind_is_no_party(kind: str) -> None:
    board = fed(enter("a", "x"), enter("c", "x"), enter("9", "x", name=f"{kind}/one-00000001;2"))
    assert with_whom(board, "PJSIP/anna") == [("c",)]


@pytest.mark.parametrize("kind", ["Snoop", "UnicastRTP", "AudioSocket", "DAHDI", "SomethingNew"])
def test_any_other_is_one(kind: str) -> None:
    board = fed(enter("a", "x"), enter("c", "x"), enter("9", "x", name=f"{kind}/one-00000001"))
    assert with_whom(board, "PJSIP/anna") == [("9", "c")]


def test_all_in_a_conference_are_parties_of_all() -> None:
    board = fed(*(enter(who, "room", "softmix") for who in "acb"))
    assert all_talks(board)["PJSIP/anna"] == [("b", "c")]
    assert board.feed(leave("b", "room"), 1.0)[0] == {"PJSIP/anna", "PJSIP/bo-smith", "PJSIP/trunk"}
    assert with_whom(board, "PJSIP/anna") == [("c",)]


def test_two_calls_of_one_phone_are_two_talks() -> None:
    board = fed(enter("a", "x"), enter("c", "x"), enter("d", "y"), enter("b", "y"))
    assert with_whom(board, "PJSIP/anna") == [("c",), ("b",)]


def test_who_ends_without_leaving_was_taken_the_place_of() -> None:
    """As behind an attended transfer into a conference: no event tells that the caller is there now."""
    board = fed(enter("b", "room", "softmix"), enter("a", "room", "softmix"))
    assert board.feed(hangup("a"), 1.0) == ({"PJSIP/anna", "PJSIP/bo-smith"}, {"room"})
    seats = [seat_of(enter(who, "room"), "room", 9.0) for who in "bc"]
    assert board.correct("room", [seat for seat in seats if seat]) == {"PJSIP/bo-smith", "PJSIP/trunk"}
    assert with_whom(board, "PJSIP/trunk") == [("b",)]
    # and who leaves and was never there
    assert board.feed(leave("d", "room"), 1.0) == (frozenset(), {"room"})


def test_another_name() -> None:
    board = fed(enter("a", "x"), enter("c", "x"))
    changed, doubtful = board.feed({"Event": "Rename", "Uniqueid": "a", "Newname": "PJSIP/eva-00000009"}, 1.0)
    assert (changed, doubtful) == ({"PJSIP/anna", "PJSIP/eva", "PJSIP/trunk"} - {"PJSIP/trunk"}, {"x"})
    assert (with_whom(board, "PJSIP/anna"), with_whom(board, "PJSIP/eva")) == ([], [("c",)])


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"Event": "BridgeEnter"},
        {"Event": "BridgeEnter", "BridgeUniqueid": "x"},
        {"Event": "BridgeEnter", "Uniqueid": "z", "Channel": "PJSIP/z-1"},
        {"Event": "BridgeLeave", "Uniqueid": "a"},
        {"Event": "BridgeLeave", "Uniqueid": "a", "BridgeUniqueid": "elsewhere"},
        {"Event": "BridgeDestroy"},
        {"Event": "Hangup"},
        {"Event": "Rename", "Uniqueid": "a"},
        {"Event": "Hold"},
    ],
)
def test_what_lacks_a_field_changes_nothing(odd: Event) -> None:
    board = fed(enter("a", "x"), enter("c", "x"))
    assert board.feed(odd, 1.0) == (frozenset(), frozenset())
    assert with_whom(board, "PJSIP/anna") == [("c",)]


# ---------------------------------------------------------------- any world


@dataclass
class World:
    """An Asterisk that is consistent: a channel is in one bridge at most, and leaves before it enters another or ends."""

    seats: dict[str, tuple[str, str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    serial: int = 0
    events: list[Event] = field(default_factory=list)

    def step(self, who: str, what: str, bridge: str) -> None:
        if who in self.ended:
            return
        if who in self.seats:
            self.events.append(leave(who, self.seats.pop(who)[0]))
        match what:
            case "enter":
                technology = "holding_bridge" if bridge == "lot" else "simple_bridge"
                self.seats[who] = bridge, technology
                self.events.append(enter(who, bridge, technology))
            case "end":
                self.ended.add(who)
                self.events.append(hangup(who))

    def listed(self) -> Switchboard:
        """What a snapshot of it tells."""
        board = Switchboard()
        board.begin(
            Seat(who, NAMES[who], bridge) for who, (bridge, kind) in self.seats.items() if kind != "holding_bridge"
        )
        return board


STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(NAMES)),
        st.sampled_from(["enter", "enter", "enter", "leave", "end"]),
        st.sampled_from(["x", "y", "z", "lot"]),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_any_order_of_events_ends_as_the_snapshot(steps: list[tuple[str, str, str]], random: object) -> None:
    """Those of one channel come in their order; of different channels whichever comes first."""
    world = World()
    for step in steps:
        world.step(*step)
    queues = defaultdict(list)
    for event in world.events:
        queues[event["Uniqueid"]].append(event)
    board = Switchboard()
    while queues:
        who = random.choice(sorted(queues))  # type: ignore[attr-defined]
        board.feed(queues[who].pop(0), 1.0)
        if not queues[who]:
            del queues[who]
    assert all_talks(board) == all_talks(world.listed())


@settings(max_examples=300, deadline=None)
@given(STEPS, STEPS, st.integers(0, 60))
def test_events_that_come_behind_the_snapshot_they_are_older_than(
    before: list[tuple[str, str, str]], after: list[tuple[str, str, str]], stale: int
) -> None:
    world = World()
    for step in before:
        world.step(*step)
    late = world.events[-stale:] if stale else []
    board = world.listed()
    world.events = []
    for step in after:
        world.step(*step)
    fed(*late, *world.events, board=board)
    assert all_talks(board) == all_talks(world.listed())


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_whoever_is_told_of_nothing_talks_as_before(steps: list[tuple[str, str, str]]) -> None:
    """Each event names just those whose talks it has changed."""
    world = World()
    for step in steps:
        world.step(*step)
    board = Switchboard()
    was = all_talks(board)
    for event in world.events:
        changed, doubtful = board.feed(event, 1.0)
        now = all_talks(board)
        assert {endpoint for endpoint in now if now[endpoint] != was[endpoint]} == changed
        assert not doubtful
        was = now

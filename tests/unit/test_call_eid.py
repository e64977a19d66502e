"""The steps of electronic identities: who passes, what is told of the rest, and that nobody hears why."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from ivr.call.mark import LEVEL, METHODS, STATUS
from ivr.call.outcome import Scope
from ivr.call.policy import policies
from ivr.call.ports import Entry
from ivr.call.ports.eid import Done, EidAsked, Ended, Order, Pending, Why
from ivr.call.session import Session
from ivr.errors import AriError, ConfigError, EidError, HungUp, StoreError
from ivr.prompts import Prompt
from ivr.secret import Secret
from tests.unit.fakes import ANNA, ANNA_PIN, UNKNOWN, Answers, FakeLine, Keys, World, settings

WHO = "198001012392"
TABLES: dict[str, Any] = {
    "bankid": {"certificate_file": "a", "key_file": "b", "ca_file": "c"},
    "freja": {"certificate_file": "a", "key_file": "b", "signing_certificate_file": "c"},
    "brokers": {
        "example": {
            "issuer": "https://eid.example", "client_id": "t", "client_secret_file": "s", "acr": {"high": 3},
            "country": "SE",
        }
    },
}  # fmt: skip
POLICIES = {
    "bankid": {"steps": ["bankid"], "level": 3},
    "freja": {"steps": ["freja"], "level": 3},
    "ciba": {"steps": ["ciba"], "level": 3},
    "both": {"steps": ["pin", "bankid"], "level": 3},
}
ASKS = {"bankid": Prompt.ASK_BANKID, "freja": Prompt.ASK_FREJA, "ciba": Prompt.ASK_EID}


def world_of(*said: Any, provider: str = "bankid", **tables: Any) -> World:
    """Anna is called that number; of the order comes what was said, one look after another."""
    world = World(eid=TABLES, **{**tables, "policies": {**POLICIES, **tables.get("policies", {})}})
    world.identities.known["ref-anna", "SE"] = WHO
    world.eids[provider].says = list(said) or [Pending("sent")]
    return world


def identified(who: str = WHO, level: int = 3) -> Done:
    return Done(Secret(who), level, Secret("signature"))


def call(world: World, policy: str = "bankid", *, during: Any = None, **how: Any) -> FakeLine:
    answers: dict[Prompt, Any] = {ASKS[policy]: ["1"]}
    if during is not None:
        answers[Prompt.OPEN_APP] = [during]
    return world.call(policy, answers=answers, stays=1.0, **how)


def rows(world: World) -> list[str]:
    return [row.outcome for row in world.trail.rows if row.action == "eid"]


def row(world: World, outcome: str) -> Entry:
    [found] = [row for row in world.trail.rows if row.action == "eid" and row.outcome == outcome]
    return found


def failures(world: World) -> int:
    return max(world.live.failures.values(), default=0)


# ---------------------------------------------------------------- who passes


@pytest.mark.parametrize(("policy", "provider"), [("bankid", "bankid"), ("freja", "freja"), ("ciba", "example")])
def test_who_identifies_is_verified_at_level_3(policy: str, provider: str) -> None:
    world = world_of(Pending("opened"), identified(), provider=provider)
    line = call(world, policy)
    assert (line.variables[STATUS], line.variables[LEVEL], line.variables[METHODS]) == ("verified", "3", policy)
    assert failures(world) == 0
    assert world.identities.kept == [("ref-anna", provider, "signature")]
    assert rows(world) == ["asked", "identified"]
    detail = row(world, "identified").detail
    assert detail is not None
    assert (detail["provider"], detail["evidence"], detail["level"]) == (provider, "evidence-1", "3")
    assert world.turns.taken == set(), "the next one may ask"
    assert world.eids[provider].cancelled == [], "there is nothing to be cancelled"


def test_the_trail_and_the_count_come_before_anybody_is_asked() -> None:
    world = world_of(identified())
    call(world)
    names = world.plot.names
    assert names.index("live.attempt") < names.index("eid.begin")
    assert names.index("trail.append") < names.index("eid.begin")
    assert names.index("eid.reach") < names.index("live.attempt"), (
        "a provider that is away is no failure of the caller's"
    )


@pytest.mark.parametrize("called", [False, True])
def test_the_app_says_who_called_whom(called: bool) -> None:
    world = world_of(identified())
    call(world, called=called, again=called)
    [asked] = world.eids["bankid"].begun
    assert asked.caller_began is not called
    assert ("You called Acme" in asked.shown) is not called
    assert asked.who == Secret(WHO)
    assert asked.start == "phone"


def test_the_caller_hears_the_digits_that_the_app_shows() -> None:
    """Whoever is asked by an order of somebody else hears none of them."""
    heard = set()
    for _ in range(9):
        world = world_of(*[Pending("sent")] * 20, identified(), provider="example")
        line = call(world, "ciba")
        [asked] = world.eids["example"].begun
        at = line.said.index(Prompt.APP_SHOWS)
        assert line.said[at - 1] is Prompt.OPEN_APP
        said = "".join(one.value.removeprefix("digit-") for one in line.said[at + 1 : at + 5])
        assert len(said) == 4 and said.isdecimal() and asked.code == Secret(said)
        heard.add(said)
    assert len(heard) > 1, "others in each call"


def test_whoever_is_not_known_hears_digits_too() -> None:
    world = world_of(provider="example")
    answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"], Prompt.ASK_EID: ["1"]}
    line = world.call("ciba", number=None, answers=answers)
    assert world.eids["example"].begun == []
    assert Prompt.APP_SHOWS in line.said


@pytest.mark.parametrize(("policy", "most"), [("bankid", 64), ("freja", 64), ("ciba", 0), ("ciba", 3)])
def test_where_the_app_shows_no_message_no_digits_are_said(policy: str, most: int) -> None:
    provider = "example" if policy == "ciba" else policy
    broker = {**TABLES["brokers"]["example"], "message_most": most}
    world = World(eid={**TABLES, "brokers": {"example": broker}}, policies=POLICIES)
    world.identities.known["ref-anna", "SE"] = WHO
    world.eids[provider].says = [*[Pending("sent")] * 20, identified()]
    line = call(world, policy)
    [asked] = world.eids[provider].begun
    assert asked.code is None and Prompt.APP_SHOWS not in line.said


def test_what_the_app_shows_is_in_the_customers_language() -> None:
    world = world_of(identified())
    world.change_anna(language="sv")
    call(world)
    assert "Du har ringt Acme" in world.eids["bankid"].begun[0].shown


def test_it_is_looked_as_often_as_the_provider_wants() -> None:
    world = world_of(Pending("sent"), Pending("sent", 7.0), identified())
    began = world.now
    line = call(world)
    assert line.variables[STATUS] == "verified"
    assert world.now - began > 2 + 2 + 7


def test_a_ping_has_it_looked_at_once() -> None:
    took = []
    for pinged in (False, True):
        world = world_of(Pending("sent", 20.0), identified(), provider="example")
        world.eids["example"].pings = asyncio.Event()
        if pinged:
            world.plot.on("eid.look", world.eids["example"].pings.set, delay=3.0)
        began = world.now
        assert call(world, "ciba").variables[STATUS] == "verified"
        took.append(world.now - began)
        assert len(world.logged("eid.pinged")) == pinged
    assert took[0] - took[1] == pytest.approx(20.0 - 3.0, abs=0.5), "and without one it is looked all the same"


def test_a_ping_is_no_answer_and_one_that_comes_again_is_nothing() -> None:
    world = world_of(Pending("sent"), steps={"eid": {"seconds": 30}}, provider="example")
    world.eids["example"].pings = asyncio.Event()
    world.plot.on("eid.begin", world.eids["example"].pings.set)
    began = world.now
    assert call(world, "ciba").variables[STATUS] == "refused"
    assert world.identities.kept == []
    assert len(world.logged("eid.pinged")) == 1
    # every two seconds, as without it, and once more
    assert world.plot.names.count("eid.look") <= (world.now - began) / 2 + 1


def test_a_pin_before_it_changes_nothing() -> None:
    world = world_of(identified())
    answers: Answers = {Prompt.ASK_PIN: [f"{ANNA_PIN}#"], Prompt.ASK_BANKID: ["1"]}
    line = world.call("both", answers=answers, stays=1.0)
    assert line.variables[METHODS] == "pin,bankid"


def test_a_look_that_fails_is_one_of_many() -> None:
    world = world_of(Pending("sent"), identified())
    for nth in (1, 2):
        world.plot.fail("eid.look", EidError("bankid: it has not answered in time"), nth=nth)
    assert call(world).variables[STATUS] == "verified"
    assert len(world.logged("eid.failed")) == 1


def test_a_key_that_is_no_star_ends_nothing_and_lost_events_neither() -> None:
    world = world_of(Pending("sent"), Pending("sent"), identified())
    assert call(world, during=Keys("12#~", ahead=True)).variables[STATUS] == "verified"


def test_what_ends_it_in_the_middle_of_the_prompt_stops_that() -> None:
    world = world_of(identified())
    line = call(world)
    assert line.variables[STATUS] == "verified"
    assert not line.playing_music
    assert line.delayed == []


# ---------------------------------------------------------------- who does not


@pytest.mark.parametrize(
    "why", ["declined_call", "cancelled", "expired", "in_progress", "not_able", "risk", "wrong_person", "failed"]
)
def test_of_an_end_the_trail_hears_and_nobody_else(why: Why) -> None:
    world = world_of(Ended(why))
    line = call(world)
    assert line.variables[STATUS] == "refused"
    assert rows(world) == ["asked", "unavailable" if why == "failed" else why]
    assert failures(world) == 1
    assert world.live.marks == {}
    assert world.turns.taken == set()
    assert [name for name, _ in line.events] == (["CallerDeclinesCall"] if why == "declined_call" else [])
    assert len(world.logged("eid.declined_call")) == (why == "declined_call")


def test_a_declined_call_is_told_at_once_and_not_when_the_caller_is_done() -> None:
    world = world_of(Ended("declined_call"))
    world.plot.on("line.event", lambda: told.append(world.plot.names.count("line.announce")))
    told: list[int] = []
    line = call(world)
    assert line.events[0] == ("CallerDeclinesCall", {"Subject": "ref-anna"})
    assert told == [0], "the caller was still waiting"


def test_whoever_has_said_so_is_asked_by_nobody_for_a_while() -> None:
    world = world_of(Ended("declined_call"))
    call(world)
    [until] = world.live.bars.values()
    noticed = []
    for barred in (True, False):
        world.now = until + (-200 if barred else 1)
        world.eids["bankid"].says, began = [Pending("sent")], world.now
        line = call(world)
        noticed.append((line.heard, line.variables, line.events, round(world.now - began, 6)))
        assert len(world.eids["bankid"].begun) == (1 if barred else 2)
    assert noticed[0] == noticed[1], "and nobody hears why"
    assert rows(world) == ["asked", "declined_call", "barred", "asked"]
    assert WHO not in world.turns.taken


def test_an_alarm_that_cannot_be_told_ends_no_call() -> None:
    world = world_of(Ended("declined_call"))
    world.plot.fail("line.event", AriError("POST events", 500))
    assert call(world).variables[STATUS] == "refused"
    assert len(world.logged("eid.untold")) == 1


@pytest.mark.parametrize("done", [identified("199001012385"), identified(level=2), identified(level=1)])
def test_somebody_else_and_less_than_asked_for_is_nothing(done: Done) -> None:
    world = world_of(done)
    assert call(world).variables[STATUS] == "refused"
    assert world.identities.kept == []
    assert rows(world) == ["asked", "wrong_person" if done.level == 3 else "not_able"]


def test_a_refusal_to_begin_is_no_quicker() -> None:
    waited = []
    for refuses in (None, Ended("in_progress"), Ended("not_able")):
        world = world_of()
        world.eids["bankid"].refuses = refuses
        began = world.now
        line = call(world)
        waited.append((line.heard, line.variables, line.events, round(world.now - began, 6)))
    assert waited[0] == waited[1] == waited[2]


def test_a_provider_that_fails_at_the_order_is_not_heard() -> None:
    world = world_of()
    world.plot.fail("eid.begin", EidError("bankid: it refused (500)"))
    assert call(world).variables[STATUS] == "refused"
    assert rows(world) == ["asked", "unavailable"]


def test_one_order_of_a_person_at_a_time() -> None:
    world = world_of(identified())
    world.turns.others.add(WHO)
    assert call(world).variables[STATUS] == "refused"
    assert world.eids["bankid"].begun == []
    assert rows(world) == ["in_progress"]


@pytest.mark.parametrize(("life", "waits", "least"), [(180.0, 60, 180.0), (60.0, 170, 170.0)])
def test_nobody_else_asks_while_the_order_may_live(life: float, waits: int, least: float) -> None:
    world = world_of(identified(), steps={"eid": {"seconds": waits}})
    world.eids["bankid"].life = life
    call(world)
    assert world.turns.asked[0] >= least


def test_an_order_that_cannot_be_taken_back_keeps_its_turn() -> None:
    world = world_of(provider="example")
    world.eids["example"].uncancelled = True
    for _ in range(2):
        call(world, "ciba", during="*")
    assert len(world.eids["example"].begun) == 1
    assert rows(world) == ["asked", "in_progress"]


@pytest.mark.parametrize("operation", ["eid.begin", "eid.cancel"])
def test_an_order_that_may_be_there_keeps_its_turn(operation: str) -> None:
    world = world_of()
    world.plot.fail(operation, EidError("bankid: it has not answered in time"))
    call(world, during="*")
    assert world.turns.taken == {WHO}


def test_who_hangs_up_while_an_order_is_made_has_it_cancelled() -> None:
    world = world_of()
    eid = world.eids["bankid"]
    begin, made = eid.begin, asyncio.Event()

    async def slow(asked: EidAsked) -> Order | Ended:
        await made.wait()
        return await begin(asked)

    eid.begin = slow  # type: ignore[method-assign]
    # the last of all that the call does
    world.plot.on("trail.append", lambda: (taken.extend(world.turns.taken), made.set()), nth=2, behind=True)
    taken: list[str] = []
    call(world, during=Keys("  !"))
    assert taken == [WHO], "the provider may have it already"
    assert (len(eid.begun), len(eid.cancelled)) == (1, 1)
    assert world.turns.taken == set()


def test_star_ends_it_and_the_order_is_cancelled() -> None:
    world = world_of()
    began = world.now
    line = call(world, during="*")
    assert line.variables[STATUS] == "refused"
    assert len(world.eids["bankid"].cancelled) == 1
    assert world.turns.taken == set()
    assert world.now - began < 60


def test_time_ends_it() -> None:
    world = world_of(steps={"eid": {"seconds": 30}})
    began = world.now
    call(world)
    assert 30 < world.now - began < 60
    assert len(world.eids["bankid"].cancelled) == 1


def test_a_hang_up_cancels_the_order() -> None:
    world = world_of()
    call(world, during=Keys("  !"))
    assert len(world.eids["bankid"].cancelled) == 1
    assert world.outcomes[-1] == "abandoned"
    assert world.turns.taken == set()


def test_an_order_that_cannot_be_cancelled_is_logged() -> None:
    world = world_of()
    world.plot.fail("eid.cancel", EidError("bankid: gone"))
    assert call(world, during="*").variables[STATUS] == "refused"
    assert len(world.logged("eid.not_cancelled")) == 1


def test_who_keys_nothing_has_nobody_asked() -> None:
    world = world_of()
    world.call("bankid", answers={}, stays=1.0)
    assert world.eids["bankid"].begun == []
    assert "live.attempt" not in world.plot.names


def test_who_was_found_by_the_calling_number_may_be_somebody_else() -> None:
    world = world_of(identified())
    keyed: Answers = {Prompt.ASK_BANKID: ["**", "1"], Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"]}
    line = world.call("bankid", answers=keyed, stays=1.0)
    assert line.heard[0] == (Prompt.WELCOME, Prompt.ASK_BANKID, Prompt.OTHER_CUSTOMER)
    assert line.variables[STATUS] == "verified"


def test_too_many_failures_are_a_lock_before_anybody_is_asked() -> None:
    world = world_of(limits={"customer_in_a_row": 3})
    for _ in range(3):
        call(world, during="*")
    asked = len(world.eids["bankid"].begun)
    assert call(world).variables[STATUS] == "locked"
    assert len(world.eids["bankid"].begun) == asked


def test_a_lock_that_began_meanwhile_holds_before_anybody_is_asked() -> None:
    world = world_of(identified())
    most = world.settings.limits.customer_most
    world.plot.on("eid.reach", lambda: world.live.failures.update({(Scope.CUSTOMER, world.anna_key): most}))
    assert call(world).variables[STATUS] == "locked"
    assert world.eids["bankid"].begun == []


def test_whoever_takes_the_call_up_cannot_hear_what_another_worker_has_asked() -> None:
    world = world_of()
    line = world.line("bankid", answers={Prompt.ASK_BANKID: ["1"]}, stays=1.0)

    async def both() -> None:
        first = asyncio.ensure_future(Session(world.house(), line, world.logger).run())
        while "eid.look" not in world.plot.names:
            await asyncio.sleep(0.1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        key = "node", line.caller.channel
        taken = replace(world.live.records[key], taken=1, holder="another")
        world.live.records[key] = taken
        line.passed_on()
        world.eids["bankid"].says = [identified()]
        await Session(world.house(), line, world.logger, taken).run()

    world.play(both)
    assert line.variables[STATUS] == "refused"
    assert len(world.eids["bankid"].begun) == 1


# ---------------------------------------------------------------- what is down


@pytest.mark.parametrize("operation", ["identities.of", "identities.keep", "turns.take"])
def test_nobody_is_marked_where_something_of_ours_is_down(operation: str) -> None:
    world = world_of(identified())
    world.plot.fail(operation, StoreError("gone"), nth=1)
    line = call(world)
    assert line.variables[STATUS] == "unavailable"
    assert world.live.marks == {}


def test_an_identification_of_which_the_trail_is_not_told_is_none() -> None:
    world = world_of(identified())
    world.plot.fail("trail.append", StoreError("gone"), nth=2)
    assert call(world).variables[STATUS] == "unavailable"
    assert world.live.marks == {}


def test_nobody_is_asked_where_the_trail_is_not_told_before_and_the_caller_waits_all_the_same() -> None:
    waited = []
    for fails in (False, True):
        world = world_of()
        if fails:
            world.plot.fail("trail.append", StoreError("gone"), nth=1)
        began = world.now
        line = call(world)
        waited.append((line.heard, line.variables, round(world.now - began, 6)))
    assert waited[0] == waited[1]
    assert world.eids["bankid"].begun == []


def test_asterisk_that_does_not_play_music_ends_the_wait_and_the_order() -> None:
    world = world_of()
    world.plot.fail("line.music", AriError("POST moh", 500))
    assert call(world).variables[STATUS] == "unavailable"
    assert len(world.eids["bankid"].cancelled) == 1


def test_a_channel_that_is_gone_when_the_alarm_is_told_is_a_hang_up() -> None:
    world = world_of(Ended("declined_call"))
    world.plot.fail("line.event", HungUp("gone"))
    assert call(world).variables[STATUS] == "refused"
    assert len(world.logged("eid.untold")) == 1


@pytest.mark.parametrize("number", [ANNA, UNKNOWN])
def test_a_provider_that_is_away_is_so_for_everybody(number: str) -> None:
    world = world_of(identified())
    world.plot.fail("eid.reach", EidError("bankid: gone"))
    answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"], Prompt.ASK_BANKID: ["1"]}
    line = world.call("bankid", number=None, answers=answers)
    assert line.variables[STATUS] == "unavailable"
    assert failures(world) == 0


# ---------------------------------------------------------------- who has none


@pytest.mark.parametrize("during", [None, "*", "   *"])
@pytest.mark.parametrize("said", [Pending("sent"), Ended("cancelled"), Ended("in_progress")])
def test_an_unknown_customer_and_one_without_an_identity_hear_and_wait_the_same(during: Any, said: Any) -> None:
    noticed = []
    for number, known in ((ANNA, True), (ANNA, False), (UNKNOWN, False)):
        world = world_of(said)
        if not known:
            world.identities.known.clear()
        answers: dict[Prompt, Any] = {Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"], Prompt.ASK_BANKID: ["1"]}
        if during:
            answers[Prompt.OPEN_APP] = [during]
        line = world.call("bankid", number=None, answers=answers)
        reached = world.plot.names.count("eid.reach")
        noticed.append((line.heard, line.variables, line.events, line.watchdogs, round(world.now, 6), reached))
        assert len(world.eids["bankid"].begun) == known
    assert noticed[0] == noticed[1] == noticed[2]


def test_an_unknown_customer_is_never_verified_even_when_everything_matches() -> None:
    world = world_of(identified())
    world.identities.known["", "SE"] = WHO
    answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"], Prompt.ASK_BANKID: ["1"]}
    line = world.call("bankid", number=None, answers=answers)
    assert line.variables[STATUS] == "refused"
    assert world.eids["bankid"].begun == []


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("step", "table"), [("bankid", "[eid.bankid]"), ("freja", "[eid.freja]"), ("ciba", "[eid.brokers.NAME]")]
)
def test_a_policy_needs_the_provider_that_it_names(step: str, table: str) -> None:
    with pytest.raises(ConfigError) as refused:
        policies(settings(policies={"strict": {"steps": [step], "level": 3}}))
    assert f"[policies.strict] steps: names {step}, and there is no {table}" in str(refused.value)


def test_of_several_brokers_one_is_named() -> None:
    two = {**TABLES, "brokers": dict.fromkeys(("first", "second"), TABLES["brokers"]["example"])}
    policy = {"strict": {"steps": ["ciba"], "level": 3}}
    with pytest.raises(ConfigError, match="is left out, and there are several"):
        policies(settings(eid=two, policies=policy))
    with pytest.raises(ConfigError, match=r"is none of \[eid.brokers\]. Name one of: first, second"):
        policies(settings(eid=two, steps={"ciba": {"broker": "third"}}, policies=policy))
    assert policies(settings(eid=two, steps={"ciba": {"broker": "second"}}, policies=policy))


def test_level_3_is_never_two_factors() -> None:
    with pytest.raises(ConfigError, match="is 3, but its steps reach 2"):
        policies(settings(policies={"strict": {"steps": ["pin", "sms_code"], "level": 3}}))

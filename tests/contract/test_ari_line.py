"""`call.ports.Line` on a channel: its voice, its keypad and what stands on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest

from ivr.call.mark import STATUS, unmarked
from ivr.call.outcome import Status
from ivr.call.ports import Badge, Key, Played
from ivr.errors import AriError, HungUp, Interrupted, Unavailable
from ivr.secret import Personal
from tests.contract.ari_log import wait_for
from tests.contract.ari_server import Late, Never, Text
from tests.contract.ari_server import Status as Refuse
from tests.contract.ari_world import LONG, MISSING, SHORT, Call, World

BADGE = Badge("verified; level=2; methods=pin; ref=abcdefgh", Personal("✔ Anna A."), 2_000_000_000)


async def soon(call: Call, seconds: float = 10.0) -> Key | Played | None:
    """What happens next; a test that waits in vain fails."""
    heard = await call.line.receive(monotonic() + seconds)
    assert heard is not None, "nothing happened"
    return heard


async def keys(call: Call, count: int) -> str:
    """So many keys, and nothing between them."""
    heard = [await soon(call) for _ in range(count)]
    assert all(isinstance(item, Key) for item in heard), heard
    return "".join(item.digit.reveal() for item in heard if isinstance(item, Key))


async def nothing(call: Call) -> bool:
    """Whether nothing waits to be received."""
    return await call.line.receive(monotonic()) is None


# ---------------------------------------------------------------- the voice


async def test_a_prompt_is_played_to_its_end(world: World) -> None:
    call = await world.call()
    await call.line.say(SHORT, language="en")
    assert await soon(call) == Played()
    assert await nothing(call)


async def test_many_prompts_end_once(world: World) -> None:
    call = await world.call()
    await call.line.say(SHORT, SHORT, SHORT, language="en")
    assert await soon(call) == Played()
    assert await nothing(call)


async def test_a_key_stops_the_prompt_and_its_end_is_not_told(world: World) -> None:
    call = await world.call()
    await call.line.say(LONG, language="en")
    playback = call.playback
    await call.caller.press("1")
    assert await keys(call, 1) == "1"
    await call.line.hush()
    await world.gone(f"playbacks/{playback}")
    assert await nothing(call)
    await call.line.say(SHORT, language="en")
    assert await soon(call) == Played()
    assert await nothing(call)


async def test_a_prompt_that_was_over_before_it_was_hushed_is_not_told_either(world: World) -> None:
    call = await world.call()
    await call.line.say(SHORT, language="en")
    await wait_for(lambda: call.items, "the prompt's end")
    await call.line.hush()
    assert await nothing(call)


async def test_the_end_that_was_not_yet_received_is_forgotten_with_what_is_said_next(world: World) -> None:
    call = await world.call()
    await call.line.say(SHORT, language="en")
    await wait_for(lambda: call.items, "the prompt's end")
    await call.line.say(LONG, language="en")
    assert await nothing(call)
    await call.line.hush()


async def test_a_prompt_that_ends_at_the_very_moment_it_is_hushed(world: World) -> None:
    call = await world.call()
    for step in range(14):
        await call.line.say(SHORT, language="en")
        # around the prompt's end, from before it to behind it
        await call.line.receive(monotonic() + (0.14 if world.real else 0.0) + 0.005 * step)
        await call.line.hush()
        assert await nothing(call), f"in round {step} the end was told after all"


async def test_a_prompt_that_ends_while_its_stop_is_under_way(stub: World) -> None:
    call = await stub.call()
    late = Late()
    stub.model.server.rule("DELETE", "playbacks/*", late)
    await call.line.say(SHORT, language="en")
    hushing = asyncio.create_task(call.line.hush())
    await stub.model.server.until_asked("DELETE", "playbacks/*")
    await wait_for(lambda: not stub.model.playbacks, "the prompt's end")
    late.now.set()
    await hushing
    assert await nothing(call)


async def test_hush_waits_for_the_end_and_no_longer_than_its_limit(stub: World) -> None:
    call = await stub.call()
    await call.line.say(LONG, language="en")
    call.line._voice._seconds = 0.05
    stub.model.server.rule("DELETE", "playbacks/*", Text("", 204))
    with pytest.raises(AriError) as caught:
        await call.line.hush()
    assert (caught.value.status, caught.value.operation) == (0, f"DELETE /playbacks ({call.channel})")


async def test_hush_with_nothing_to_hush(world: World) -> None:
    call = await world.call()
    await call.line.hush()
    await call.line.say(LONG, language="en")
    await call.line.hush()
    await call.line.hush()
    assert await nothing(call)


async def test_a_prompt_that_has_no_file_is_named_in_the_log_and_nobody_goes_on_in_silence(world: World) -> None:
    call = await world.call()
    await call.line.say(MISSING, language="en")
    assert await soon(call) == Played()
    with pytest.raises(Unavailable, match=call.channel):
        await call.line.say(SHORT, language="en")
    (line,) = world.log.of("prompt.failed")
    assert line["media"] == f"sound:tillit/{MISSING.value}"


# ---------------------------------------------------------------- the keypad


async def test_keys_pressed_ahead_are_kept_in_their_order(world: World) -> None:
    call = await world.call()
    await call.caller.press("123*#")
    await wait_for(lambda: len(call.items) == 5, "five keys")
    heard = [item for item in call.items if isinstance(item, Key)]
    assert [key.at for key in heard] == sorted(key.at for key in heard)
    assert await keys(call, 5) == "123*#"


async def test_keys_pressed_ahead_outlive_a_prompt_and_its_hush(world: World) -> None:
    call = await world.call()
    await call.caller.press("1")
    await wait_for(lambda: len(call.items) == 1, "a key")
    await call.line.say(LONG, language="en")
    await call.caller.press("2")
    await wait_for(lambda: len(call.items) == 2, "another")
    await call.line.hush()
    assert await keys(call, 2) == "12"


async def test_dropped_keys_are_gone_and_the_prompts_end_is_not(world: World) -> None:
    call = await world.call()
    await call.line.say(SHORT, language="en")
    await wait_for(lambda: call.items, "the prompt's end")
    await call.caller.press("99")
    await wait_for(lambda: len(call.items) == 3, "two keys")
    call.line.drop_keys()
    assert await soon(call) == Played()
    await call.caller.press("1")
    assert await keys(call, 1) == "1"


async def test_keys_that_are_put_back_come_first_and_in_their_order(world: World) -> None:
    call = await world.call()
    await call.caller.press("123")
    ahead = [item for item in [await soon(call), await soon(call)] if isinstance(item, Key)]
    await wait_for(lambda: len(call.items) == 1, "the third key")
    call.line.push_back(ahead)
    assert await keys(call, 3) == "123"


async def test_a_deadline(world: World) -> None:
    call = await world.call()
    until = monotonic() + 0.05
    assert await call.line.receive(until) is None
    assert monotonic() >= until


async def test_what_has_come_counts_though_the_deadline_is_over(world: World) -> None:
    call = await world.call()
    await call.caller.press("1")
    await wait_for(lambda: call.items, "a key")
    heard = await call.line.receive(monotonic() - 1)
    assert isinstance(heard, Key)
    assert await call.line.receive(monotonic() - 1) is None


async def test_an_interruption_now_and_later(world: World) -> None:
    call = await world.call()
    waiting = asyncio.create_task(call.line.receive(None))
    await wait_for(lambda: call.waiting)
    call.line.interrupt(Unavailable("now"))
    with pytest.raises(Unavailable, match="now"):
        await waiting
    call.line.interrupt(Unavailable("later"))
    await call.caller.press("1")
    await wait_for(lambda: call.items, "a key")
    with pytest.raises(Unavailable, match="later"):
        await call.line.receive(None)
    assert await keys(call, 1) == "1"


# ---------------------------------------------------------------- as long as it is up


async def test_a_hang_up_ends_whatever_is_done_with_the_line(world: World) -> None:
    call = await world.call()
    ended = asyncio.Event()

    async def run() -> None:
        async with call.line.up():
            try:
                await call.line.receive(None)
            finally:
                ended.set()

    task = asyncio.create_task(run())
    await wait_for(lambda: call.waiting)
    await call.caller.hang_up()
    with pytest.raises(HungUp, match=call.channel):
        await task
    assert ended.is_set()
    with pytest.raises(HungUp):
        async with call.line.up():
            raise AssertionError("it is gone")


async def test_the_first_reason_counts(world: World) -> None:
    call = await world.call()

    async def run() -> None:
        async with call.line.up():
            call.line.evict(Unavailable("first"))
            call.line.evict(HungUp("second"))
            await call.line.receive(None)

    with pytest.raises(Unavailable, match="first"):
        await run()


async def test_why_a_line_has_ended_does_not_hold_what_was_done_on_it(world: World) -> None:
    """All lines of a worker that stops are told of the same: no call's frames hang on it."""
    call, why = await world.call(), Unavailable("the worker is stopping")

    async def run() -> None:
        async with call.line.up():
            call.line.evict(why)
            await call.line.receive(None)

    for _ in range(2):
        with pytest.raises(Unavailable, match="is stopping"):
            await run()
    assert why.__traceback__ is None


async def test_a_time_limit_of_the_bodys_own_is_no_hang_up(world: World) -> None:
    call = await world.call()

    async def run() -> None:
        async with call.line.up(), asyncio.timeout(0):
            await call.line.receive(None)

    with pytest.raises(TimeoutError):
        await run()
    async with call.line.up():
        pass


async def test_cancelling_from_outside_stays_a_cancellation(world: World) -> None:
    call = await world.call()

    async def run() -> None:
        async with call.line.up():
            await call.line.receive(None)

    task = asyncio.create_task(run())
    await wait_for(lambda: call.waiting)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ---------------------------------------------------------------- what stands on the channel


async def test_the_watchdog_is_set_anew_and_off(world: World) -> None:
    call = await world.call()
    await call.line.allow(77)
    left = float(await world.variable(call.channel, "TIMEOUT(absolute)") or 0)
    assert 70 <= left <= 77
    # also while music is played; behind a prompt it would be done when that has ended
    await call.line.music(on=True)
    await call.line.allow(88)
    left = float(await world.variable(call.channel, "TIMEOUT(absolute)") or 0)
    assert 80 <= left <= 88
    await call.line.music(on=False)
    await call.line.allow(0)
    assert float(await world.variable(call.channel, "TIMEOUT(absolute)") or 0) == 0


async def test_variables_are_set_and_stand(world: World) -> None:
    call = await world.call()
    wanted = {**unmarked(Status.REFUSED), "TILLIT_TEXT": "pin,sms_code; a=${b} \"c\" 'd' é✔"}
    await call.line.announce(wanted, Personal("✔ Anna A."))
    for name, value in wanted.items():
        assert await world.variable(call.channel, name) == value
    assert await world.variable(call.channel, "CALLERID(name)") == "✔ Anna A."


async def test_an_empty_display_leaves_nothing_of_the_one_before(world: World) -> None:
    call = await world.call()
    await call.line.announce({STATUS: "refused"}, Personal("Anna"))
    await call.line.announce({STATUS: "refused"}, Personal(""))
    assert not await world.variable(call.channel, "CALLERID(name)")


async def test_what_a_prompt_holds_up_does_not_hold_the_websocket_up(stub: World) -> None:
    """Asterisk sets a variable when the prompt has ended, and answers nothing else on the websocket until then."""
    call = await stub.call()
    server = stub.model.server
    path = f"channels/{call.channel}/variables*"

    def ways(method: str) -> list[str]:
        return [asked.how for asked in server.requests(method, path)]

    await call.line.announce({STATUS: "refused"}, Personal(""))
    assert (ways("POST"), ways("GET")) == (["websocket"], ["websocket"])
    await call.line.say(LONG, language="en")
    announcing = asyncio.create_task(call.line.announce({STATUS: "timeout"}, Personal("")))
    await server.until_asked("POST", path, 2)
    await call.line.hush()
    await announcing
    assert (ways("POST"), ways("GET")) == (["websocket", "http"], ["websocket", "http"])
    await call.line.music(on=True)
    await call.line.announce({STATUS: "locked"}, Personal(""))
    await call.line.music(on=False)
    await call.line.announce({STATUS: "refused"}, Personal(""))
    assert ways("POST") == ["websocket", "http", "http", "websocket"]


@pytest.mark.parametrize(
    "answer",
    ['{"variables": {"CALLER_AUTH_STATUS": "refused"}}', '{"variables": {}}', "{}", "[]", "3", '{"variables": 3}', ""],
)
async def test_variables_that_do_not_stand_are_not_announced(stub: World, answer: str) -> None:
    call = await stub.call()
    stub.model.server.rule("GET", "*/variables", Text(answer))
    with pytest.raises(Unavailable, match="did not take its variables"):
        await call.line.announce({STATUS: "verified"}, Personal(""))


async def test_a_variable_that_is_not_there_at_all_is_not_taken_for_a_hang_up(stub: World) -> None:
    call = await stub.call()
    stub.model.server.rule("GET", "*/variables", Refuse(404))
    with pytest.raises(Unavailable):
        await call.line.announce({STATUS: "verified"}, Personal(""))


async def test_music_on_and_off(world: World) -> None:
    call = await world.call()
    await call.line.music(on=False)
    await call.line.music(on=True)
    await call.line.music(on=True)
    await call.line.music(on=False)
    await call.line.announce(unmarked(Status.REFUSED), Personal(""))
    await call.line.say(SHORT, language="en")
    assert await soon(call) == Played()


async def test_the_administrators_are_told(world: World) -> None:
    call = await world.call()
    await call.line.event("CallerLockedOut", {"Scope": "customer", "Seconds": "60"})
    if not world.real:
        assert world.model.user_events == [{"name": "CallerLockedOut", "Scope": "customer", "Seconds": "60"}]


# ---------------------------------------------------------------- leaving


async def test_sent_on_it_is_heard_out(world: World) -> None:
    call = await world.call()
    async with call.line.up():
        await call.line.hand_back(watch=True)
        await world.in_dialplan(call.channel)
        ended = asyncio.create_task(call.line.ended())
        # an answer behind StasisEnd on the same socket: the worker has heard of it
        await call.line.event("X", {})
        assert not ended.done()
    await call.caller.hang_up()
    await asyncio.wait_for(ended, 10)
    await world.empty()


@pytest.mark.parametrize("how", ["taken", "taken_verified", "hung_up"])
async def test_whether_a_caller_who_left_goes_on_in_the_dialplan(world: World, how: str) -> None:
    """`taken`: by the watchdog, or somebody at the console."""
    call = await world.call()
    if how == "taken_verified":
        await call.line.announce({STATUS: "verified"}, Personal(""))

    async def run() -> None:
        async with call.line.up():
            if how == "hung_up":
                await call.caller.hang_up()
            else:
                await world.rest("POST", f"channels/{call.channel}/continue")
            await call.line.receive(None)

    with pytest.raises(HungUp):
        await run()
    assert await call.line.went_on() is (how == "taken")


async def test_whether_a_caller_went_on_is_not_known_where_asterisk_does_not_say(stub: World) -> None:
    call = await stub.call()
    stub.model.server.rule("GET", f"channels/{call.channel}", Refuse(500))
    with pytest.raises(AriError):
        await call.line.went_on()
    stub.model.server.rule("GET", f"channels/{call.channel}", Text('{"dialplan": {"exten": "h"}}'))
    assert not await call.line.went_on()
    call.line.destroyed()
    assert not await call.line.went_on()


async def test_the_worker_hangs_up(world: World) -> None:
    call = await world.call()
    await call.line.hang_up()
    await world.gone(f"channels/{call.channel}")
    await call.line.hang_up()
    await world.empty()


Operation = Callable[[Call], Awaitable[object]]

OPERATIONS: dict[str, Operation] = {
    "answer": lambda call: call.line.answer(),
    "say": lambda call: call.line.say(LONG, language="en"),
    "allow": lambda call: call.line.allow(60),
    "announce": lambda call: call.line.announce(unmarked(Status.REFUSED), Personal("Anna")),
    "music": lambda call: call.line.music(on=True),
    "event": lambda call: call.line.event("X", {}),
    "hand_back": lambda call: call.line.hand_back(watch=True),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_each_operation_on_a_channel_that_is_gone_is_a_hang_up(world: World, name: str) -> None:
    call = await world.call()
    await world.rest("DELETE", f"channels/{call.channel}")
    await world.gone(f"channels/{call.channel}")
    with pytest.raises(HungUp, match=call.channel):
        await OPERATIONS[name](call)
    await world.empty()


async def test_hush_and_hang_up_on_a_channel_that_is_gone_are_done(world: World) -> None:
    call = await world.call()
    await call.line.say(LONG, language="en")
    await call.caller.hang_up()
    await world.gone(f"channels/{call.channel}")
    await call.line.hush()
    await call.line.hang_up()


@pytest.mark.parametrize("name", [*OPERATIONS, "hush", "receive"])
async def test_a_hang_up_in_the_middle_of_each_operation(stub: World, name: str) -> None:
    call = await stub.call()
    server = stub.model.server
    if name == "hush":
        await call.line.say(LONG, language="en")
    rule = Never()
    asked = len(server.asked)
    if name != "receive":
        server.rule("*", "*", rule)

    async def run() -> None:
        async with call.line.up():
            match name:
                case "hush":
                    await call.line.hush()
                case "receive":
                    await call.line.receive(None)
                case _:
                    await OPERATIONS[name](call)

    task = asyncio.create_task(run())
    if name == "receive":
        await wait_for(lambda: call.waiting)
    else:
        await server.until(lambda: len(server.asked) > asked, "the operation")
    await call.caller.hang_up()
    with pytest.raises(HungUp, match=call.channel):
        await task
    await stub.empty()
    assert stub.ari.waiting == 0


async def test_interrupted_is_an_error_of_its_own() -> None:
    assert not issubclass(Interrupted, HungUp | Unavailable)

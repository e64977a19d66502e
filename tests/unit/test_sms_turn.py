"""Gateways in turn, in time that takes none: shares of the time, resting, and what callers may notice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ivr.call.ports import Handed
from ivr.errors import NumberRefused, TextError
from ivr.numbers import Barred, Range, barred, range_of
from ivr.secret import Personal, Secret
from ivr.sms import InTurn, Limited, Result
from ivr.sms.limited import Screened
from tests.contract.ari_log import Log
from tests.unit.fakes import VirtualLoop, clock

TO, TEXT = Personal("+46701740601"), Secret("135790")


class Gateway:
    """Takes so many seconds, and fails where there is an `error`."""

    def __init__(self) -> None:
        self.seconds = 0.1
        self.error: Exception | None = None
        self.asked = 0
        self.closed = False

    async def send(self, to: Personal, text: Secret) -> Handed:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Handed("a gateway", str(self.asked))

    async def close(self) -> None:
        self.closed = True


Scene = Callable[[Gateway, Gateway, InTurn, Log], Awaitable[None]]


def played(scene: Scene) -> None:
    """With ten seconds for a text."""

    async def whole() -> None:
        first, second, log = Gateway(), Gateway(), Log()
        await scene(first, second, InTurn({"first": first, "second": second}, 10.0, log.logger), log)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole())


def test_a_first_that_hangs_leaves_half_of_the_time_to_the_second() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        first.seconds, second.seconds = 1000.0, 4.9
        began = clock()
        tried = await turn.ask(TO, TEXT)
        assert [(one.gateway, one.result, one.seconds) for one in tried] == [
            ("first", Result.FAILED, 5.0),
            ("second", Result.TAKEN, 4.9),
        ]
        assert clock() - began == pytest.approx(9.9)

    played(scene)


def test_a_first_that_fails_soon_leaves_all_the_rest() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        first.error, second.seconds = TextError("refused"), 9.8
        await turn.send(TO, TEXT)
        second.seconds = 1000.0
        began = clock()
        with pytest.raises(TextError, match="first: refused; second: no answer in time"):
            await turn.send(TO, TEXT)
        assert clock() - began == pytest.approx(10.0)

    played(scene)


def test_who_fails_three_times_rests_for_a_minute_and_one_more_failure_sends_it_back() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        first.error = TextError("down")
        for _ in range(4):
            await turn.send(TO, TEXT)
        assert (first.asked, second.asked) == (3, 4)
        await asyncio.sleep(59.0)
        await turn.send(TO, TEXT)
        assert first.asked == 3
        await asyncio.sleep(1.0)
        await turn.send(TO, TEXT)
        await turn.send(TO, TEXT)
        assert first.asked == 4
        await asyncio.sleep(60.5)
        first.error = None
        await turn.send(TO, TEXT)
        await turn.send(TO, TEXT)
        assert (first.asked, second.asked) == (6, 7)
        assert [line["event"] for line in log.lines if line["event"] in ("gateway.rests", "gateway.back")] == [
            "gateway.rests",
            "gateway.rests",
            "gateway.back",
        ]

    played(scene)


@pytest.mark.parametrize("between", [None, NumberRefused("a fixed line")])
def test_failures_that_are_not_in_a_row_send_nobody_to_rest(between: Exception | None) -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        for _ in range(4):
            for first.error in (TextError("down"), TextError("down"), between):
                await turn.send(TO, TEXT)
        assert first.asked == 12
        assert log.of("gateway.rests") == []

    played(scene)


def test_both_rest_and_both_are_asked() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        first.error = second.error = TextError("down")
        for _ in range(6):
            with pytest.raises(TextError):
                await turn.send(TO, TEXT)
        assert (first.asked, second.asked) == (6, 6)

    played(scene)


def test_a_fault_in_one_gateway_is_told_by_its_name_alone_and_the_other_takes_the_text() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        first.error = KeyError("+46701740601")
        await turn.send(TO, TEXT)
        (line,) = log.of("gateway.failed")
        assert line["error"] == "a fault of the program: KeyError"
        assert "701740601" not in str(log.lines)

    played(scene)


def test_a_text_that_was_given_up_counts_for_nothing() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        first.seconds = 1000.0
        for _ in range(4):
            sending = asyncio.create_task(turn.send(TO, TEXT))
            await asyncio.sleep(1.0)
            sending.cancel()
            await asyncio.wait([sending])
        assert log.lines == []
        assert second.asked == 0

    played(scene)


def test_all_are_closed() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        await turn.close()
        assert (first.closed, second.closed) == (True, True)

    played(scene)


def test_pretending_takes_as_long_as_both_together() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        limited = Limited(turn, 10.5)
        first.seconds, second.seconds = 1000.0, 1.0
        await limited.send(TO, TEXT)
        began = clock()
        await limited.pretend()
        assert clock() - began == pytest.approx(6.0)
        second.seconds = 1000.0
        with pytest.raises(TextError, match="first: no answer in time; second: no answer in time"):
            await limited.send(TO, TEXT)
        began = clock()
        with pytest.raises(TextError):
            await limited.pretend()
        assert clock() - began == pytest.approx(10.0)

    played(scene)


def test_a_refused_number_is_as_sent_and_after_it_pretending_succeeds() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        limited = Limited(turn, 10.5)
        first.error = second.error = TextError("down")
        with pytest.raises(TextError):
            await limited.send(TO, TEXT)
        first.error = second.error = NumberRefused("a fixed line")
        await limited.send(TO, TEXT)
        await limited.pretend()

    played(scene)


# ---------------------------------------------------------------- which numbers


@pytest.mark.parametrize(
    ("number", "digits", "found"),
    [
        ("+46701740601", 4, Range("SE", "+467017")),
        ("+46701740601", 1, Range("SE", "+467")),
        ("+18765551234", 4, Range("JM", "+18765")),
        ("+447700900123", 4, Range("ZZ", "+447700")),
        ("+870773123456", 2, Range("001", "+87077")),
        ("+4790123456", 4, Barred("NO", "country")),
        ("+46900123456", 4, Barred("SE", "premium rate")),
        ("", 4, Barred("ZZ", "no number")),
    ],
)
def test_what_a_text_is_counted_for(number: str, digits: int, found: Range | Barred) -> None:
    assert range_of(Personal(number), {"SE", "JM", "ZZ", "001"}, digits) == found


def test_what_no_text_goes_to_is_counted_for_nothing() -> None:
    screened = Screened(Limited(Gateway(), 1.0), {"SE"}, Log().logger, digits=4)
    assert screened.range_of(Personal("+46701740601")) == Range("SE", "+467017")
    assert screened.range_of(Personal("+4790123456")) is None
    assert screened.range_of(Personal("+46900123456")) is None


@pytest.mark.parametrize(
    ("number", "countries", "bar"),
    [
        ("+46701740601", {"SE"}, None),
        ("+46701740601", {"NO", "SE"}, None),
        ("+46719123456", {"SE"}, None),  # of no known kind, and Sweden's all the same
        ("+46701740601", {"NO"}, Barred("SE", "country")),
        ("+18765551234", {"US"}, Barred("JM", "country")),
        ("+447700900123", {"GB"}, Barred("ZZ", "country")),
        ("+870773123456", {"SE"}, Barred("001", "country")),
        ("+88213123456", {"SE"}, Barred("001", "country")),
        ("+46900123456", {"SE"}, Barred("SE", "premium rate")),
        ("+46771123456", {"SE"}, Barred("SE", "shared cost")),
        ("+4620123456", {"SE"}, Barred("SE", "toll free")),
        ("+447012345678", {"GB"}, Barred("GB", "personal number")),
        ("0701740601", {"SE"}, Barred("ZZ", "no number")),
        ("", {"SE"}, Barred("ZZ", "no number")),
    ],
)
def test_which_numbers_texts_go_to(number: str, countries: set[str], bar: Barred | None) -> None:
    assert barred(Personal(number), countries) == bar


# ---------------------------------------------------------------- behind a text that was lost


def test_who_has_lost_a_text_is_not_asked_for_it_again() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        assert await turn.send(TO, TEXT) == Handed("a gateway", "1")
        assert await turn.send(TO, TEXT, but={"first"}) == Handed("a gateway", "1")
        assert (first.asked, second.asked) == (1, 1)
        with pytest.raises(TextError, match="no other gateway"):
            await turn.send(TO, TEXT, but={"first", "second"})

    played(scene)


def test_a_second_try_is_no_measure_of_what_callers_notice() -> None:
    """Whoever has no number waits as long as a first text does, and fails where it does."""

    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        limited = Limited(turn, 10.5)
        first.seconds = 0.5
        assert await limited.send(TO, TEXT) == Handed("a gateway", "1")
        second.seconds, second.error = 7.0, TextError("down")
        with pytest.raises(TextError, match="down"):
            await limited.send(TO, TEXT, but={"first"})
        second.error = NumberRefused("a fixed line")
        assert (await limited.send(TO, TEXT, but={"first"})).nowhere
        second.seconds = 1000.0
        with pytest.raises(TextError):
            await limited.send(TO, TEXT, but={"first"})
        began = clock()
        await limited.pretend()
        assert clock() - began == pytest.approx(0.5)

    played(scene)


def test_what_goes_nowhere_says_so_to_the_program_alone() -> None:
    async def scene(first: Gateway, second: Gateway, turn: InTurn, log: Log) -> None:
        screened = Screened(Limited(turn, 10.5), {"SE"}, Log().logger)
        first.error = second.error = NumberRefused("a fixed line")
        assert (await screened.send(TO, TEXT)).nowhere
        assert (await screened.send(Personal("+4530123456"), TEXT)).nowhere
        assert (first.asked, second.asked) == (1, 1)

    played(scene)

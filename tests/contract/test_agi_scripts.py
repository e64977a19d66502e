"""What Asterisk is told to do by AGI(agi://…/verify) and AGI(agi://…/mark), command by command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr.agi import serving
from ivr.config import Agi, Company, Policy, Settings
from ivr.errors import ConfigError
from tests.contract.agi_kit import CHANNEL, EMPTY, MARK, NODE, Line, header, listening, set_variables

# The only ones that the project knows. None of them waits for a digit, and none can be ended by one.
COMMANDS = ('EXEC "Gosub" "tillit-verify,s,1(', "SET VARIABLE ", 'GET FULL VARIABLE "${ENTITYID}"', 'VERBOSE "Tillit: ')

HAND_OVER = 'EXEC "Gosub" "tillit-verify,s,1(main)"'
NO_POLICY = 'EXEC "Gosub" "tillit-verify,s,1()"'


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with listening() as made:
        yield made


# ---------------------------------------------------------------- verify


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("verify", ["main"]),
        ("verify", ["main", "and", "more"]),
        ("verify?policy=main", []),
        ("verify?policy=main&other=1", []),
        ("verify?policy=other", ["main"]),
        ("verify/", ["main"]),
    ],
)
async def test_a_call_is_handed_over_by_one_command(line: Line, script: str, arguments: list[str]) -> None:
    assert await line.call(script, *arguments, answers={"EXEC": "200 result=0"}) == [HAND_OVER]
    (told,) = line.log.of("agi.handed_over")
    assert (told["call"], told["policy"]) == (CHANNEL, "main")


async def test_the_policy_of_the_settings_stands_in() -> None:
    async with listening(policy="usual") as line:
        assert await line.call("verify") == ['EXEC "Gosub" "tillit-verify,s,1(usual)"']
        assert await line.call("verify", "main") == [HAND_OVER]


@pytest.mark.parametrize(
    "policy",
    ["", "two words", "main)&Gosub(x", "main,s,1(x)", '"', "main\\", "${SHELL(id)}", "a" * 41, "vérifié"],
)
async def test_what_is_no_policys_name_reaches_no_application(line: Line, policy: str) -> None:
    said, handed = await line.call("verify", policy, answers={"EXEC": "200 result=0"})
    assert handed == NO_POLICY
    assert said.startswith('VERBOSE "Tillit: no policy')


async def test_a_dialplan_without_tillit_conf_is_told_so(line: Line) -> None:
    commands = await line.call("verify", "main", answers={"EXEC": "200 result=-1"})
    assert commands[0] == HAND_OVER
    assert "include dialplan/tillit.conf" in commands[1]
    (failed,) = line.log.of("agi.failed")
    assert failed["error"] == "EXEC Gosub: 200 -1"
    assert line.log.of("agi.handed_over") == []


@pytest.mark.parametrize(
    "answer",
    ["510 Invalid or unknown command", "511 Command Not Permitted on a dead channel or intercept routine",
     "520-Invalid command syntax.  Proper usage follows:\nUsage: EXEC\n520 End of proper usage."],
)  # fmt: skip
async def test_an_asterisk_that_refuses_a_command_is_told_of(line: Line, answer: str) -> None:
    await line.call("verify", "main", answers={"EXEC": answer})
    await line.call("mark", answers={"SET": answer})
    errors = [str(failed["error"]) for failed in line.log.of("agi.failed")]
    assert [error.partition(":")[0] for error in errors] == ["EXEC Gosub", "SET VARIABLE"]
    assert all(answer[:3] in error for error in errors)


# ---------------------------------------------------------------- mark


async def test_a_mark_is_reported_whatever_stands_on_the_channel(line: Line) -> None:
    line.marks[NODE, CHANNEL] = MARK
    commands = await line.call("mark")
    assert set_variables(commands) == {
        **{name.removeprefix("CALLER_AUTH_"): value for name, value in MARK.variables().items()},
        "__TILLIT_BADGE": "verified; level=2; methods=pin,sms_code; ref=perukcnyu6jt",
        "__TILLIT_BADGE_EXPIRES": "1795320000",
        "__TILLIT_BADGE_OF": CHANNEL,
    }
    assert commands[1] == 'SET VARIABLE "CALLER_AUTH_STATUS" ""'
    assert commands[-1] == 'SET VARIABLE "CALLER_AUTH_STATUS" "verified"', "a status stands before what it rests on"


@pytest.mark.parametrize("key", [(NODE, "1795318424.99"), ("02:00:00:00:00:01", CHANNEL)])
async def test_the_mark_of_another_channel_or_node_is_none(line: Line, key: tuple[str, str]) -> None:
    line.marks[key] = replace(MARK, node=key[0], channel=key[1])
    stands = set_variables(await line.call("mark"))
    assert stands == {**EMPTY, "__TILLIT_BADGE": "", "__TILLIT_BADGE_EXPIRES": "0", "__TILLIT_BADGE_OF": ""}
    assert line.log.of("agi.marked")[0]["assurance"] == 0


async def test_a_store_that_does_not_answer_marks_nobody(line: Line) -> None:
    line.marks[NODE, CHANNEL] = MARK
    line.down = True
    stands = set_variables(await line.call("mark"))
    assert stands == {
        **EMPTY,
        "STATUS": "unavailable",
        "__TILLIT_BADGE": "",
        "__TILLIT_BADGE_EXPIRES": "0",
        "__TILLIT_BADGE_OF": "",
    }


async def test_a_mark_that_cannot_be_set_whole_is_not_announced(line: Line) -> None:
    line.marks[NODE, CHANNEL] = MARK
    commands = await line.call("mark", answers={'SET VARIABLE "CALLER_AUTH_SUBJECT"': "200 result=-1"})
    assert set_variables(commands)["STATUS"] == ""


async def test_an_asterisk_without_a_name_is_told_of(line: Line) -> None:
    assert len(await line.call("mark", answers={"GET FULL": "200 result=0"})) == 1
    await line.logged("agi.failed", error="GET FULL VARIABLE: 200")


# ---------------------------------------------------------------- whatever is asked for


async def test_an_unknown_script_is_said_in_the_console_and_in_the_log(line: Line) -> None:
    (said,) = await line.call("verfy", "main")
    assert said == (
        'VERBOSE "Tillit: there is no AGI script \'verfy\'. Write agi://HOST/verify,POLICY or agi://HOST/mark" "1"'
    )
    (unknown,) = line.log.of("agi.unknown")
    assert (unknown["script"], unknown["peer"], unknown["call"]) == ("verfy", "127.0.0.1", CHANNEL)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.one_of(st.sampled_from(["verify", "mark", "verify?policy=", "", "GET DATA"]), st.text(max_size=60)),
    argument=st.text(max_size=60),
)
async def test_no_command_takes_digits_and_none_is_smuggled_in(line: Line, script: str, argument: str) -> None:
    commands = await line.call(script.replace("\n", " "), argument.replace("\n", " "))
    for command in commands:
        assert command.startswith(COMMANDS), command
        assert command.isprintable()


async def test_the_digits_of_an_answer_are_logged_nowhere(line: Line) -> None:
    for script in ("verify", "mark", "other"):
        for answer in (
            "200 result=48151623",
            "200 result=48151623 (timeout)",
            "510 48151623",
            "48151623",
            "200 48151623",
        ):
            await line.call(script, "main", answers={"": answer})
    assert "48151623" not in str(line.log.lines)


# ---------------------------------------------------------------- the settings


def _settings(**agi: object) -> Settings:
    made = Settings(
        company=Company(name="Example", country="SE"),
        agi=Agi.model_validate(agi),
        policies={"main": Policy(steps=("pin",), level=1)},
    )
    return made.read_from(Path("/etc/tillit/tillit.toml"))


async def _start(given: Settings, line: Line) -> None:
    async with serving(given, mark=line.mark, log=line.log.logger):
        pass


async def test_there_is_no_server_unless_the_settings_say_so(line: Line) -> None:
    await _start(_settings(), line)
    assert line.log.lines == []


async def test_a_policy_that_is_not_there_is_named(line: Line) -> None:
    with pytest.raises(ConfigError, match=r"tillit.toml: \[agi\] policy: there is no such policy. Write one of: main"):
        await _start(_settings(listen="127.0.0.1:4573", policy="mian"), line)


async def test_a_port_that_another_has_is_named(line: Line) -> None:
    with pytest.raises(ConfigError, match=r"\[agi\] listen: 127.0.0.1:\d+ cannot be listened on"):
        await _start(_settings(listen=f"127.0.0.1:{line.server.port}"), line)


@pytest.mark.parametrize("listen", ["0.0.0.0:4573", "10.0.0.1:4573", "[::]:4573"])
def test_only_named_machines_are_let_in_from_outside(listen: str) -> None:
    with pytest.raises(ValueError, match="List the addresses of your Asterisks in allow, or listen on 127.0.0.1"):
        _settings(listen=listen)
    _settings(listen=listen, allow=["10.0.0.5"])


@pytest.mark.parametrize(
    "listen",
    ["4573", "127.0.0.1", "localhost:4573", "127.0.0.1:0", "127.0.0.1:65536", "300.0.0.1:1", "::1:4573", "[::g]:1"],
)
def test_what_is_no_address_and_port_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="is not ADDRESS:PORT|IP address|port that is not"):
        _settings(listen=listen)


def test_the_header_is_the_one_that_asterisk_sends() -> None:
    assert header("verify", "main").endswith(b"agi_arg_1: main\n\n")


_WRITTEN = b"agi_callerid: +46701740601"


@pytest.mark.parametrize(
    "written",
    [
        # another channel, another policy: a line break in the number, and behind it what Asterisk would say
        "1\nagi_uniqueid: 1795318424.7", "1\nagi_arg_1: weak", "1\nagi_request: x",
        # the header ends there, and answers come behind it
        "1\nagi_arg_1: weak\n", "1\nagi_arg_1: weak\n\n200 result=1", f"1\nagi_arg_1: weak\n\n200 result=1 ({CHANNEL})",
    ],
)  # fmt: skip
@pytest.mark.parametrize("script", ["verify?policy=main", "mark"])
async def test_what_a_caller_writes_into_the_header_is_done_by_nobody(script: str, written: str) -> None:
    async with listening() as line:
        line.marks[NODE, "1795318424.7"] = MARK
        peer = await line.connect()
        peer.send(
            header(script, *(() if "?" in script else ("main",))).replace(
                _WRITTEN, b"agi_callerid: " + written.encode()
            )
        )
        assert not [command for command in await peer.play() if not command.startswith("GET FULL VARIABLE")]
        await line.logged("agi.refused", why="rubbish")

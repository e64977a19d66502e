"""What `doctor` prints, and what it makes of machines that cannot be had in a test."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from rich.console import Console

from ivr.asterisk.ari import Ari
from ivr.cli.doctor import report, summary
from ivr.config import Settings
from ivr.doctor import KINDS, clock, dialplan, modules, reach
from ivr.doctor.console import Console as AsteriskConsole
from ivr.doctor.console import value
from ivr.doctor.dialplan import WAY_IN
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok, well
from ivr.doctor.node import Node
from ivr.errors import ConfigError
from ivr.sample import sample
from ivr.secret import Secret
from tests.unit.cli_kit import typed

CHECKOUT = Path(__file__).resolve().parents[2]
FAULT = Kind(
    "bad",
    Grade.FAULT,
    "A rule that is broken",
    "What comes of it, in a sentence that is too long for one line of a terminal.",
)
WARNING = Kind("poor", Grade.WARNING, "Another", "It matters.")
COMMAND = "asterisk -rx 'a command that is longer than any terminal, and stands on one line for whoever copies it'"


def printed(*findings: Finding, width: int = 80, colour: bool = False) -> str:
    out = io.StringIO()
    report(findings, Console(file=out, width=width, force_terminal=colour, highlight=False))
    return out.getvalue()


def node(
    version: str = "22.10.1", accept: str | None = None, files: int | None = None, calls: int | None = None
) -> Node:
    settings = Settings.model_validate(
        {
            "company": {"name": "Acme", "country": "SE"},
            "asterisk": {"accept_version": accept},
            "policies": {"main": {"steps": ["pin"], "level": 1}},
        }
    )
    ari = Ari(url="", username="", password=Secret(""), app="", seconds=1, log=structlog.get_logger())
    return Node(settings, settings.asterisk, "[asterisk]", ari, version, "en", files, calls, None, "node")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("Gosub(tillit-verify,s,1(main))", True),
        ("Goto(tillit,main,1)", True),
        ("Gosub(tillit-offer,s,1(main,unverified,s,1))", True),
        ("AGI(agi://127.0.0.1/verify,main)", True),
        ('GosubIf($["${NIGHT}" = ""]?tillit-verify,s,1(main))', True),
        ('GosubIf($["${NIGHT}" = "1"]?night,s,1():tillit-verify,s,1(main))', True),
        ('ExecIf($["${NIGHT}" = ""]?AGI(agi://127.0.0.1:4573/verify,main))', True),
        ('ExecIf($["${NIGHT}" = ""]?Gosub(tillit-verify,s,1(main)))', True),
        ('GotoIf($["${NIGHT}" = ""]?tillit,main,1)', True),
        ("GotoIfTime(9:00-17:00,mon-fri,*,*?tillit,main,1)", True),
        ("Dial(Local/main@tillit)", True),
        ("Dial(Local/main@tillit/n,20)", True),
        ("ChannelRedirect(${OTHER},tillit,main,1)", True),
        ("Dial(Local/s@tillit-badge)", False),
        ("Dial(Local/main@tillit2)", False),
        ("Goto(tillit2,main,1)", False),
        ("Goto(my-tillit,main,1)", False),
        ("Queue(support,,,,,,,b(tillit-badge^s^1))", False),
        ("AGI(agi://127.0.0.1:4573/mark)", False),
        ("AGI(agi://127.0.0.1:4573/verifying)", False),
        ("Gosub(tillit-badge,s,1)", False),
    ],
)
def test_which_lines_hand_calls_to_us(line: str, found: bool) -> None:
    assert bool(WAY_IN.search(line)) is found


# ---------------------------------------------------------------- printing


def test_what_is_well_is_a_line_and_what_is_not_a_block() -> None:
    told = printed(
        FAULT.found("logs", "messages.log has [dtmf]", "# take it out of logger.conf, which is the file that the whole of this sentence is about", COMMAND),
        ok("redis", "it keeps what it is told"),
        NOT_LOOKED_AT.found("dialplan", "it cannot be seen"),
        WARNING.found("keys", "a folder is open"),
        ok("clock", "agrees"),
    )  # fmt: skip
    assert told.splitlines() == [
        "ok       redis  it keeps what it is told",
        "ok       clock  agrees",
        "",
        "advice   dialplan: it cannot be seen",
        "         What nobody looks at may be wrong.",
        "",
        "warning  keys: a folder is open",
        "         It matters.",
        "",
        "fault    logs: messages.log has [dtmf]",
        "         What comes of it, in a sentence that is too long for one line of a",
        "         terminal.",
        "         # take it out of logger.conf, which is the file that the whole of this",
        "         # sentence is about",
        f"         {COMMAND}",
        "",
        "1 fault, 1 warning, 1 piece of advice.",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_it_is_folded_at_the_width_of_the_terminal(width: int) -> None:
    told = printed(
        FAULT.found("logs", "words " * 30, "# " + "more " * 30, COMMAND), ok("redis", "so " * 50), width=width
    )
    assert all(len(line) <= max(width, 42) for line in told.splitlines() if COMMAND not in line)
    assert COMMAND in told
    # whatever is pasted into a shell is a command or a comment
    pasted = [line.strip() for line in told.splitlines() if "more" in line]
    assert all(line.startswith("# ") for line in pasted)


def test_colours_are_for_terminals() -> None:
    finding = WARNING.found("keys", "open")
    assert "\x1b[" in printed(finding, colour=True)
    assert "\x1b" not in printed(finding)


def test_the_last_line_counts() -> None:
    advice, warning, fault = (Finding("x", grade, "x") for grade in (Grade.ADVICE, Grade.WARNING, Grade.FAULT))
    assert summary([]) == summary([ok("x", "y")]) == "All is well."
    assert summary([advice]) == "All is well, 1 piece of advice."
    assert summary([fault, fault, warning, advice, advice]) == "2 faults, 1 warning, 2 pieces of advice."
    assert well([ok("x", "y"), advice])
    assert not well([warning])
    assert not well([fault])


@pytest.mark.parametrize(
    ("cure", "typed"),
    [
        ("Type: chmod 600 keys/master.key", "chmod 600 keys/master.key"),
        ("Type: ari_app.py init. If there are customers, bring it back", "# ari_app.py init. If there are customers, bring it back"),
        ("Write the password into it", "# Write the password into it"),
    ],
)  # fmt: skip
def test_only_a_command_is_to_be_typed(cure: str, typed: str) -> None:
    assert FAULT.told("keys", ConfigError("place", "problem", cure)).cure == (typed,)


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    found = FAULT.found("keys", "an endpoint \x1b[2Jcalled so\n", "chmod 600 'a\x07'")
    assert (found.what, found.cure) == ("an endpoint ?[2Jcalled so?", ("chmod 600 'a?'",))


@pytest.mark.parametrize("given", ["'docker exec", ""])
def test_a_console_that_is_no_command_is_refused(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tillit.toml").write_text(sample())
    ended = typed("doctor", "--console", given)
    assert (ended.code, ended.out) == (2, "")
    assert "--console: it is no command" in ended.err


# ---------------------------------------------------------------- what cannot be had here


@pytest.mark.parametrize(
    ("version", "accept", "name"),
    [
        ("22.10.1+dfsg+~cs6.17.60671434-1", None, "ok"),
        ("20.19.0", None, "asterisk-version"),
        ("20.19.0", "20.19.1", "asterisk-version"),
        ("20.19.0", "20.19.0", "asterisk-version-accepted"),
        ("18.26.4", None, "asterisk-version"),
        ("GIT-master-1", None, "asterisk-version"),
    ],
)
def test_an_old_asterisk(version: str, accept: str | None, name: str) -> None:
    (found,) = reach.version(node(version, accept))
    assert found.name == name
    assert name == "ok" or (version in found.what and "22.10.1" in found.cure[0])


@pytest.mark.parametrize(("files", "calls"), [(20000, 5000), (2000, 500), (1999, 499), (None, 256)])
def test_how_many_calls_files_are_enough_for(files: int | None, calls: int) -> None:
    found = reach.files(node(files=files))
    assert (found.name == "ok") == (calls >= 500)
    assert str(calls) in found.what


@pytest.mark.parametrize(
    ("told", "of_ari", "says", "well"),
    [
        ("20000", 20000, "may open 20000 files", True),
        # by LimitNOFILE, without maxfiles
        ("12000", None, "may open 12000 files: room for about 3000", True),
        ("1024", None, "may open 1024 files: that is the end at about 256", False),
        ("4096 (is) 20000 (requested)", 20000, "4096 files, though maxfiles is 20000", True),
        ("1024 (is) 20000 (requested)", 20000, "1024 files, though maxfiles is 20000", False),
        ("Unlimited", None, "as many files as it likes", True),
        # nothing that can be read: what ARI says
        ("Error because of Bad address", 20000, "may open 20000 files", True),
        ("Error because of Bad address", None, "maxfiles is not set", False),
    ],
)
def test_the_system_says_how_many_files_there_are(told: str, of_ari: int | None, says: str, well: bool) -> None:
    console = AsteriskConsole(["asterisk"])
    console.settings = f"  Maximum calls:               Not set\n  Maximum open file handles:   {told}\n"
    found = reach.files(replace(node(files=of_ari), console=console))
    assert says in found.what
    assert (found.name == "ok") == well


def test_calls_without_a_limit_are_worth_an_advice() -> None:
    assert reach.calls(node(calls=250)).what == "Asterisk takes 250 calls at once, and refuses more"
    found = reach.calls(node())
    assert (found.name, found.grade) == ("calls-unlimited", Grade.ADVICE)
    assert "maxcalls" in found.cure[0]


def test_a_clock_that_nobody_keeps() -> None:
    assert not clock.synchronised(lambda: 5)
    assert clock.synchronised(lambda: 0)
    # what the system itself says is one of the two
    assert clock.synchronised() in (True, False)


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")),
        *((host, False) for host in ("0.0.0.0", "[::]", "", "192.0.2.1", "pbx.example.com")),
    ],
)
def test_what_this_machine_is(host: str, is_it: bool) -> None:
    assert reach.loopback(host) is is_it


# ---------------------------------------------------------------- reading


def test_the_dialplan_is_read_as_it_is_printed() -> None:
    told = (
        "[ Context 'from-trunk' created by 'pbx_config' ]\n"
        "  '_X.' =>          1. NoOp(a [b] c)                              [extensions.conf:7]\n"
        "     [again]        2. Gosub(tillit-verify,s,1(main))             [extensions.conf:8]\n"
        "                    3. Answer()                                   [Registrar]\n"
        "  Include =>        'more'                                        [pbx_config]\n\n"
        "[ Context 'empty' created by 'func' ]\n"
    )
    assert list(dialplan.shown(told)) == [
        dialplan.Line("from-trunk", "_X.", "NoOp(a [b] c)"),
        dialplan.Line("from-trunk", "_X.", "Gosub(tillit-verify,s,1(main))"),
        dialplan.Line("from-trunk", "_X.", "Answer()"),
    ]


def test_every_line_of_the_own_dialplan_is_read() -> None:
    text = (CHECKOUT / "dialplan" / "tillit.conf").read_text()
    lines = list(dialplan.written(text))
    assert len(lines) == len(re.findall(r"(?m)^\s*(?:exten|same)\s*=>", text))
    assert len({line.context for line in lines}) == len(re.findall(r"(?m)^\[", text))


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([("in", "_X.", "Gosub(tillit-verify,s,1(main))")], ["_X. in in"]),
        ([("in", "_.", "NoOp()"), ("in", "_.", "Goto(tillit,main,1)")], ["_. in in"]),
        ([("in", "_[a-z]!", "Goto(tillit,main,1)"), ("out", "_X.", "Dial(PJSIP/x)")], ["_[a-z]! in in"]),
        ([("in", "_XXXX", "Goto(tillit,main,1)"), ("in", "100", "Goto(tillit,main,1)")], []),
        # clean by the way that leads there
        ([("in", "_X.", "Goto(digits,${FILTER(0123456789,${EXTEN})},1)"), ("digits", "_X.", "Goto(tillit,main,1)")], []),
        ([("in", "_X.", "GotoIf($[1]?digits,${FILTER(0123456789,${EXTEN})},1)"), ("digits", "_X.", "Goto(tillit,main,1)")], []),
        ([("in", "_X.", "Goto(digits,${EXTEN},1)"), ("digits", "_X.", "Goto(tillit,main,1)")], ["_X. in digits"]),
    ],
)  # fmt: skip
def test_patterns_that_let_anything_through(lines: list[tuple[str, str, str]], named: list[str]) -> None:
    own = list(dialplan.written((CHECKOUT / "dialplan" / "tillit.conf").read_text()))
    found = dialplan.examine([*own, *(dialplan.Line(*line) for line in lines)], "dialplan", "tillit", "[asterisk]")
    told = [one.what for one in found if one.name == "dialplan-open-pattern"]
    assert told == [f"there is {', '.join(named)}"] * bool(named)


def test_a_value_is_found_by_its_name() -> None:
    told = "  Debug level:                 4\n    Checks: no\n"
    assert (value(told, "Debug level"), value(told, "level"), value(told, "Checks")) == ("4", None, "no")


# ---------------------------------------------------------------- what is known


def test_the_modules_are_those_of_the_sample_and_of_the_dialplan() -> None:
    sample = set(re.findall(r"(?m)^load = (\S+)\.so$", (CHECKOUT / "config" / "asterisk" / "modules.conf").read_text()))
    assert set(modules.NEEDED) <= sample
    named = (CHECKOUT / "dialplan" / "tillit.conf").read_text().partition("Needed modules: ")[2].partition("\n\n")[0]
    assert set(re.findall(r"\b(?:app|func|res)_\w+", named)) <= set(modules.NEEDED)


def test_every_finding_says_what_and_why() -> None:
    for kind in KINDS:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.name)
        assert kind.grade is not Grade.OK
        assert kind.says and not kind.says.endswith(".")
        assert kind.why.endswith(".")
    assert len({kind.name for kind in KINDS}) == len(KINDS)

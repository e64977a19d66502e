"""Recorders, listeners, conferences and what reads keys, in the forms in which they stand in real dialplans."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivr.doctor import recorders
from ivr.doctor.dialplan import Line, examine, shown, written

CHECKOUT = Path(__file__).resolve().parents[2]
OWN = Line("tillit-verify", "s", "Stasis(tillit,inbound,${ARG1},${ARG2})")


def told(*texts: str, context: str = "incoming", extension: str = "100") -> str | None:
    found = examine([OWN, *(Line(context, extension, text) for text in texts)], "dialplan", "tillit", "[asterisk]")
    return next((finding.what for finding in found if finding.name == "recorders"), None)


@pytest.mark.parametrize("name", recorders.NAMES)
@pytest.mark.parametrize(
    "form",
    [
        "{}(a)",
        "{}()",
        'ExecIf($["${{RECORD}}" = "yes"]?{}(a))',
        'ExecIf($["${{RECORD}}" = "yes"]?NoOp(a:b):{}(a))',
        "ExecIf(${{MIND:0:1}}?{}(a):NoOp())",
        'ExecIf($["${{X}}" = "a?b:c"]?{}(a))',
        'ExecIf($["${{X}}" = "\\"?"]?{}(a))',
        "ExecIf($[${{REGEX(\"^[)(\" ${{X}})}}]?{}(a))",
        "ExecIf($[(${{X}} = 1]?{}(a))",
        "ExecIf(${{X}}?{})",
        "ExecIf(${{X}}?TryExec({}(a)))",
        "TryExec({}(a,b))",
        "Exec({}(a))",
        "Originate(PJSIP/boss,app,{},PJSIP/100)",
    ],
)  # fmt: skip
def test_it_is_named_wrapped_or_not(form: str, name: str) -> None:
    for spelt in (name, name.lower()):
        assert told(form.format(spelt)) == f"there is {name}() in incoming"


@pytest.mark.parametrize(
    "text",
    [
        "NoOp(MixMonitor(a.wav))",
        "NoOp(Read)",
        "Log(NOTICE,to begin: Record(a) ?Monitor(b))",
        'Verbose(2,ExecIf("yes"?ConfBridge(1)))',
        "ExecIf($[1]?NoOp(a: Record(b)):Log(NOTICE,ask? Read(c)))",
        'ExecIf($["${X}" = "?Record(a)"]?Answer())',
        "TryExec(NoOp(MixMonitor(a)))",
        "StopMixMonitor()",
        "PauseMonitor()",
        "Set(Record=Read(a))",
        "Goto(ConfBridge,Read,1)",
        "Gosub(sub-record-check,s,1(in,${EXTEN},))",
        "Originate(Local/Record@Read,exten,ConfBridge,Monitor,1)",
        "Originate(PJSIP/boss,app)",
        "ReadFile(a)",
        "Playback(Record)",
        "PJSIP/Read",
        "ExecIf(1?)",
        "",
    ],
)
def test_a_word_alone_is_none(text: str) -> None:
    assert told(text, extension="Read") is None
    assert told(text, context="ConfBridge") is None


def test_comments_are_not_read_and_asterisks_own_contexts_are_left_out() -> None:
    text = "[a]\nexten => s,1,Answer() ; Record(a)\n; same => n,Read(a)\nexten => Record,1,Hangup()\n"
    assert told(*(line.text for line in written(text))) is None
    assert told("MixMonitor(a)", context="__func_periodic_hook_context__") is None


def test_what_it_is_and_where_is_told() -> None:
    lines = [
        OWN,
        *(Line(f"room{n}", "s", f"ConfBridge({n})") for n in range(6)),
        Line("menu", "s", "Read(CHOICE,menu,1)"),
    ]
    (found,) = [one for one in examine(lines, "dialplan", "tillit", "[asterisk]") if one.name == "recorders"]
    assert found.what == "there is " + ", ".join(f"ConfBridge() in room{n}" for n in range(5)) + " …"
    assert told("Record(a)", "Read(B)", "Record(c)") == "there is Read() in incoming, Record() in incoming"


def test_it_is_found_as_asterisk_prints_it() -> None:
    printed = (
        "[ Context 'rooms' created by 'pbx_config' ]\n"
        '  \'7\' =>            1. ExecIf($["${R}"="1"]?MixMonitor(a.wav)) [extensions.conf:7]\n'
        "                    2. ConfBridge(7)                              [extensions.conf:8]\n"
    )
    assert set().union(*(recorders.named(line.text) for line in shown(printed))) == {"MixMonitor", "ConfBridge"}


def test_our_own_dialplan_has_none() -> None:
    lines = list(written((CHECKOUT / "dialplan" / "tillit.conf").read_text()))
    assert len(lines) > 50
    assert not [line for line in lines if recorders.named(line.text)]

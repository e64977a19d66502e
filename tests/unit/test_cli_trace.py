"""One call's life, read back from the log in either format and from the audit trail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.cli.told import WORDS, lines_of, read, words
from ivr.logs import _line, _text
from tests.unit.cli_kit import typed
from tests.unit.database_kit import settings_in
from tests.unit.test_docs import logged

CALL = "1795318424.31"
AT = "2026-11-22T07:33:{:06.3f}000Z"


def line(second: float, event: str, *, level: str = "info", call: str = CALL, **fields: object) -> dict[str, Any]:
    return {"event": event, "level": level, "at": AT.format(second), "call": call, **fields}


LIFE = [
    line(1.0, "call.started", number="+46…01", policy="main"),
    line(1.5, "step.started", step="pin"),
    line(1.5, "entry.asked", entry="pin", prompts=["welcome", "ask-pin"]),
    line(2.0, "call.started", number=None, policy="main", call="1795318424.32"),
    line(6.0, "entry.ended", entry="pin", keys=4, ending="entered"),
    line(6.25, "step.ended", step="pin", outcome="passed", why="", seconds=4.75),
    line(6.25, "call.verified", assurance=1, methods=("pin",), policy="main", seconds=5.25, subject="perukcnyu6jt"),
    line(8.25, "call.handed_back", status="verified"),
    line(28.25, "call.hung_up", phase="dialplan", policy="main", seconds=27.25, status="verified"),
    line(28.25, "mark.dropped"),
    line(28.5, "call.ended", phase="dialplan"),
]


def as_json(lines: list[dict[str, Any]]) -> str:
    return "".join(_line(dict(one)) + "\n" for one in lines)


def as_text(lines: list[dict[str, Any]]) -> str:
    return "".join(_text(None, "", dict(one)) + "\n" for one in lines)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TILLIT_CONFIG", raising=False)
    settings_in(tmp_path)
    assert typed("init").code == 0
    return tmp_path


@pytest.mark.parametrize("written", [as_json, as_text])
@pytest.mark.parametrize("before", ["", "Nov 22 07:33:01 pbx tillit[812]: "])
def test_a_life_is_told_from_either_format(system: Path, written: Any, before: str) -> None:
    log = "-- Journal begins --\n" + "".join(before + text + "\n" for text in written(LIFE).splitlines())
    ended = typed("trace", CALL, stdin=log)
    assert (ended.code, ended.err) == (0, "")
    shown = [" ".join(row.split()) for row in ended.out.splitlines()]
    assert shown == [
        f"Call {CALL}, 2026-11-22 07:33:01 UTC: verified, 27.5 s",
        "seconds what then waits for",
        "0.000 call from +46…01, policy main 0.50 Tillit",
        "0.500 step.started step=pin",
        "0.500 plays welcome, ask-pin 4.50 the caller",
        "5.000 entry.ended entry=pin keys=4 ending=entered 0.25 Tillit"
        if written is as_json
        else "5.000 entry.ended ending=entered entry=pin keys=4 0.25 Tillit",
        "5.250 pin: passed",
        "5.250 VERIFIED at level 1 by pin 2.00 a prompt",
        "7.250 back to the dialplan as verified 20.00 the dialplan",
        "27.250 caller has hung up (phase: dialplan)",
        "27.250 mark dropped 0.25 Tillit",
        "27.500 call ended",
        "step pin: passed, 4.75 s",
        "waited: 20.00 s for the dialplan, 4.50 s for the caller, 2.00 s for a prompt, 1.00 s for Tillit",
    ]


def test_as_json_with_the_files_of_two_workers(system: Path) -> None:
    (system / "one.log").write_text(as_json(LIFE[8:]))
    (system / "two.log").write_text(as_json(LIFE[:8]))
    ended = typed("trace", CALL, "--json", "--log", "one.log", "--log", "two.log")
    assert (ended.code, ended.err) == (0, "")
    (life,) = map(json.loads, ended.out.splitlines())
    assert (life["outcome"], life["seconds"]) == ("verified", 27.5)
    assert life["steps"] == [{"step": "pin", "outcome": "passed", "why": "", "seconds": 4.75}]
    assert life["waited"] == {"the dialplan": 20.0, "the caller": 4.5, "a prompt": 2.0, "Tillit": 1.0}
    assert [moment["line"]["event"] for moment in life["timeline"]] == [
        one["event"] for one in LIFE if one["call"] == CALL
    ]


def test_two_nodes_that_had_calls_of_one_name_are_told_apart(system: Path) -> None:
    lines = [
        line(1, "call.started", number=None, policy="main", place=place) for place in ("[asterisk]", "[nodes.south]")
    ]
    heads = [row for row in typed("trace", CALL, stdin=as_json(lines)).out.splitlines() if row.startswith("Call ")]
    assert [head.partition(" at ")[2].partition(",")[0] for head in heads] == ["[asterisk]", "[nodes.south]"]
    assert "audit show --call" in typed("trace", CALL, stdin=as_json(lines)).err


def test_a_line_that_knows_of_no_node_is_of_the_one_that_had_the_call(system: Path) -> None:
    lines = [line(0, "agi.handed_over", policy="main"), *({**one, "place": "[nodes.south]"} for one in LIFE)]
    ended = typed("trace", CALL, stdin=as_json(lines))
    assert [row for row in ended.out.splitlines() if row.startswith("Call ")] == [
        f"Call {CALL} at [nodes.south], 2026-11-22 07:33:00 UTC: verified, 28.5 s"
    ]
    assert "agi.handed_over" in ended.out and ended.err == ""


def test_a_log_without_its_audit_trail_is_told_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TILLIT_CONFIG", raising=False)
    ended = typed("trace", CALL, stdin=as_json(LIFE))
    assert ended.code == 0
    assert ended.err.startswith("Without the audit trail: --config: there is neither tillit.toml")
    assert "VERIFIED" in ended.out


@pytest.mark.parametrize("given", ["", "no log at all\n", as_json(LIFE)])
def test_a_call_that_is_not_there_is_named(system: Path, given: str) -> None:
    ended = typed("trace", "999.1", stdin=given)
    assert (ended.code, ended.out) == (2, "")
    assert "no line of the log is of call '999.1'" in ended.err


def test_a_file_that_is_not_there_is_named(system: Path) -> None:
    ended = typed("trace", CALL, "--log", "gone.log")
    assert (ended.code, ended.err.strip()) == (2, "gone.log: cannot be read (No such file or directory)")


def test_bytes_that_are_no_text_are_passed_over(system: Path) -> None:
    """A journal has lines of others, and cuts long ones anywhere."""
    ended = typed("trace", CALL, stdin=b"\xff\xfe\n" + as_json(LIFE).encode() + b"cut off \xc3")
    assert (ended.code, ended.err) == (0, "")
    assert "VERIFIED" in ended.out


def test_nothing_moves_the_cursor_and_nothing_is_markup(system: Path) -> None:
    lines = [line(1, "call.unavailable", level="error", phase="[red]x[/]", error="\x1b[2J\x9b1mboo\r\n")]
    ended = typed("trace", CALL, stdin=as_json(lines))
    assert "[red]x[/]" in ended.out
    assert not {"\x1b", "\x9b", "\r"} & set(ended.out)


WORD = st.text(st.characters(codec="utf-8"), max_size=12).filter(
    # what looks as if it had been quoted, or were nothing; the log has none of these
    lambda word: word != "None" and word[:1] not in ("'", '"')
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "why": WORD,
        "error": st.none() | WORD,
        "number": st.sampled_from(["+46…01", "007", "1.5", None]),
        "keys": st.integers(0, 10**8),
        "seconds": st.integers(0, 10**6).map(lambda number: number / 100),
        "prompts": st.lists(st.text("abc-_é ", min_size=1, max_size=8), max_size=3),
    },
)


@given(FIELDS)
def test_what_was_written_for_people_reads_back(fields: dict[str, object]) -> None:
    whole = line(1, "step.ended", place="[nodes.south]", **fields)
    assert read(_text(None, "", dict(whole))) == whole
    assert read(orjson.dumps(whole).decode()) == whole


@given(st.text())
def test_no_text_stops_the_reading(text: str) -> None:
    read(text)
    list(lines_of(CALL, [text, f'{{"{CALL}', f'{{"event": 7, "call": "{CALL}"}}', f"{CALL} [" + "x=' " * 50]))


def test_every_line_can_be_said() -> None:
    """Those with words of their own have the fields for them; a line that lacks one is said as it is."""
    known = logged()
    assert set(WORDS) <= set(known)
    for event in known:
        assert words({"event": event, "level": "info", "at": AT.format(1)}), event
    for one in LIFE:
        assert one["event"] not in WORDS or not words(one).startswith(one["event"])

"""What the README and the pages of docs/ say is there, is there."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ivr import cli
from ivr.asterisk.versions import LEAST
from ivr.call import mark
from ivr.call.outcome import Scope, Status
from ivr.call.steps import all_steps
from ivr.cli.moments import moment
from ivr.cli.table import COLUMNS
from ivr.config import App, Asterisk, Broker, Client, Pattern, Policy, Settings, Webhook
from ivr.config.section import table_of
from ivr.doctor import KINDS
from ivr.errors import InputError
from ivr.prompts import catalogue, languages, render
from ivr.prompts.voice import FIELDS
from ivr.sample import sample

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = {
    str(file.relative_to(CHECKOUT)): file.read_text()
    for file in (CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md"))
}
SAMPLES = {
    str(file.relative_to(CHECKOUT)): file.read_text()
    for file in (CHECKOUT / "config").rglob("*")
    if file.is_file() and not file.name.startswith(".")
}
DIALPLAN = (CHECKOUT / "dialplan" / "tillit.conf").read_text()
LEVELS = ("debug", "info", "warning", "error")


def page(name: str) -> str:
    return PAGES[f"docs/{name}.md"]


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and text of each block of code."""
    return ((found[1], found[2]) for found in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```", text))


def code(text: str) -> list[str]:
    """Each span of code, and each line of each block."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text))
    return spans + [line for _, block in blocks(text) for line in block.splitlines()]


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table whose first line begins like this."""
    table = text[text.index(f"\n{head}") + 1 :].split("\n\n")[0].rstrip().splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# ---------------------------------------------------------------- links and paths


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    heads = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", text))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?ms)^```.*?^```", "", PAGES[name])):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (CHECKOUT / name).parent / path if path else CHECKOUT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{name}: {target}"


def test_every_page_is_reached_from_the_readme() -> None:
    for name in PAGES:
        assert name == "README.md" or f"({name})" in PAGES["README.md"], name


@pytest.mark.parametrize("name", [*PAGES, *SAMPLES])
def test_every_path_is_there(name: str) -> None:
    text = PAGES.get(name) or SAMPLES[name]
    named = re.findall(r"(?<![\w/.-])((?:ivr|docs|config|dialplan|scripts|tests|\.ci)/[\w./-]*\w/?)", text)
    for path in named:
        assert (CHECKOUT / path).exists(), f"{name}: {path}"


@pytest.mark.parametrize("name", [*PAGES, *SAMPLES])
def test_nothing_of_the_machine_it_was_written_on(name: str) -> None:
    text = PAGES.get(name) or SAMPLES[name]
    assert str(CHECKOUT) not in text
    assert not re.search(r"/root/|/home/\w|/tmp/|compliant|certified", text)


# ---------------------------------------------------------------- commands


def commands(text: str) -> Iterator[list[str]]:
    """The words behind each `ari_app.py`."""
    for line in code(text):
        line = re.split(r"\s+#\s| \| | > |; |\. |'$", line.partition("ari_app.py ")[2])[0]
        if line and "…" not in line:
            yield shlex.split(line)


# Typer's own classes are nobody else's business: a command is what has `params`, a group what has `commands`.
Command = Any


def root() -> Command:
    return cli.command()


def inner(command: Command) -> dict[str, Command]:
    """The commands of a group; of a command, none."""
    return dict(getattr(command, "commands", {}))


def options(command: Command) -> dict[str, bool]:
    """The options, and whether each is a flag."""
    given = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    return {name: option.is_flag for option in given for name in option.opts} | {"--help": True}


def check(given: list[str]) -> str:
    """What is wrong with a command as it stands in a page; empty where nothing is."""
    command = root()
    known = options(command)
    arguments = 0
    left = iter(given)
    for word in left:
        if word.startswith("--"):
            name, has_value, value = word.partition("=")
            if name not in known:
                return f"{command.name} has no option {name}"
            if not known[name] and not has_value:
                value = next(left, "")
            if name in ("--since", "--until"):
                try:
                    moment(value, name)
                except InputError as error:
                    return str(error)
        elif inner(command):
            if word not in inner(command):
                return f"{command.name} has no command {word}"
            command = inner(command)[word]
            known = known | options(command)
        else:
            arguments += 1
    if inner(command):
        return "" if set(given) & {"--help", "--version"} else f"{command.name} needs a command"
    wanted = sum(parameter.param_type_name == "argument" for parameter in command.params)
    return "" if arguments == wanted else f"{command.name} takes {wanted} arguments, not {arguments}"


@pytest.mark.parametrize("name", [*PAGES, *SAMPLES])
def test_every_command_is_there(name: str) -> None:
    text = PAGES.get(name) or "\n".join(f"`{line}`" for line in SAMPLES[name].replace("`", "\n").splitlines())
    for given in commands(text):
        assert not (fault := check(given)), f"{name}: ari_app.py {shlex.join(given)}: {fault}"


@pytest.mark.parametrize(
    "given",
    [
        "run --fast",
        "customer",
        "customer ad 1",
        "audit show 1",
        "audit show --since 30min",
        "--confi x run",
        "customer show",
        "",
    ],
)
def test_a_command_that_is_not_there_is_found(given: str) -> None:
    assert check(given.split())


def test_every_option_that_is_named_alone_is_one() -> None:
    known = {name for command in every(root()) for name in options(command)}
    known |= {
        "--fast",
        "--json",
        "--keep",
        "--rates",
        "--seconds",
        "--only",
        "--brief",
        "--parts",
        "--engine",
        "--seed",
        "--faults",
        "--rate",
        "--share",
        "--logs",
    } | prompts_options()
    for name, text in PAGES.items():
        for span in re.findall(r"`(--[a-z-]+)", text):
            assert span in known, f"{name}: {span}"
    for script, option in (("test", "--fast"), ("rig/demo.py", "--json"), ("rig/demo.py", "--keep"),
        ("rig/chaos/__main__.py", "--faults"), ("rig/chaos/__main__.py", "--rate"), ("rig/bench/__main__.py", "--parts")):  # fmt: skip
        assert option in (CHECKOUT / "scripts" / script).read_text()


def test_every_command_is_told_of() -> None:
    told = "\n".join(PAGES.values())
    for path, command in paths(root()):
        assert f"ari_app.py {path}" in told, path
        for name in options(command):
            assert name == "--help" or name in told, f"{path} {name}"


def every(command: Command) -> Iterator[Command]:
    yield command
    for below in inner(command).values():
        yield from every(below)


def paths(group: Command, before: str = "") -> Iterator[tuple[str, Command]]:
    for name, command in inner(group).items():
        if inner(command):
            yield from paths(command, f"{before}{name} ")
        else:
            yield before + name, command


def test_the_ten_minutes_of_the_readme_are_those_of_the_installation() -> None:
    """The same commands and snippets in the same order; the page has more of them."""
    short = PAGES["README.md"].partition("ten minutes\n")[2].partition("\n## ")[0]
    given = [line for _, block in blocks(short) for line in block.splitlines() if line]
    assert len(given) > 30
    whole = iter([line for _, block in blocks(page("install")) for line in block.splitlines()])
    for line in given:
        assert line in whole, f"README.md: not in docs/install.md, or not in this order: {line}"


# ---------------------------------------------------------------- prompts


def prompts_options() -> set[str]:
    """The options of scripts/prompts."""
    return {name for action in render.parser(CHECKOUT)._actions for name in action.option_strings}


def test_every_option_of_prompts_is_told_of() -> None:
    told = {words(row[0])[0].split()[0] for row in rows(page("prompts"), "| Option |")}
    assert told == prompts_options() - {"-h", "--help"}
    for name, text in PAGES.items():
        for line in code(text):
            if "scripts/prompts " in line:
                given = set(re.findall(r"--[a-z-]+", re.sub("'.*'", "", line.partition("scripts/prompts ")[2])))
                assert given <= prompts_options(), f"{name}: {line}"


def test_every_prompt_is_told_of_in_its_words() -> None:
    told = {words(row[0])[0]: row[1] for row in rows(page("prompts"), "| Name |")}
    assert told == {prompt.value: said for prompt, said in catalogue("en").prompts.items()}
    placeholders = {words(row[0])[0] for row in rows(page("prompts"), "| In the command |")}
    assert placeholders == {f"{{{name}}}" for name in FIELDS}


def test_every_language_is_told_of() -> None:
    assert set(re.findall(r"\[(\w+)\.toml\]", page("prompts"))) == set(languages())


# ---------------------------------------------------------------- the dialplan


@pytest.mark.parametrize("name", [*PAGES, *SAMPLES])
def test_every_variable_and_header_is_one(name: str) -> None:
    text = PAGES.get(name) or SAMPLES[name]
    known = {mark.STATUS, mark.LEVEL, mark.METHODS, mark.SUBJECT, mark.EXPIRES, mark.PRIORITY, mark.HEADER}
    known |= {
        "TILLIT_CONFIG",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Original-URL",
        "X-Tillit-Mark",
        "X-Total-Count",
    }
    for word in re.findall(r"\b(?:CALLER_AUTH|TILLIT)_[A-Z]+\b|\bX-[A-Za-z-]+\b", text):
        assert word in known or word in DIALPLAN, f"{name}: {word}"
    for context in re.findall(r"\b(tillit-[a-z-]+)[,^]s[,^]", text):
        # a page may write out one of its own
        assert f"[{context}]" in DIALPLAN + text, f"{name}: {context}"


def test_every_variable_and_status_is_told_of() -> None:
    told = page("dialplan")
    assert [words(row[0]) for row in rows(told, "| Variable |")] == [
        [name] for name in (mark.STATUS, mark.LEVEL, mark.METHODS, mark.SUBJECT, mark.EXPIRES, mark.PRIORITY)
    ]
    # a caller who has hung up is nobody whom a dialplan goes on with
    assert {words(row[0])[0] for row in rows(told, "| Status |")} == {*Status} - {Status.ABANDONED}


def test_every_event_of_ami_is_told_of() -> None:
    told = {words(row[0])[0]: row for row in rows(page("dialplan"), "| `UserEvent` |")}
    heart = "".join(file.read_text() for file in (CHECKOUT / "ivr" / "call").glob("*.py"))
    assert set(told) == set(re.findall(r'line\.event\(\s*"(\w+)"', heart))
    assert {mark.STATUS, mark.LEVEL, mark.METHODS, mark.SUBJECT, mark.EXPIRES} == set(
        words(told["CallerAuthenticated"][1])
    )
    assert {"Scope", "Seconds", "Subject", *Scope} - {Scope.CALL} == set(words(told["CallerLockedOut"][1]))


def test_the_header_is_as_it_is_made() -> None:
    made = re.compile(
        re.sub(r"\\\{\w+(\.\w+)?\\\}", ".+", re.escape("verified; level={level}; methods={methods}; ref={subject}"))
    )
    for name, text in PAGES.items():
        for value in re.findall(r"X-Caller-Auth: (verified.*)", text):
            assert made.fullmatch(value), f"{name}: {value}"


def test_the_dialplan_of_the_pages_is_that_of_the_sample() -> None:
    """The lines that matter are the same everywhere."""
    lines = {line.strip() for line in SAMPLES["config/asterisk/extensions.conf"].splitlines()}
    for name in ("README.md", "docs/dialplan.md", "docs/install.md"):
        for line in code(PAGES[name]):
            # a dialplan that is changed shows what is taken away as well
            if re.search(r"same => n,(GotoIf|Queue\(support,)", line) and not line.startswith("-"):
                assert line.removeprefix("+").strip() in lines, f"{name}: {line}"


# ---------------------------------------------------------------- settings


def setting(path: str, name: str) -> tuple[bool, Any]:
    """Whether there is such a setting, and its default."""
    named = {
        "policies": Policy,
        "nodes": Asterisk,
        "clients": Client,
        "webhooks": Webhook,
        "apps": App,
        "patterns": Pattern,
        "brokers": Broker,
    }
    first, *parts = re.sub(r"^(?:proxy\.(?=patterns\.)|eid\.(?=brokers\.))", "", path).split(".")
    model: Any = named.get(first, Settings)
    for part in parts[1:] if first in named else (first, *parts):
        tables = {field.alias or name: field for name, field in model.model_fields.items()}
        if part not in tables:
            return False, None
        model = table_of(tables[part])
    return name in model.model_fields, model.model_fields[name].default if name in model.model_fields else None


@pytest.mark.parametrize("name", [*PAGES, *SAMPLES])
def test_every_setting_is_one(name: str) -> None:
    for path, field in re.findall(r"\[([a-z_.0-9]+(?:\.NAME)?)\] ([a-z_0-9]+)", PAGES.get(name) or SAMPLES[name]):
        if path.split(".")[0] in Settings.model_fields and field not in ("in", "into"):
            assert setting(path, field)[0], f"{name}: [{path}] {field}"


def test_the_numbers_are_the_defaults() -> None:
    table = rows(page("policies"), "| Setting | Default |")
    assert len(table) > 10
    for row in table:
        found = re.fullmatch(r"`\[([\w.]+)\] (\w+)`", row[0])
        assert found is not None
        assert setting(found[1], found[2]) == (True, int(row[1])), row[0]
    told = {words(row[0])[0] for row in table}
    for section in ("limits", "steps.sms_code"):
        model: Any = Settings
        for part in section.split("."):
            model = model.model_fields[part].annotation
        assert {f"[{section}] {field}" for field in model.model_fields} <= told


def test_what_stands_in_toml_can_be_loaded() -> None:
    """Each block, laid over the sample."""
    found = [block for text in PAGES.values() for language, block in blocks(text) if language == "toml"]
    assert len(found) >= 2
    for block in found:
        Settings.model_validate(_over(tomllib.loads(sample()), tomllib.loads(block)))


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        merged[name] = _over(merged.get(name, {}), value) if isinstance(value, Mapping) else value
    return merged


def test_the_steps_are_those_that_are_there() -> None:
    told = {words(row[0])[0]: row[1] for row in rows(page("policies"), "| Step |")}
    assert told == {name: step.factor.value for name, step in all_steps().items()}


def test_the_columns_of_the_file_are_those_that_are_read() -> None:
    assert tuple(words(row[0])[0] for row in rows(page("customers"), "| Column |")) == COLUMNS
    assert any(block.startswith(",".join(COLUMNS)) for _, block in blocks(page("customers")))


def test_the_versions_are_those_that_are_accepted() -> None:
    for numbers in LEAST.values():
        assert ".".join(map(str, numbers)) in PAGES["README.md"]


# ---------------------------------------------------------------- the log


def logged() -> dict[str, tuple[set[str], set[str]]]:
    """Every event that is logged anywhere: its levels, and its fields."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for file in (CHECKOUT / "ivr").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if call.func.attr not in LEVELS or not ast.unparse(call.func.value).endswith("log"):
                continue
            assert call.args, f"{file}:{call.lineno}: logs nothing"
            assert isinstance(call.args[0], ast.Constant), f"{file}:{call.lineno}: an event is a name"
            levels, fields = found.setdefault(str(call.args[0].value), (set(), set()))
            levels.add(call.func.attr)
            fields |= {str(keyword.arg) for keyword in call.keywords}
    return found


def logged_where() -> dict[str, set[Path]]:
    """Every event, and the files that log it."""
    found: dict[str, set[Path]] = {}
    for file in (CHECKOUT / "ivr").rglob("*.py"):
        for event in re.findall(r"log\.(?:debug|info|warning|error)\(\s*\"([\w.]+)\"", file.read_text()):
            found.setdefault(event, set()).add(file.relative_to(CHECKOUT))
    return found


def test_every_event_of_the_log_is_told_of_and_no_other() -> None:
    table = rows(page("operations"), "| Event |")
    told = {words(row[0])[0]: (set(row[1].split(", ")), set(words(row[2]))) for row in table}
    made = logged()
    assert len(made) > 30
    assert sorted(told) == sorted(made) == sorted(logged_where())
    for event, (levels, fields) in made.items():
        assert told[event] == (levels, fields), event


# ---------------------------------------------------------------- the doctor


def test_every_finding_of_the_doctor_is_told_of_and_no_other() -> None:
    told = [(words(row[0])[0], *row[1:]) for row in rows(page("doctor"), "| Finding |")]
    assert told == [(kind.name, kind.grade, kind.says, kind.why) for kind in KINDS]


# ---------------------------------------------------------------- attacks


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page("security"))
    assert len(named) > 20
    functions = {file: functions_of(CHECKOUT / file) for file in {file for file, _ in named}}
    for file, function in named:
        assert function in functions[file], f"{file}::{function}"
    for name in set(re.findall(r"`(test_\w+)`", page("security"))):
        assert name in {function for _, function in named}, f"{name} is named without its file"


def functions_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}

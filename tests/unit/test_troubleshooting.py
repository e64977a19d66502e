"""Whatever the program can print stands in docs/troubleshooting.md, with its cure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.unit.test_docs import CHECKOUT, logged, page, rows, words

# What stands for a value in a sentence; no sentence has it.
HOLE = "\0"

# Texts of two words and more that nobody is shown as a message.
UNPRINTED = {
    "ivr/doctor": "what it finds says itself why it matters and what to type",
    "ivr/cli/doctor": "the same",
    "ivr/database/migrations": "SQL",
    "ivr/cli/told.py": "what the lines of the log say in a timeline",
    "ivr/cli/life.py": "the timeline",
    "ivr/page/server.py": "headers",
    "ivr/proxy/server.py": "the page that says what went wrong",
    "ivr/web/api.py": "what a client is told of its own request",
    "ivr/web/element.py": "headers",
    "ivr/web/headers.py": "headers",
    "ivr/web/openapi.py": "the OpenAPI file",
    "ivr/web/problems.py": "a header",
    "ivr/web/programs.py": "a header",
    "ivr/web/render.py": "headers",
    "ivr/web/tokens.py": "headers",
    "ivr/web/routes.py": "the OpenAPI file",
    "ivr/sample.py": "the settings file and its page",
    "ivr/logs.py": "a format",
    "ivr/store/customers.py": "a made-up customer, to measure against",
}
UNPRINTED_TEXTS = (
    r"signs in by",  # a label
    r"PRAGMA .*|BEGIN IMMEDIATE|SELECT pg_.*|VACUUM .*|INDEX_CLEANUP ON|SELECT relname.*|SELECT max\(pg_.*|(RE)?SET lock_timeout.*|REPEATABLE READ",  # SQL
    r"default-src 'none'.*|\0; script-src .*",  # a header
    r"~.*:page:\*.*",  # rights at Redis, which config/redis.conf has
    r"verified; level=.*",  # the header
    r"database: SQLITE_CONSTRAINT_TRIGGER",  # what is tried again
    r"user executing the script",  # what Redis says, to be looked for
    r"\[A-Za-z(0-9)?\].*|\['.*",  # regular expressions
    r"Private addresses that .*",  # a setting's description, which two settings share
    r"Value error, ",  # taken away from what pydantic says
    r".*\[[\w.\0]+\] [\w\0]+",  # a place, which stands before each sentence
    r".* username, password_file|\0 (url|accept_version)",
)


def messages() -> Iterator[tuple[str, str]]:
    """Where each text of two words and more stands, and the text with a hole for each value."""
    for file in sorted((CHECKOUT / "ivr").rglob("*.py")):
        name = str(file.relative_to(CHECKOUT))
        if not any(name.startswith(skipped) for skipped in UNPRINTED):
            for count, (line, text) in enumerate(texts(ast.parse(file.read_text()))):
                if not any(re.fullmatch(skipped, text, re.DOTALL) for skipped in UNPRINTED_TEXTS):
                    yield f"{name}:{line}#{count}", text


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each text but docstrings, help and descriptions, which are in other pages."""
    above: dict[ast.AST, ast.AST] = {}
    for node in ast.walk(tree):
        above |= dict.fromkeys(ast.iter_child_nodes(node), node)
        match node:
            case ast.JoinedStr():
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
            case ast.Constant(value=str(text)):
                pass
            case _:
                continue
        if isinstance(above[node], (ast.JoinedStr, ast.Expr)) or len(re.findall(r"[A-Za-z]{2,}", text)) < 2:
            continue
        if " " in text.strip() and not described(node, above):
            yield getattr(node, "lineno", 0), text


def described(node: ast.AST, above: dict[ast.AST, ast.AST]) -> bool:
    while node in above and not isinstance(node, ast.stmt):
        inner, node = node, above[node]
        match node:
            case ast.Dict(keys, values) if inner in values:
                key = keys[values.index(inner)]
                if isinstance(key, ast.Constant) and key.value == "description":
                    return True
        if isinstance(node, ast.keyword) and node.arg in ("help", "description", "metavar"):
            return True
    return False


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("`", ""))


def told(text: str, where: str) -> bool:
    """Whether a sentence stands there, with anything in its holes."""
    return _pattern(text).search(where) is not None


# More than `re` keeps.
@cache
def _pattern(text: str) -> re.Pattern[str]:
    pattern = ".{0,100}?".join(re.escape(part) for part in plain(text).strip(" .;:").split(HOLE))
    return re.compile(pattern.replace(r"\ ", " "))


PRINTED = dict(messages())


@cache
def shown() -> str:
    """The page's sentences."""
    return plain(page("troubleshooting"))


def test_there_is_something_to_be_told_of() -> None:
    assert len(PRINTED) > 250
    assert "no Redis answers at \0" in PRINTED.values()


@pytest.mark.parametrize("place", PRINTED)
def test_every_message_is_told_of(place: str) -> None:
    text = PRINTED[place]
    if text.replace(HOLE, "").strip():
        assert told(text, shown()), f"{place}: docs/troubleshooting.md says nothing of {text.replace(HOLE, '…')!r}"


def test_a_message_that_is_not_told_of_is_found() -> None:
    tree = ast.parse('raise ConfigError(place, f"the {moon} is full", "Wait a fortnight")')
    found = [text for _, text in texts(tree)]
    assert found == ["the \0 is full", "Wait a fortnight"]
    assert not any(told(text, shown()) for text in found)
    assert told("no Redis answers at \0", shown())


def test_every_message_of_a_table_has_its_cure() -> None:
    """Where the sentence does not itself say what to do, the cell beside it does."""
    cures = 0
    for table in re.findall(r"(?m)^\| What is printed .*\n(?:\|.*\n)+", page("troubleshooting")):
        for row in rows("\n" + table, "| What is printed |"):
            cures += 1
            assert row[1] or re.search(r"\. [A-Z]|; | [Ll]eave ", row[0]), row[0]
    assert cures > 150


def test_every_warning_of_the_log_has_its_cure() -> None:
    cures = {words(row[0])[0]: row[1] for row in rows(page("troubleshooting"), "| Event | What to do |")}
    warned = {event for event, (levels, _) in logged().items() if levels & {"warning", "error"}}
    assert set(cures) == warned
    assert all(cures.values())


# Printed by others than the package, or put together of words that are too short to be looked for.
ELSEWHERE = (
    "Input should be",  # pydantic
    "is empty",  # the same, said of a file and of a setting
    "POST /channels/ID/play",
    "EXEC Gosub",
    "scripts/prompts: a library is missing",  # before the package is there
    "the audit trail only grows",  # the database's own
)


def test_every_sentence_of_a_table_is_printed() -> None:
    known = [text for text in PRINTED.values() if len(text.replace(HOLE, "").split()) > 1]
    for table in re.findall(r"(?m)^\| What is printed .*\n(?:\|.*\n)+", page("troubleshooting")):
        for row in rows("\n" + table, "| What is printed |"):
            for sentence in words(row[0]):
                where = plain(sentence)
                assert any(other in sentence for other in ELSEWHERE) or any(told(text, where) for text in known), (
                    f"nothing prints {sentence!r}"
                )

"""A worker that cannot start for one of its Asterisks says for which one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from rig.stage import Stage
from rig.worker import Worker

STAGE = {"customers": (), "nodes": ("south",)}
COLD = True


@pytest.fixture
def spoiled(stage: Stage) -> Iterator[Stage]:
    """A stage whose settings a test may write anew."""
    yield stage
    stage.write_config()


def refused(stage: Stage, code: int = 2) -> str:
    """What `run` says, having ended with this code and without a traceback."""
    done: subprocess.CompletedProcess[str] = stage.attempt("run")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert str(stage.config) in done.stderr
    return done.stderr


def url(stage: Stage, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{stage.pbx.http_port}/ari"


@pytest.mark.parametrize(
    ("fields", "place", "cure"),
    [
        ({"username": "nobody"}, "[nodes.south] username, password_file: Asterisk does not know", "ari.conf"),
        ({"password_file": "ari.password"}, "[nodes.south] username, password_file", "ari.conf"),
        ({"password_file": "missing"}, "[nodes.south] password_file", "mode 0600"),
        ({"password_env": "NOBODY_SET_THIS"}, "[nodes.south] password_env", "Set NOBODY_SET_THIS"),
        ({"request_seconds": 0}, "[nodes.south] request_seconds", "counts as failed"),
        ({"pasword_file": "x"}, "[nodes.south] pasword_file: there is no such setting", "mean password_file?"),
    ],
)
def test_what_is_wrong_with_one_is_said_with_its_table(
    spoiled: Stage, fields: dict[str, Any], place: str, cure: str
) -> None:
    spoiled.write_config({"nodes.south": fields})
    said = refused(spoiled)
    assert place in said
    assert cure in said
    assert "[asterisk]" not in said


def test_the_first_one_is_named_no_less(spoiled: Stage) -> None:
    spoiled.write_config({"asterisk": {"username": "nobody"}})
    said = refused(spoiled)
    assert "[asterisk] username, password_file" in said
    assert "[nodes.south]" not in said


def test_two_tables_with_one_url(spoiled: Stage) -> None:
    spoiled.write_config({"nodes.south": {"url": url(spoiled)}})
    assert "[asterisk] url and [nodes.south] url are the same" in refused(spoiled)


def test_two_tables_that_lead_to_one_asterisk(spoiled: Stage) -> None:
    """Two names of one machine look like two Asterisks until they are asked."""
    spoiled.write_config({"nodes.south": {"url": url(spoiled, "localhost"), "password_file": "ari.password"}})
    said = refused(spoiled)
    entity = spoiled.pbx.ari("GET", "asterisk/info")["system"]["entity_id"]
    assert "[asterisk] url, [nodes.south] url: both lead to" in said
    assert entity in said
    assert "entityid in asterisk.conf" in said


def test_prompts_that_one_of_them_lacks(spoiled: Stage) -> None:
    folder = spoiled.nodes["south"].folder / "data" / "sounds" / "en" / "tillit"
    away = folder.with_name("away")
    folder.rename(away)
    try:
        spoiled.nodes["south"].restart()
        said = refused(spoiled)
    finally:
        away.rename(folder)
        spoiled.nodes["south"].restart()
    assert "the Asterisk of [nodes.south] lacks all prompts of 'en'" in said
    assert "scripts/prompts --out" in said


def test_none_of_them_answers(spoiled: Stage) -> None:
    """Not 2: the settings may be right, and systemd tries again."""
    down = {"url": "http://127.0.0.1:9/ari"}
    spoiled.write_config({"asterisk": down, "nodes.south": {"url": "http://127.0.0.1:10/ari"}})
    said = refused(spoiled, 75)
    assert "[asterisk] url: no answer from http://127.0.0.1:9/ari" in said
    assert "[nodes.south] url: no answer from http://127.0.0.1:10/ari" in said


def test_one_that_does_not_answer_hides_nothing_that_is_wrong_with_another(spoiled: Stage) -> None:
    spoiled.write_config({"asterisk": {"url": "http://127.0.0.1:9/ari"}, "nodes.south": {"username": "nobody"}})
    assert "[nodes.south] username" in refused(spoiled)


def test_a_first_table_that_was_left_out_is_not_looked_for(spoiled: Stage) -> None:
    spoiled.write_config()
    head, _, behind = spoiled.config.read_text().partition("[asterisk]\n")
    spoiled.config.write_text(head + "[" + behind.partition("\n[")[2])
    with Worker(spoiled.nodes["south"], spoiled.config, name="south-alone") as worker:
        lines = worker.log()
    assert [line["event"] for line in lines].count("asterisk.found") == 1
    # one node is one node, wherever it stands
    assert not [line for line in lines if "place" in line]

"""The sample of the settings and the page about them, held equal to the files; and the command that prints them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from ivr.cli import main
from ivr.config import Policy, Settings, load
from ivr.config.section import table_of
from ivr.sample import page, sample

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = {"config/tillit.toml": sample, "docs/configuration.md": page}


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_as_it_is_made(name: str) -> None:
    option = " --markdown" if name.endswith(".md") else ""
    assert (CHECKOUT / name).read_text() == FILES[name](), f"type: ari_app.py sample{option} > {name}"


def test_the_sample_is_good(tmp_path: Path) -> None:
    file = tmp_path / "tillit.toml"
    file.write_text(sample())
    settings = load(file)
    assert list(settings.policies) == ["main"]


def _uncommented() -> Iterator[str]:
    """Each setting that stands behind a #, with a value."""
    for line in sample().splitlines():
        if line.startswith("# ") and " = " in line and not line.endswith(" ="):
            try:
                tomllib.loads(line[2:])
            except tomllib.TOMLDecodeError:
                continue  # a sentence
            yield line


def test_what_stands_behind_a_number_sign_is_the_default() -> None:
    lines = list(_uncommented())
    assert len(lines) > 40
    bare = text = _all_tables()
    for line in lines:
        text = text.replace(f"\n{line}\n", f"\n{line[2:]}\n")
    assert Settings.model_validate(tomllib.loads(text)) == Settings.model_validate(tomllib.loads(bare))


def _all_tables() -> str:
    """The sample with the tables that are left out whole, and in them what must be written."""
    found = re.findall(r"\n# (\[[a-z.]+\])\n", sample())
    assert "[asterisk.ami]" in found
    tables = re.sub(r"\n# (\[[a-z.]+\])\n", r"\n\1\n", sample())
    tables = re.sub(r"\n# ((?:signing_)?certificate_file|key_file|ca_file) =\n", r'\n\1 = "some.pem"\n', tables)
    return re.sub(r"\n# (issuer|name|client_id) =\n", r'\n\1 = "https://op.example.com"\n', tables)


def _fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if (inner := table_of(field)) is not None:
            yield from _fields(inner)
        elif name not in ("policies", "nodes", "clients", "webhooks", "apps", "patterns", "brokers"):
            yield name


def test_no_setting_is_forgotten() -> None:
    for name in {*_fields(Settings), *_fields(Policy)}:
        assert f"\n{name} =" in sample() or f"\n# {name} =" in sample(), name
        assert f"| `{name}` |" in page(), name


def test_every_setting_is_described() -> None:
    assert "|  |\n" not in page()


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    table = [line.replace(r"\|", "") for line in page().splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in table} == {5}


@pytest.mark.parametrize(("words", "made"), [((), sample), (("--markdown",), page)])
def test_the_command_prints_it_and_needs_no_settings(
    words: tuple[str, ...],
    made: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ari_app.py", "sample", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert callable(made)
    assert capsys.readouterr().out == made()

"""Several Asterisks in the settings, and what they are called in errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivr.config import Settings, load
from ivr.errors import ConfigError

BASE = """
[company]
name = "Example Telecom"
country = "SE"

[policies.main]
steps = ["pin"]
level = 1
"""
SOUTH = '[nodes.south]\nurl = "https://192.0.2.8:8088/ari"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tillit.toml"


def read(file: Path, text: str) -> Settings:
    file.write_text(BASE + text)
    return load(file)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", ["[asterisk]"]),
        ('[asterisk]\napp = "desk"\n', ["[asterisk]"]),
        ("[asterisk]\n" + SOUTH, ["[asterisk]", "[nodes.south]"]),
        # a table that nobody wrote is not the Asterisk of this machine
        (SOUTH, ["[nodes.south]"]),
        ('[nodes.north]\nurl = "https://192.0.2.7/ari"\n' + SOUTH, ["[nodes.north]", "[nodes.south]"]),
    ],
)
def test_each_node_has_its_place_in_the_file(file: Path, text: str, places: list[str]) -> None:
    assert list(read(file, text).asterisks) == places


def test_a_node_is_as_it_was_written(file: Path) -> None:
    settings = read(file, SOUTH + 'app = "desk"\npassword_file = "south.password"\nrequest_seconds = 2\n')
    south = settings.asterisks["[nodes.south]"]
    assert (south.url, south.app, south.request_seconds) == ("https://192.0.2.8:8088/ari", "desk", 2.0)
    assert south.username == settings.asterisk.username


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://192.0.2.8:8088/ari", "https://192.0.2.8:8088/ari"),
        ("https://192.0.2.8:8088/ari", "https://192.0.2.8:8088/ari/"),
        ("http://localhost/ari", "http://LOCALHOST:80/ari"),
        ("https://pbx.example/ari", "https://pbx.example:443/ari"),
        ("https://[2001:db8::8]:8088/ari", "https://[2001:DB8::8]:8088/ari"),
        ("https://pbx:x/ari", "https://pbx:x/ari"),
    ],
)
def test_two_tables_with_one_url_are_named_both(file: Path, one: str, other: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(file, f'[asterisk]\nurl = "{one}"\n[nodes.south]\nurl = "{other}"\n')
    assert "[asterisk] url and [nodes.south] url are the same" in str(refused.value)
    assert str(file) in str(refused.value)


def test_the_url_of_a_table_that_was_left_out_is_an_url_too(file: Path) -> None:
    assert list(read(file, "[nodes.south]\n").asterisks) == ["[nodes.south]"]
    with pytest.raises(ConfigError, match=r"\[nodes\.north\] url and \[nodes\.south\] url are the same"):
        read(file, "[nodes.north]\n[nodes.south]\n")


@pytest.mark.parametrize(
    "other", ["https://192.0.2.8:8089/ari", "https://192.0.2.9:8088/ari", "https://192.0.2.8:8088/b"]
)
def test_what_differs_is_another_node(file: Path, other: str) -> None:
    assert len(read(file, f'{SOUTH}[asterisk]\nurl = "{other}"\n').asterisks) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[nodes.south]\nulr = "x"\n', "[nodes.south] ulr: there is no such setting. Did you mean url?"),
        ("[nodes.south]\nslogan = 1\n", "[nodes.south] slogan: there is no such setting. Here belong: url, username"),
        ('[nodes.south]\nurl = "ftp://x"\n', "[nodes.south] url: is not of the right form. Where http.conf"),
        ("[nodes.south]\nrequest_seconds = 0\n", "[nodes.south] request_seconds"),
        ('[nodes."so uth"]\nurl = "http://x/ari"\n', "[nodes.so uth"),
        ('[nodes]\nurl = "http://x/ari"\n', "[nodes.url]"),
        ('nodes = "south"\n', "nodes"),
    ],
)
def test_a_fault_in_a_node_is_named_with_its_table(file: Path, text: str, said: str) -> None:
    file.write_text(text + BASE)
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert said in str(refused.value)

"""Settings of the proxy that cannot be meant are refused, with the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivr.config import load
from ivr.errors import ConfigError

HEAD = '[company]\nname = "Acme"\ncountry = "SE"\n[policies.main]\nsteps = ["pin"]\nlevel = 1\n'
DESK = '[desk]\nurl = "https://desk.example.com"\n'
PROXY = '[proxy]\nlisten = "127.0.0.1:8444"\nurl = "https://crm.example.com"\nupstream = "http://127.0.0.1:8080"\n'
PATTERN = "[proxy.patterns.one]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROXY, "[proxy] listen is there, and [desk] url is not"),
        (DESK.replace("desk.", "crm.") + PROXY, "the same host"),
        (DESK + PROXY.replace("upstream", "#"), "upstream is not"),
        (DESK + PROXY.replace("127.0.0.1:8080", "crm.internal"), "upstream_plain_text = true"),
        (DESK + PROXY.replace("127.0.0.1:8080", ":80"), "upstream has no host"),
        (DESK + PROXY + 'upstream_ca_file = "x"\n', "but there is a CA"),
        (DESK + PROXY + 'free = ["/a//b"]\n', "two ways"),
        (DESK + PROXY + 'free = ["GET /{number}"]\n', "two ways"),
        (DESK + PROXY + 'free = ["BREW /x"]\n', "[proxy] free"),
        (
            PATTERN + 'path = "/a/{number}"\nfield = 1\n',
            "[proxy.patterns.one] field: there is no such setting. Did you mean fields?",
        ),
        (PATTERN + 'path = "/a"\n', "nothing says where the customer's number stands"),
        (PATTERN + 'path = "/**/{number}"\n', "two ways"),
        (PATTERN + 'path = "/a/../{number}"\n', "two ways"),
        (PATTERN + 'path = "/a/x{number}"\n', "two ways"),
        (PATTERN + 'path = "a/{number}"\n', "two ways"),
        (PATTERN + 'path = "/a"\nbody = ["/id"]\n', "Write a pattern of its own for GET"),
        (PATTERN + 'path = "/a"\nbody = ["id"]\nmethods = ["POST"]\n', "no pointer of RFC 6901"),
        (PATTERN + 'path = "/a"\nanswer = ["/x/-"]\n', "no pointer of RFC 6901"),
        (PATTERN + 'path = "/a/{number}"\nfields = {"/x~2" = 3}\n', "no pointer of RFC 6901"),
        (PATTERN + 'path = "/a/{number}"\nfields = {"/x" = 3}\nheaders = ["X-A: b"]\n', "no name of a header"),
        (PATTERN + 'path = "/a/{number}"\nheaders = ["X-A"]\n', "Leave it out"),
        (PATTERN + 'path = "/a"\nanswer = ["/x"]\nmethods = ["POST"]\n', 'Write methods = ["GET"]'),
        (PATTERN + 'path = "/a"\nquery = ["x"]\nforms = true\nmethods = ["POST"]\n', "forms are not looked into"),
    ],
)
def test_what_cannot_be_meant(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "tillit.toml"
    file.write_text(HEAD + text)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert said in str(error.value)


def test_what_can(tmp_path: Path) -> None:
    file = tmp_path / "tillit.toml"
    file.write_text(
        HEAD + DESK + PROXY.replace("127.0.0.1:8080", "crm.internal:80") + "upstream_plain_text = true\n" + PATTERN
        + 'path = "/a/{number}/*/**"\nfields = {"" = 3, "/a~1b/*/0" = 1}\n'
    )  # fmt: skip
    pattern = load(file).proxy.patterns["one"]
    assert pattern.segments == ("a", "{number}", "*", "**")
    assert pattern.reads_answer

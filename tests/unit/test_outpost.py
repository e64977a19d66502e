"""The applications of the desk, and of calls that a worker makes, are told from those that calls are offered to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rig.state import CHECKOUT

from ivr.asterisk.outpost import name_of, worker_name_of
from ivr.config import load

SETTINGS = """
[worker]
name = "{name}"

[company]
name = "Example Telecom"
country = "SE"

[asterisk]
app = "{app}"

[policies.main]
steps = ["pin"]
level = 1
"""


@pytest.mark.parametrize("app", ["tillit", "tillit-2", "desk"])
@pytest.mark.parametrize("name", ["tillit", "w1", "-tillit"])
def test_no_call_is_offered_to_it(tmp_path: Path, app: str, name: str) -> None:
    """`StasisBroadcast()` offers calls to each application that its pattern finds."""
    file = tmp_path / "tillit.toml"
    file.write_text(SETTINGS.format(name=name, app=app))
    settings = load(file)
    own, workers = name_of(settings, "[asterisk]"), worker_name_of(settings, "[asterisk]")
    assert own != workers != worker_name_of(settings, "[asterisk]"), "no two runs share it"
    dialplan = (CHECKOUT / "dialplan" / "tillit.conf").read_text()
    (pattern,) = re.findall(r"StasisBroadcast\([^,]*,(.*?),offer\)", dialplan)
    assert re.search(pattern, "tillit-2")
    for name in (own, workers):
        assert not re.search(pattern, name)
        assert name not in settings.asterisks["[asterisk]"].apps(16)

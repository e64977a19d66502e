"""The sample config/tillit.service: sound, as little exposed as the page says, and right about stopping and trying again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rig.state import CHECKOUT

from ivr.config import Worker
from ivr.config.requests import Requests

CONFIG = CHECKOUT / "config"


UNITS = ("tillit.service", "tillit-desk.service", "tillit-proxy.service", "tillit-page.service")


@pytest.mark.servers
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_sound(name: str, tmp_path: Path) -> None:
    text = (CONFIG / name).read_text()
    command = "/opt/tillit/venv/bin/python /opt/tillit/ari_app.py"
    assert text.count(command) == 1
    unit = tmp_path / name
    unit.write_text(text.replace(command, f"{sys.executable} {CHECKOUT / 'ari_app.py'}"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.servers
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_exposed_no_more_than_the_page_says(name: str) -> None:
    told = re.search(r"`systemd-analyze security` gives it ([\d.]+)", (CHECKOUT / "docs" / "operations.md").read_text())
    assert told is not None
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={round(float(told[1]) * 10)}"]
    done = subprocess.run([*command, CONFIG / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    found = re.search(rf"Overall exposure level for {name}: ([\d.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= float(told[1])


def test_the_unit_waits_for_calls_to_come_to_their_end_and_to_be_handed_back() -> None:
    limit = re.search(r"(?m)^TimeoutStopSec=(\d+)$", (CONFIG / "tillit.service").read_text())
    assert limit is not None
    least = Worker().shutdown_seconds + 30
    assert f"must be {least - Worker().shutdown_seconds} more" in str(
        Worker.model_fields["shutdown_seconds"].description
    )
    assert int(limit[1]) >= least


def test_the_unit_of_the_desk_waits_for_requests() -> None:
    limit = re.search(r"(?m)^TimeoutStopSec=(\d+)$", (CONFIG / "tillit-desk.service").read_text())
    assert limit is not None
    assert int(limit[1]) > 2 * Requests().shutdown_seconds


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_tries_again_unless_the_settings_are_wrong(name: str) -> None:
    """2 is what `main` ends with for wrong settings; what is not there yet ends with 75, as any other failure may."""
    text = (CONFIG / name).read_text()
    assert re.findall(
        r"(?m)^(Restart|RestartPreventExitStatus|SuccessExitStatus|StartLimitIntervalSec)=(.*)$", text
    ) == [
        ("StartLimitIntervalSec", "0"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "2"),
    ]

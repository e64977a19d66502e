"""docs/backup.md, typed from its first command to its last: a machine is backed up, and restored to a new one."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.unit.database_kit import TOML

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "backup.md").read_text()

# Whoever types is root and tillit at once here: there is no such user, and files stay with who runs the tests.
SUDO = """#!/bin/bash
[ "$1" = -u ] && shift 2
case $1 in
chown | editor) exit 0 ;;
install)
    shift
    while [ "$1" = -d ] || [ "$1" = -o ] || [ "$1" = -g ]; do
        if [ "$1" = -d ]; then more=-d; shift; else shift 2; fi
    done
    exec install ${more-} "$@"
    ;;
esac
exec "$@"
"""


def section(heading: str) -> list[str]:
    """The commands below a heading, one text for each block."""
    below = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"(?ms)^```sh\n(.*?)^```$", below)


@dataclass
class Machine:
    """A folder that has what stands at / on a machine; only the page's paths are moved into it."""

    root: Path

    def __post_init__(self) -> None:
        for folder in ("etc/tillit", "var/lib/tillit", "var/backups", "opt/tillit", "mnt/safe", "bin"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "opt/tillit/venv").symlink_to(ROOT / ".tillit/venv")
        (self.root / "opt/tillit/ari_app.py").symlink_to(ROOT / "ari_app.py")
        sudo = self.root / "bin/sudo"
        sudo.write_text(SUDO)
        sudo.chmod(0o755)

    @property
    def settings(self) -> Path:
        return self.root / "etc/tillit/tillit.toml"

    def type(self, commands: str) -> str:
        moved = re.sub(r"(?<![\w/])/(?=(?:opt|etc|var|mnt)/)", f"{self.root}/", commands)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", moved], capture_output=True, text=True, check=False,
            env=os.environ | {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "COLUMNS": "300"},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout


def test_the_page_is_typed(tmp_path: Path) -> None:
    old, new = Machine(tmp_path / "old"), Machine(tmp_path / "new")
    command = "cd /opt/tillit\nvenv/bin/python ari_app.py {} --config /etc/tillit/tillit.toml"
    old.settings.write_text(f'{TOML}[database]\nurl = "sqlite:///../../var/lib/tillit/tillit.db"\n')
    old.type(command.format("init"))
    old.type(command.format("customer add 10001 --name 'Anna Åkesson' --phone 0701234567 --no-pin"))

    make, edit, away = section("Once: the key that reads them")
    told = old.type(make)
    assert edit.strip() == "sudo editor /etc/tillit/tillit.toml"
    assert "[backup]\nrecipients = [" in told
    old.settings.write_text(old.settings.read_text() + told.partition(":\n\n")[2])
    old.type(away)
    (daily,) = section("Each day")
    assert "Wrote 1 customers, 0 people who sign in and 3 rows of the audit trail" in old.type(daily)
    # the machine itself has nothing to read it with
    assert not (old.root / "var/backups/tillit-data/identity").exists()

    for carried in ("mnt/safe", "var/backups"):
        (new.root / carried).rmdir()
        (old.root / carried).rename(new.root / carried)
    bring, restore = section("Restoring to a new machine")
    new.type(bring)
    shown = new.type(restore)
    assert "Restored 1 customers, 0 people who sign in and 3 rows of the audit trail" in shown
    assert "The trail is as it was written." in shown
    assert shown.rstrip().endswith("Nothing to do: the keys and the database are there.")
    assert "Anna Åkesson" in new.type(command.format("customer show 10001 --reveal"))
    assert (new.root / "var/lib/tillit/tillit.db").stat().st_mode & 0o777 == 0o600

"""Commands of `ari_app.py`, typed by an administrator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rig import warm
from rig.state import CHECKOUT, VENV_PYTHON, RigError
from rig.totp import App

# Another person cannot be had without being somebody else: for the command there is one.
_BY_ANOTHER = """
import os
from ivr.cli import main, who
who.person = lambda: who.Person(os.environ["RIG_PERSON"], "tillit", "")
main()
"""


class Commands:
    """The part of a stage that types them, with the settings in `config`."""

    config: Path

    def command(self, *words: str, given: str = "") -> str:
        """Run `ari_app.py` with this stage's settings; what it printed. RigError where it failed."""
        done = self.attempt(*words, given=given)
        if done.returncode:
            raise RigError(f"ari_app.py {' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def unlock(self, number: str) -> None:
        """Have a customer unlocked, by two persons."""
        for who, how in (("rita", ("--reason", "a test")), ("sven", ("--confirm", "--yes"))):
            done = self.attempt("customer", "unlock", number, *how, by=who)
            if done.returncode:
                raise RigError(f"{who} cannot unlock a customer: exit code {done.returncode}: {done.stderr.strip()}")

    def attempt(self, *words: str, given: str = "", by: str | None = None) -> subprocess.CompletedProcess[str]:
        """The same, for a command that may fail; `by`: who types it, with a login of their own."""
        python = str(VENV_PYTHON) if VENV_PYTHON.exists() else sys.executable
        program = [str(CHECKOUT / "ari_app.py")] if by is None else ["-c", _BY_ANOTHER]
        command = [python, *program, *words]
        env = dict(os.environ, TILLIT_CONFIG=str(self.config), **({"RIG_PERSON": by} if by else {}))
        if warm.fits(command, env):
            return warm.run(command, env=env, given=given, cwd=None, limit=60)
        return subprocess.run(
            command,
            cwd=CHECKOUT if by else None,
            env=env,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def enrol(self, number: str) -> App:
        """Have the customer's authenticator app enrolled, as an administrator does before whom the customer stands."""
        words = ("customer", "totp", "add", number, "--config", str(self.config))
        python = str(VENV_PYTHON) if VENV_PYTHON.exists() else sys.executable
        with subprocess.Popen(
            [python, str(CHECKOUT / "ari_app.py"), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as command:
            assert command.stdout is not None and command.stdin is not None
            shown = next((line for line in command.stdout if line.startswith("otpauth://")), "")
            if not shown:
                raise RigError(f"no authenticator app of customer {number} was enrolled")
            app = App.scanned(shown.strip())
            print(app.shown(), file=command.stdin, flush=True)
            said = command.stdout.read()
        if command.returncode:
            raise RigError(f"the authenticator app of customer {number} was not enrolled: {said}")
        return app

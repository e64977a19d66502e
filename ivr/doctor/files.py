"""Whether the user who runs the worker can use every file that it needs, and whether they are that user's own."""

from __future__ import annotations

import pwd
from collections.abc import Iterator
from pathlib import Path

from ivr.config import Settings
from ivr.doctor import account
from ivr.doctor.account import Account, quoted, there
from ivr.doctor.finding import Finding, Grade, Kind

RIGHTS = Kind(
    "worker-rights", Grade.FAULT,
    "The user who runs the worker may not read a file that it needs, or not write the database",
    "The worker does not start.",
)  # fmt: skip
OWNERS = Kind(
    "owners", Grade.WARNING,
    "Keys, password files and database belong to different users",
    "The worker may not be able to read one of them, and then does not start.",
)  # fmt: skip
KINDS = (RIGHTS, OWNERS)

# Asks the user's own shell: it knows of groups, access lists and folders above. Prints the number of each that fails.
_ASK = 'n=0; for one; do n=$((n + 1)); test "-${one%%:*}" "${one#*:}" || echo $n; done'


async def check(settings: Settings) -> list[Finding]:
    """What the worker could not use, and what is not its user's; nothing where all is well: the keys' line says so."""
    user = account.of(settings)
    closed = await _closed(settings, user) if user.is_ours_to_be else {}
    found = [_told(settings, path, needs, user) for path, needs in closed.items()]
    return [*found, *_owners(settings, user, closed)]


async def _closed(settings: Settings, user: Account) -> dict[Path, str]:
    """What the user may not use, and for what: `x`, into a folder, goes before all that is in there."""
    database = account.database_files(settings)
    folders = [file.parent for file in database[:1]]
    files = [settings.file, *(file for file in account.owned(settings) if file not in database)]
    wanted = [(path, "r") for path in files] + [(path, "w") for path in (*folders, *database)]
    # by the way from the root: the first door that is shut is the one to open
    above = dict.fromkeys(folder for path, _ in wanted for folder in reversed(path.parents))
    asked = [(path, need) for path, need in [*((folder, "x") for folder in above), *wanted] if there(path)]
    code, told, _ = await user.run(_ASK, *(f"{need}:{path}" for path, need in asked))
    if code:
        raise PermissionError
    closed: dict[Path, str] = {}
    for number in told.split():
        path, need = asked[int(number) - 1]
        if path not in closed and not any(folder in closed and closed[folder] == "x" for folder in path.parents):
            closed[path] = need
    return closed


def _told(settings: Settings, path: Path, need: str, user: Account) -> Finding:
    may = {"r": "read", "w": "write", "x": "enter the folder"}[need]
    owner = Account(path.stat().st_uid).name
    cure = f"chown {user.name} {quoted(path)}"
    if need == "x" and _others(path, settings, user):
        cure = f"# let {user.name} pass through {path}, or lay the files elsewhere"
    elif path.stat().st_uid == user.number:
        # it is the user's own, and shut all the same
        cure = f"chmod u+{'rw' if need == 'w' else need} {quoted(path)}"
    return RIGHTS.found("worker", f"{user.name} may not {may} {path}, which belongs to {owner}", cure)


def _others(folder: Path, settings: Settings, user: Account) -> bool:
    """Whether it is not Tillit's alone: somebody's home, or a folder above those that the settings name."""
    homes = {Path(one.pw_dir) for one in pwd.getpwall() if one.pw_uid != user.number}
    own = {path.parent for path in (settings.file, *account.owned(settings))}
    return folder in homes or folder not in own


def _owners(settings: Settings, user: Account, told: dict[Path, str]) -> Iterator[Finding]:
    others: dict[Path, str] = {}
    for file in account.owned(settings):
        if there(file) and file not in told and (owner := file.stat().st_uid) != user.number:
            others[file] = Account(owner).name
    if others:
        said = ", ".join(f"{file} to {owner}" for file, owner in others.items())
        yield OWNERS.found(
            "keys", f"they belong to different users: most to {user.name}, {said}",
            *(f"chown {user.name} {quoted(file)}" for file in others),
        )  # fmt: skip

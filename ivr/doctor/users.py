"""Who besides the worker could see what callers key: users of AMI and ARI, whoever reaches a port or reads a file."""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Iterator

from ivr.config import loopback
from ivr.doctor.console import Console, value
from ivr.doctor.filters import DIALLED, KEYS, keeps_out, of_user
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.leaks import asked
from ivr.doctor.node import Node

AMI_DTMF = Kind(
    "ami-dtmf", Grade.FAULT,
    "A user of AMI has the class dtmf",
    "It is told each key that a caller presses.",
)  # fmt: skip
AMI_RIGHTS = Kind(
    "ami-rights", Grade.ADVICE,
    "A user of AMI may type commands, place calls or write files",
    "Who has its password can switch on what shows keys, and can set what the dialplan believes.",
)  # fmt: skip
AMI_DIALLED = Kind(
    "ami-dialled", Grade.ADVICE,
    "A user of AMI is told of the numbers that agents call from the desk",
    "Agents do not see them; who has that user's password does.",
)  # fmt: skip
AMI_OPEN = Kind(
    "ami-open", Grade.FAULT,
    "AMI is open to other machines, without TLS",
    "Passwords can be tried from there, and what is told goes over the network in clear.",
)  # fmt: skip
HTTP_OPEN = Kind(
    "http-open", Grade.FAULT,
    "ARI is open to other machines, without TLS",
    "Passwords can be tried from there, and keys and passwords go over the network in clear.",
)  # fmt: skip
HTTP_SESSIONS = Kind(
    "http-sessions", Grade.WARNING,
    "Asterisk's HTTP server takes few connections",
    "A worker keeps up to 64, and one for the events. What is more is refused, and calls fail.",
)  # fmt: skip
ARI_USERS = Kind(
    "ari-users", Grade.WARNING,
    "ARI has other users",
    "ARI has no smaller rights: each of them, a read-only one too, can see the keys that callers press, and read the phones' SIP passwords.",
)  # fmt: skip
READABLE = Kind(
    "asterisk-files", Grade.WARNING,
    "Asterisk's password files can be read by every user of the machine",
    "Who reads the ARI password can see, hear and change every call.",
)  # fmt: skip
KINDS = (AMI_DTMF, AMI_RIGHTS, AMI_DIALLED, AMI_OPEN, HTTP_OPEN, HTTP_SESSIONS, ARI_USERS, READABLE)

# AMI's classes by which a user can reach everything else.
_MIGHTY = ("system", "command", "config", "originate", "all")
# A worker's connections, and a few for others.
_SESSIONS = 70
# Ours is tillit-ari.conf, and FreePBX has ari_additional.conf and others besides.
_PASSWORD_FILES = ("*ari*.conf", "*manager*.conf")
# What the console is asked, and what stands in each answer.
ASKED = {
    "manager show users": "manager users",
    "manager show settings": "Global Settings",
    "ari show users": "Username",
    "http show status": "HTTP Server Status",
}

_PASSWORD = re.compile(r"(?mi)^\s*(password|secret|md5_cred|auth_pass\w*)\s*=")


async def check(node: Node) -> list[Finding]:
    """Everybody who gets in, or could try to."""
    subject = node.about("access")
    told, unseen = await asked(node, ASKED, subject)
    if node.console is None:
        return unseen
    found = [
        *await _ami(node.console, told["manager show users"], subject, dials=node.settings.calls.dial is not None),
        *_ami_open(told["manager show settings"], subject),
        *_ari(told["ari show users"], node.asterisk.username, subject),
        *_http(told["http show status"], node.console, subject),
        *_readable(node.console, subject),
    ]
    return [*found, *unseen] or [
        ok(subject, "ports, password files and users of AMI and ARI let nobody see what callers key")
    ]


async def _ami(console: Console, users: str, subject: str, *, dials: bool) -> list[Finding]:
    """`dials`: agents call from the desk."""
    found: list[Finding] = []
    for name in _between(users, "--------", "-------------------"):
        shown = await console.told(f"manager show user {name}", "read perm")
        if shown is None:
            cure = f"asterisk -rx 'manager show user {name}'"
            found.append(NOT_LOOKED_AT.found(subject, f"the console tells nothing of the AMI user {name}", cure))
            continue
        read, write = ((value(shown, f"{way} perm") or "").split(",") for way in ("read", "write"))
        mighty = [right for right in _MIGHTY if right in write]
        if {"dtmf", "all"} & set(read) and not _filtered(console, name, KEYS):
            found.append(
                AMI_DTMF.found(
                    subject, f"the AMI user {name} reads {'all, and so dtmf' if 'all' in read else 'dtmf'}",
                    f"# in the section [{name}] of manager.conf name the classes in read = one by one, without dtmf; or, where you cannot:",
                    "#   eventfilter(action(exclude),name(DTMFBegin)) =", "#   eventfilter(action(exclude),name(DTMFEnd)) =",
                    "asterisk -rx 'manager reload'",
                )
            )  # fmt: skip
        if dials and {"call", "all"} & set(read) and not _filtered(console, name, (DIALLED,)):
            found.append(
                AMI_DIALLED.found(
                    subject, f"the AMI user {name} is told of {DIALLED}, which has the number",
                    f"# in the section [{name}] of manager.conf, where it needs no {DIALLED}:",
                    f"#   eventfilter(action(exclude),name({DIALLED})) =", "asterisk -rx 'manager reload'",
                )
            )  # fmt: skip
        if mighty:
            found.append(
                AMI_RIGHTS.found(
                    subject, f"the AMI user {name} has the rights {', '.join(mighty)}",
                    f"# in the section [{name}] of manager.conf leave in write = what it needs",
                    "asterisk -rx 'manager reload'",
                )
            )  # fmt: skip
    return found


def _ami_open(settings: str, subject: str) -> Iterator[Finding]:
    bound = value(settings, "TCP Bindaddress") or ""
    if value(settings, "Manager (AMI)") == "Yes" and not loopback(bound.rpartition(":")[0]):
        yield AMI_OPEN.found(
            subject, f"AMI listens on {bound}",
            "# write bindaddr = 127.0.0.1 in /etc/asterisk/manager.conf; other machines come by TLS (tlsenable, tlsbindaddr)",
            "asterisk -rx 'manager reload'",
        )  # fmt: skip


def _filtered(console: Console, user: str, events: tuple[str, ...]) -> bool:
    """Whether filters keep these from this user: then the class does no harm."""
    try:
        files = [file.name for file in console.etc.glob("manager*.conf")]
    except OSError:
        return False
    return keeps_out(of_user((console.file(file) or "" for file in sorted(files)), user), events)


def _ari(told: str, own: str, subject: str) -> Iterator[Finding]:
    _, _, listed = told.partition("--------\n")
    users = [line.split()[-1] for line in listed.splitlines() if line.strip()]
    others = [user for user in users if user != own]
    if others:
        yield ARI_USERS.found(
            subject, f"besides {own} there {'is' if len(others) == 1 else 'are'} {', '.join(others)}",
            "# take them out of /etc/asterisk/ari.conf, or give them an Asterisk of their own",
            "asterisk -rx 'module reload res_ari.so'",
        )  # fmt: skip


def _http(told: str, console: Console, subject: str) -> Iterator[Finding]:
    for bound in re.findall(r"(?m)^Server Enabled and Bound to (\S+)", told):
        if not loopback(bound.rpartition(":")[0]):
            yield HTTP_OPEN.found(
                subject, f"Asterisk's HTTP server listens on {bound}",
                "# write bindaddr = 127.0.0.1 in /etc/asterisk/http.conf; workers elsewhere come by TLS (tlsenable, tlsbindaddr)",
                "asterisk -rx 'module reload http'",
            )  # fmt: skip
    limits = re.findall(r"(?m)^\s*sessionlimit\s*=>?\s*(\d+)", console.file("http.conf") or "")
    if limits and int(limits[-1]) < _SESSIONS:
        yield HTTP_SESSIONS.found(
            subject, f"sessionlimit is {limits[-1]} in http.conf",
            "# write sessionlimit = 200 in /etc/asterisk/http.conf", "asterisk -rx 'module reload http'",
        )  # fmt: skip


def _readable(console: Console, subject: str) -> Iterator[Finding]:
    try:
        if not console.etc.stat().st_mode & stat.S_IXOTH:
            return  # others do not even get into the folder
    except OSError:
        return
    for file in sorted(file for pattern in _PASSWORD_FILES for file in console.etc.glob(pattern)):
        try:
            mode = file.stat().st_mode
        except OSError:
            continue
        text = console.file(file.name)
        if text is not None and _PASSWORD.search(text) is None:
            continue  # it has others included
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            problem = f"{file} has mode {stat.S_IMODE(mode):04o}"
            yield READABLE.found(subject, problem, f"chmod o= {shlex.quote(str(file))}")


def _between(text: str, first: str, last: str) -> list[str]:
    """The lines between two lines."""
    between = text.partition(f"\n{first}\n")[2].partition(f"\n{last}")[0]
    return [line.strip() for line in between.splitlines() if line.strip()]

"""Who besides the worker could see what callers key: logs, CEL, AMI, other users of ARI, open ports."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator

from ivr.doctor.console import Console, value
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node
from ivr.doctor.reach import loopback

LOGGER_DTMF = Kind(
    "logger-dtmf", Grade.FAULT,
    "A log of Asterisk has the level dtmf",
    "Each key that a caller presses is written there: PINs and codes, for whoever reads the log.",
)  # fmt: skip
LOGGER_DEBUG = Kind(
    "logger-debug", Grade.WARNING,
    "A log of Asterisk has the level debug",
    "From `core set debug 4` on, and with `ari set debug` or `rtp set debug`, it shows keys.",
)  # fmt: skip
DEBUG = Kind(
    "debug-on", Grade.FAULT,
    "Asterisk's debug level is 4 or more",
    "At that level it prints each key that a caller presses, on every console and in every log with the level debug.",
)  # fmt: skip
SIP_DEBUG = Kind(
    "sip-debug", Grade.WARNING,
    "SIP messages are logged",
    "Keys that come by SIP INFO stand in them.",
)  # fmt: skip
CEL = Kind(
    "cel-dtmf", Grade.FAULT,
    "Channel event logging (CEL) includes DTMF",
    "Each key that a caller presses goes into its file, and into AMI for every user with the class call.",
)  # fmt: skip
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
    "ARI has no smaller rights: each of them, a read-only one too, can see the keys that callers press.",
)  # fmt: skip
READABLE = Kind(
    "asterisk-files", Grade.WARNING,
    "Asterisk's password files can be read by every user of the machine",
    "Who reads the ARI password can see, hear and change every call.",
)  # fmt: skip
KINDS = (
    LOGGER_DTMF, LOGGER_DEBUG, DEBUG, SIP_DEBUG, CEL, AMI_DTMF, AMI_RIGHTS, AMI_OPEN, HTTP_OPEN, HTTP_SESSIONS,
    ARI_USERS, READABLE,
)  # fmt: skip

# AMI's classes by which a user can reach everything else.
_MIGHTY = ("system", "command", "config", "originate", "all")
# A worker's connections, and a few for others.
_SESSIONS = 70
_PASSWORD_FILES = ("ari.conf", "manager.conf")
_ASKED = ("core show settings", "cel show status", "manager show users", "manager show settings", "ari show users", "http show status", "pjsip show settings")  # fmt: skip


async def check(node: Node) -> list[Finding]:
    """Every way that is known by which keys get where they should not."""
    subject = node.about("secrecy")
    found = list(_logger(await node.list("asterisk/logging"), subject))
    console = node.console
    if console is None:
        return [
            *found,
            NOT_LOOKED_AT.found(
                subject,
                "Asterisk's console cannot be asked from here: CEL, users of AMI and ARI, open ports and debug levels were not looked at",
                "# on Asterisk's machine, as root: ari_app.py doctor",
                *(f"asterisk -rx '{command}'" for command in _ASKED),
            ),
        ]  # fmt: skip
    found += [
        *_debug(console, await console.ask("pjsip show settings") or "", subject),
        *_cel(await console.ask("cel show status") or "", subject),
        *await _ami(console, subject),
        *_ari(await console.ask("ari show users") or "", node.asterisk.username, subject),
        *_http(await console.ask("http show status") or "", console, subject),
        *_readable(console, subject),
    ]
    return found or [ok(subject, "no log, CEL, user of AMI or other user of ARI is told what callers key")]


def _logger(channels: list[dict[str, object]], subject: str) -> Iterator[Finding]:
    for channel in channels:
        where, levels = str(channel.get("channel")), str(channel.get("configuration")).upper().split()
        name = where.rpartition("/")[2] or "console"
        for level, kind in (("DTMF", LOGGER_DTMF), ("DEBUG", LOGGER_DEBUG)):
            if level in levels:
                yield kind.found(
                    subject, f"{where or 'the console'} has the level {level.lower()}",
                    f"# in /etc/asterisk/logger.conf take {level.lower()} (and *) out of the line {name}",
                    "asterisk -rx 'logger reload'",
                )  # fmt: skip


def _debug(console: Console, sip: str, subject: str) -> Iterator[Finding]:
    level = value(console.settings, "Debug level") or "0"
    if level.isdecimal() and int(level) >= 4:
        yield DEBUG.found(
            subject, f"the debug level is {level}",
            "asterisk -rx 'core set debug 0'",
            "# and see that /etc/asterisk/asterisk.conf does not set debug",
        )  # fmt: skip
    if value(sip, "debug") not in (None, "no"):
        yield SIP_DEBUG.found(
            subject, "pjsip.conf has debug on",
            "# write debug = no in the section of type = global of /etc/asterisk/pjsip.conf",
            "asterisk -rx 'module reload res_pjsip.so'", "asterisk -rx 'pjsip set logger off'",
        )  # fmt: skip


def _cel(told: str, subject: str) -> Iterator[Finding]:
    events = re.findall(r"CEL Tracking Event: (\w+)", told)
    if "Enabled" in (value(told, "CEL Logging") or "") and {"ALL", "DTMF"} & set(events):
        yield CEL.found(
            subject, f"CEL tracks {'ALL events, DTMF among them' if 'ALL' in events else 'DTMF'}",
            "# list the events one by one in /etc/asterisk/cel.conf, as in config/asterisk/cel.conf, without DTMF",
            "asterisk -rx 'module reload cel'",
        )  # fmt: skip


async def _ami(console: Console, subject: str) -> list[Finding]:
    users = await console.ask("manager show users") or ""
    found: list[Finding] = []
    for name in _between(users, "--------", "-------------------"):
        shown = await console.ask(f"manager show user {name}") or ""
        read, write = ((value(shown, f"{way} perm") or "").split(",") for way in ("read", "write"))
        mighty = [right for right in _MIGHTY if right in write]
        if {"dtmf", "all"} & set(read) and not _filtered(console, name):
            found.append(
                AMI_DTMF.found(
                    subject, f"the AMI user {name} reads {'all, and so dtmf' if 'all' in read else 'dtmf'}",
                    f"# in the section [{name}] of manager.conf name the classes in read = one by one, without dtmf; or, where you cannot:",
                    "#   eventfilter(action(exclude),name(DTMFBegin)) =", "#   eventfilter(action(exclude),name(DTMFEnd)) =",
                    "asterisk -rx 'manager reload'",
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
    settings = await console.ask("manager show settings") or ""
    bound = value(settings, "TCP Bindaddress") or ""
    if value(settings, "Manager (AMI)") == "Yes" and not loopback(bound.rpartition(":")[0]):
        found.append(
            AMI_OPEN.found(
                subject, f"AMI listens on {bound}",
                "# write bindaddr = 127.0.0.1 in /etc/asterisk/manager.conf; other machines come by TLS (tlsenable, tlsbindaddr)",
                "asterisk -rx 'manager reload'",
            )
        )  # fmt: skip
    return found


def _filtered(console: Console, user: str) -> bool:
    """Whether filters keep DTMF from this user: then the class does no harm."""
    try:
        files = [file.name for file in console.etc.glob("manager*.conf")]
    except OSError:
        return False
    for file in files:
        for section in re.findall(rf"(?ms)^\[{re.escape(user)}\](.*?)(?=^\[|\Z)", console.file(file) or ""):
            lines = [line for line in section.splitlines() if line.strip().startswith("eventfilter")]
            if any("!Event: DTMF" in line for line in lines) or all(
                any("exclude" in line and name in line for line in lines) for name in ("DTMFBegin", "DTMFEnd")
            ):
                return True
    return False


def _ari(told: str, own: str, subject: str) -> Iterator[Finding]:
    users = [line.split()[-1] for line in told.splitlines()[2:] if line.strip()]
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
    for name in _PASSWORD_FILES:
        file = console.etc / name
        try:
            mode = file.stat().st_mode
        except OSError:
            continue
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            problem = f"{file} has mode {stat.S_IMODE(mode):04o}"
            yield READABLE.found(subject, problem, f"chmod o= {file}")


def _between(text: str, first: str, last: str) -> list[str]:
    """The words of the lines between two lines."""
    return text.partition(f"\n{first}\n")[2].partition(f"\n{last}")[0].split()

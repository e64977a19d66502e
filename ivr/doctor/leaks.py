"""What Asterisk could write down of what callers key, or send elsewhere: logs, debug, CEL, HEP."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from ivr.doctor.console import Console, value
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node, rows

LOGGER_DTMF = Kind(
    "logger-dtmf", Grade.FAULT,
    "A log of Asterisk has the level dtmf",
    "Each key that a caller presses is written there: PINs and codes, for whoever reads the log.",
)  # fmt: skip
LOGGER_DEBUG = Kind(
    "logger-debug", Grade.WARNING,
    "A log of Asterisk has the level debug",
    "From `core set debug 4` on, and with `rtp set debug`, it shows keys.",
)  # fmt: skip
LOGGER_VERBOSE = Kind(
    "logger-verbose", Grade.FAULT,
    "A log of Asterisk has the level verbose, and digits are said on calls, or customers called",
    "From `core set verbose 3` on, each digit that is said is written there, and each number that is called: codes and customers, for whoever reads the log.",
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
HEP = Kind(
    "sip-capture", Grade.WARNING,
    "A copy of each SIP message goes to a capture server (HEP)",
    "Keys that come by SIP INFO stand in them: they go there in clear, and are kept there.",
)  # fmt: skip
ARI_DEBUG = Kind(
    "ari-debug", Grade.FAULT,
    "Asterisk prints what it tells an ARI application",
    "Each key that a caller presses stands there, on every console and in every log with the level verbose.",
)  # fmt: skip
KINDS = (LOGGER_DTMF, LOGGER_DEBUG, LOGGER_VERBOSE, DEBUG, SIP_DEBUG, CEL, HEP, ARI_DEBUG)

_HEP = "res_hep_pjsip"
# What the console is asked, and what stands in each answer.
ASKED = {
    "cel show status": "CEL Logging",
    "pjsip show settings": "Global Settings",
    "ari show apps": "Application Name",
}


async def check(node: Node) -> list[Finding]:
    """Every log and record that gets what callers key."""
    subject = node.about("secrecy")
    logs = rows(await node.ari.request("GET", "asterisk/logging"))
    found = list(_logger(logs, subject))
    # codes of [texts.voice]; the page's digits, which steps and agents have said; numbers that agents call
    settings = node.settings
    if settings.texts.voice.wanted or settings.page.url is not None or settings.calls.dial is not None:
        found += _verbose(logs, subject)
    found += _hep(rows(await node.ari.request("GET", "asterisk/modules")), node.console, subject)
    told, unseen = await asked(node, ASKED, subject)
    if node.console is not None:
        found += [*_debug(node.console, told["pjsip show settings"], subject), *_cel(told["cel show status"], subject)]
        found += await _ari_debug(node.console, told["ari show apps"], subject)
    return [*found, *unseen] or [ok(subject, "no log, and no record of channel events, gets what callers key")]


async def asked(node: Node, commands: Mapping[str, str], subject: str) -> tuple[dict[str, str], list[Finding]]:
    """What the console answers to these commands, and what it does not; each answer has its mark in it."""
    told = {
        command: await node.console.told(command, mark) if node.console else None for command, mark in commands.items()
    }
    unseen = [f"asterisk -rx '{command}'" for command, answer in told.items() if answer is None]
    answers = {command: answer or "" for command, answer in told.items()}
    problem = "Asterisk's console does not answer to all that it is asked"
    if node.console is None:
        problem = "Asterisk's console cannot be asked from here"
        unseen.insert(0, "# on Asterisk's machine, as root: ari_app.py doctor")
    return answers, [NOT_LOOKED_AT.found(subject, problem, *unseen)] if unseen else []


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


def _verbose(channels: list[dict[str, object]], subject: str) -> Iterator[Finding]:
    for channel in channels:
        where, levels = str(channel.get("channel")), str(channel.get("configuration")).upper()
        # a console shows it to whoever sits there, and keeps nothing
        if channel.get("type") != "Console" and "VERBOSE" in levels:
            yield LOGGER_VERBOSE.found(
                subject, f"{where} has the level verbose, and digits are said on calls, or customers called",
                f"# in /etc/asterisk/logger.conf take verbose (and *) out of the line {where.rpartition('/')[2]}",
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


def _hep(modules: list[dict[str, object]], console: Console | None, subject: str) -> Iterator[Finding]:
    # where hep.conf has enabled = no it does not start; a change later on counts after a reload, which cannot be seen
    if any(one.get("name") == f"{_HEP}.so" and one.get("status") == "Running" for one in modules):
        text = console.file("hep.conf") if console else None
        where = re.findall(r"(?m)^\s*capture_address\s*=>?\s*(\S+)", text or "")
        yield HEP.found(
            subject, f"{_HEP} is running{f', and sends to {where[-1]}' if where else ''}",
            f"asterisk -rx 'module unload {_HEP}.so'",
            f"# write noload = {_HEP}.so in /etc/asterisk/modules.conf, or enabled = no in /etc/asterisk/hep.conf",
        )  # fmt: skip


async def _ari_debug(console: Console, told: str, subject: str) -> list[Finding]:
    found: list[Finding] = []
    for app in (line.strip() for line in told.partition("=\n")[2].splitlines()):
        if not app:
            continue
        shown = await console.told(f"ari show app {app}", "Debug:")
        if shown is None:
            cure = f"asterisk -rx {shlex.quote(f'ari show app {app}')}"
            found.append(NOT_LOOKED_AT.found(subject, f"the console tells nothing of the ARI application {app}", cure))
        elif value(shown, "Debug") != "No":
            cure = f"asterisk -rx {shlex.quote(f'ari set debug {app} off')}"
            found.append(ARI_DEBUG.found(subject, f"ari set debug is on for {app}", cure))
    return found

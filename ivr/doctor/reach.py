"""Whether Asterisk answers, which one it is, and what we may do there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from yarl import URL

from ivr.asterisk.ari import Ari
from ivr.asterisk.versions import supported, trouble
from ivr.config import Asterisk, Settings, loopback, tls
from ivr.doctor.console import Console, value
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node
from ivr.errors import AriError

ARI_AWAY = Kind(
    "ari-away", Grade.FAULT,
    "Asterisk's REST interface (ARI) does not answer",
    "Without it no call is verified: Stasis() returns at once, and callers go the unverified way.",
)  # fmt: skip
ARI_UNREAD = Kind(
    "ari-unread", Grade.FAULT,
    "Asterisk could not read ari.conf",
    "ARI is off until it can, and no call is verified. It may have worked until Asterisk was started anew.",
)  # fmt: skip
ARI_LOGIN = Kind(
    "ari-login", Grade.FAULT,
    "ARI refuses user or password",
    "The worker cannot start.",
)  # fmt: skip
ARI_READ_ONLY = Kind(
    "ari-read-only", Grade.FAULT,
    "The ARI user may only read",
    "The worker could see calls, and do nothing with them.",
)  # fmt: skip
ARI_IN_CLEAR = Kind(
    "ari-in-clear", Grade.FAULT,
    "ARI is spoken over a network without TLS",
    "The password, and each key that callers press, go over that network in clear.",
)  # fmt: skip
VERSION = Kind(
    "asterisk-version", Grade.FAULT,
    "Asterisk is too old, or known to be unsafe",
    "It lacks what is used here, or the fixes of the advisories on ARI. The worker does not start.",
)  # fmt: skip
VERSION_ACCEPTED = Kind(
    "asterisk-version-accepted", Grade.ADVICE,
    "Asterisk is too old or unsafe, and the settings accept that",
    "It goes on at your own risk.",
)  # fmt: skip
WORKER = Kind(
    "worker-away", Grade.ADVICE,
    "No worker is connected to Asterisk",
    "Until one is, callers hear a sentence and go the unverified way.",
)  # fmt: skip
FILES = Kind(
    "files-few", Grade.WARNING,
    "Asterisk may open few files",
    "A call that is being verified takes four, and a thread. When none is left, Asterisk takes no calls at all.",
)  # fmt: skip
CALLS = Kind(
    "calls-unlimited", Grade.ADVICE,
    "Asterisk takes as many calls as come",
    "In a flood of more than the machine can carry, those who are being verified wait for many seconds after each key.",
)  # fmt: skip
KINDS = (ARI_AWAY, ARI_UNREAD, ARI_LOGIN, ARI_READ_ONLY, ARI_IN_CLEAR, VERSION, VERSION_ACCEPTED, WORKER, FILES, CALLS)

# What a waiting call costs Asterisk, measured.
FILES_A_CALL = 4
# Calls at once below which it is worth a warning: a system's usual 1024 files are 256 calls.
_FEW_CALLS = 500
_USUAL_FILES = 1024


async def find(
    settings: Settings, asterisk: Asterisk, place: str, ari: Ari, console: Sequence[str]
) -> tuple[Node | None, list[Finding]]:
    """The Asterisk that the settings name, or what keeps us from it."""
    subject = place.strip("[]")
    try:
        info = await ari.request("GET", "asterisk/info")
    except AriError as error:
        if error.status in (401, 403):
            return None, [
                ARI_LOGIN.found(
                    subject, f"{asterisk.url} refuses the user {asterisk.username} ({error.status})",
                    f"# compare {place} username and password_file with /etc/asterisk/ari.conf",
                    "asterisk -rx 'ari show users'", "asterisk -rx 'module reload res_ari.so'",
                )
            ]  # fmt: skip
        if error.certificate is not None:
            return None, [
                ARI_AWAY.found(
                    subject, f"{asterisk.url}: {error.certificate}", f"# {tls.CURE[0].lower()}{tls.CURE[1:]} ({place})"
                )
            ]
        if error.status == 404 and (unread := await _unread(subject, console)) is not None:
            return None, [unread]
        return None, [
            ARI_AWAY.found(
                subject, f"no answer from {asterisk.url} ({error.status or 'nothing there'})",
                "asterisk -rx 'http show status'", "asterisk -rx 'ari show status'",
                f"# start Asterisk, enable http.conf and ari.conf, or mend {place} url",
            )
        ]  # fmt: skip
    match info:
        case {
            "system": {"version": str(version), "entity_id": str(entity)},
            "config": {"default_language": str(language)},
        }:
            match info:
                case {"config": dict(limits)}:
                    files, calls = (_number(limits.get(name)) for name in ("max_open_files", "max_channels"))
                case _:
                    files = calls = None
            seen = await Console.of(entity, console)
            return Node(settings, asterisk, place, ari, version, language, files, calls, seen, entity), []
        case _:
            problem = f"what answers at {asterisk.url} is not ARI"
            return None, [ARI_AWAY.found(subject, problem, f"# name the URL that ends in /ari in {place} url")]


async def _unread(subject: str, command: Sequence[str]) -> Finding | None:
    """Whether the Asterisk of this machine has no settings for ARI."""
    console = await Console.any(command)
    if console is None or await console.told("ari show status", "Error getting ARI configuration") is None:
        return None
    return ARI_UNREAD.found(
        subject, "often it is a second section [general], which must be called [general](+)",
        f"sed -i 's/^\\[general\\]$/[general](+)/' {console.etc}/tillit-ari.conf",
        "asterisk -rx 'module reload res_ari.so'",
        "# if it stays so, see what messages.log says of ari.conf",
    )  # fmt: skip


async def check(node: Node) -> list[Finding]:
    """Version, rights, the worker, and how many calls there is room for."""
    return [*version(node), await _rights(node), *_clear(node), await _worker(node), files(node), calls(node)]


def version(node: Node) -> list[Finding]:
    """Whether it is one that can be trusted with a call."""
    short = re.split(r"[+~]", node.version)[0]
    fault = trouble(node.version)
    if fault is None:
        return [ok(node.subject, f"Asterisk {short}")]
    if node.asterisk.accept_version == short:
        cure = f"# install {supported()}"
        return [VERSION_ACCEPTED.found(node.subject, f"Asterisk {short} {fault}", cure)]
    accept = f'# or write accept_version = "{short}" in {node.place}, at your own risk'
    return [VERSION.found(node.subject, f"Asterisk {short} {fault}", f"# install {supported()}", accept)]


async def _rights(node: Node) -> Finding:
    try:
        # there is no such channel: nothing happens, and who may not write is told so
        await node.ari.request("DELETE", "channels/tillit-doctor")
    except AriError as error:
        if error.status == 403:
            return ARI_READ_ONLY.found(
                node.subject, f"the ARI user {node.asterisk.username} is read_only",
                f"# write read_only = no in its section [{node.asterisk.username}] of /etc/asterisk/ari.conf",
                "asterisk -rx 'module reload res_ari.so'",
            )  # fmt: skip
        if error.status != 404:
            cure = "asterisk -rx 'ari show status'"
            return NOT_LOOKED_AT.found(node.subject, f"ARI does not say whether we may write ({error.status})", cure)
    return ok(node.subject, "ARI answers, and lets us read and write")


def _clear(node: Node) -> list[Finding]:
    url = URL(node.asterisk.url)
    if url.scheme == "https" or loopback(url.host or ""):
        return []
    return [
        ARI_IN_CLEAR.found(
            node.subject, f"{node.place} url is {node.asterisk.url}, which is http:// and not this machine",
            "# give /etc/asterisk/http.conf TLS (see config/asterisk/http.conf) and the url https://",
            "asterisk -rx 'module reload http'",
        )
    ]  # fmt: skip


async def _worker(node: Node) -> Finding:
    try:
        await node.ari.request("GET", f"applications/{node.asterisk.app}")
    except AriError:
        problem = f"Asterisk knows no application {node.asterisk.app}"
        return WORKER.found(node.subject, problem, "systemctl start tillit", "journalctl -u tillit -n 20")
    return ok(node.subject, f"a worker is connected as {node.asterisk.app}")


def files(node: Node) -> Finding:
    """How many calls there is room for."""
    number, says = _limit(node)
    if number is None:
        return ok(node.subject, says)
    calls = number // FILES_A_CALL
    if calls >= _FEW_CALLS:
        return ok(node.subject, f"{says}: room for about {calls} calls that are being verified")
    return FILES.found(
        node.subject, f"{says}: that is the end at about {calls} calls",
        "# write maxfiles = 20000 in the section [options] of /etc/asterisk/asterisk.conf (5000 calls)",
        "# and LimitNOFILE=20000 in the section [Service] of: systemctl edit asterisk",
        "systemctl restart asterisk",
    )  # fmt: skip


def calls(node: Node) -> Finding:
    """How many calls it takes at once, whatever comes."""
    if node.calls:
        return ok(node.subject, f"Asterisk takes {node.calls} calls at once, and refuses more")
    return CALLS.found(
        node.subject, "maxcalls is not set: it takes as many calls as come",
        "# write maxcalls in the section [options] of /etc/asterisk/asterisk.conf: how many calls you carry in the busiest hour, and half as many more",
        "systemctl restart asterisk",
    )  # fmt: skip


def _number(said: object) -> int | None:
    return said if isinstance(said, int) else None


def _limit(node: Node) -> tuple[int | None, str]:
    """How many files it may open, None for as many as it likes; and how that is told."""
    # The console tells what the system lets it have, wherever that comes from; ARI what maxfiles asks for.
    told = (value(node.console.settings, "Maximum open file handles") or "") if node.console else ""
    if told == "Unlimited":
        return None, "Asterisk may open as many files as it likes"
    if found := re.match(r"(\d+)(?: \(is\) (\d+) \(requested\))?$", told):
        asked = f", though maxfiles is {found[2]}: the system lets it have no more" if found[2] else ""
        return int(found[1]), f"Asterisk may open {found[1]} files{asked}"
    if node.files:
        return node.files, f"Asterisk may open {node.files} files"
    return _USUAL_FILES, f"maxfiles is not set, and {_USUAL_FILES} files are usual"

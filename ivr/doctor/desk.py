"""The agents' desk: whether Asterisk tells it who talks with whom, and whether browsers reach it as its address says."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import structlog
from cryptography import x509

from ivr.asterisk.ami import Ami
from ivr.asterisk.exchange import EVENTS
from ivr.asterisk.identity import demand
from ivr.config import Settings, tls
from ivr.doctor.console import Console, value
from ivr.doctor.filters import of_user, read
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node
from ivr.errors import AmiError, ConfigError, Unreachable

AMI_AWAY = Kind(
    "desk-ami-away", Grade.FAULT,
    "AMI does not answer the desk",
    "Nobody knows who talks with whom, and the lock stays shut for all.",
)  # fmt: skip
AMI_LOGIN = Kind(
    "desk-ami-login", Grade.FAULT,
    "AMI refuses the desk's user, or there is none",
    "The desk does not start.",
)  # fmt: skip
AMI_OTHER = Kind(
    "desk-ami-other", Grade.FAULT,
    "AMI of the desk's table belongs to another Asterisk than ARI",
    "The desk does not start: it would take one node's calls for another's.",
)  # fmt: skip
AMI_RIGHTS = Kind(
    "desk-ami-rights", Grade.FAULT,
    "The desk's user of AMI lacks a class",
    "It is not told who talks with whom, or may not do what an agent asks for; the lock stays shut.",
)  # fmt: skip
AMI_MORE = Kind(
    "desk-ami-more", Grade.ADVICE,
    "The desk's user of AMI has classes that it does not need",
    "Whoever has its password has them too.",
)  # fmt: skip
AMI_BUTTONS = Kind(
    "desk-ami-buttons", Grade.ADVICE,
    "The desk's user of AMI lacks what its buttons take",
    "Nobody is verified in mid-call, and no mark is taken away: the buttons say that they may not.",
)  # fmt: skip
AMI_EVENTS = Kind(
    "desk-ami-events", Grade.FAULT,
    "A filter keeps an event from the desk",
    "It takes somebody for joined, or on hold, who is not: the lock opens for the wrong one, or for nobody.",
)  # fmt: skip
CERTIFICATE = Kind(
    "desk-certificate", Grade.FAULT,
    "The desk's certificate will not do",
    "Browsers do not trust it, or the desk does not start.",
)  # fmt: skip
ENDS = Kind(
    "desk-certificate-ends", Grade.WARNING,
    "The desk's certificate ends soon",
    "From then on nobody signs in; a renewed one is read at the desk's next start.",
)  # fmt: skip
AWAY = Kind(
    "desk-away", Grade.ADVICE,
    "The desk does not answer at its address",
    "It is not started, or its name does not lead to it.",
)  # fmt: skip
KINDS = (AMI_AWAY, AMI_LOGIN, AMI_OTHER, AMI_RIGHTS, AMI_MORE, AMI_BUTTONS, AMI_EVENTS, CERTIFICATE, ENDS, AWAY)

READ, WRITE = frozenset({"call"}), frozenset({"reporting"})
"""AMI's classes without which the desk does not work."""
BUTTONS = frozenset({"call", "user"})
"""Those to write that verifying in mid-call takes."""

_SUBJECT = "desk"
_SOON = timedelta(days=14)
# Seconds; a desk on the other side of the world answers in one.
_SECONDS = 5.0


async def check_node(node: Node) -> list[Finding]:
    """Whether this Asterisk tells the desk what it must; nothing where there is no desk."""
    if node.settings.desk.listen is None:
        return []
    subject = node.about(_SUBJECT)
    if node.asterisk.desk is None:
        cure = f"# write the table {node.place[:-1]}.desk], and the user tillit-desk in /etc/asterisk/manager.conf"
        return [AMI_LOGIN.found(subject, f"{node.place[:-1]}.desk] is not written", cure)]
    user = node.asterisk.desk.username
    try:
        log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        ami = Ami.of(node.settings, node.place, name="desk", log=log)
        await ami.open()
    except Unreachable as error:
        return [AMI_AWAY.told(subject, error)]
    except ConfigError as error:
        return [AMI_LOGIN.told(subject, error)]
    try:
        await ami.action("CoreStatus")
        await demand(ami, node.entity)
    except AmiError as error:
        return [_lacking(subject, user, f"may not ask for Asterisk's state ({error.status})")]
    except ConfigError as error:
        return [AMI_OTHER.told(subject, error)]
    finally:
        await ami.close()
    found = [] if node.console is None else await _rights(node.console, user, subject)
    return found or [ok(subject, f"AMI lets {user} in, and tells who talks with whom")]


async def _rights(console: Console, user: str, subject: str) -> list[Finding]:
    shown = await console.told(f"manager show user {user}", "read perm") or ""
    reads, writes = (_classes(value(shown, f"{way} perm") or "") for way in ("read", "write"))
    found = []
    lacking = [*(f"read {name}" for name in READ - reads), *(f"write {name}" for name in WRITE - writes)]
    if shown and lacking:
        found.append(_lacking(subject, user, f"has not {', '.join(sorted(lacking))}"))
    more = [*(f"read {name}" for name in reads - READ), *(f"write {name}" for name in writes - WRITE - BUTTONS)]
    if more:
        found.append(
            AMI_MORE.found(
                subject, f"the AMI user {user} has {', '.join(sorted(more))}",
                f"# take what config/asterisk/manager.conf has not out of the section [{user}]", "asterisk -rx 'manager reload'",
            )
        )  # fmt: skip
    if shown and not lacking and (missing := BUTTONS - writes):
        found.append(
            AMI_BUTTONS.found(
                subject, f"the AMI user {user} has not {', '.join(f'write {name}' for name in sorted(missing))}",
                f"# write = call,reporting,user in the section [{user}] of /etc/asterisk/manager.conf, if agents shall have the buttons",
                "asterisk -rx 'manager reload'",
            )
        )  # fmt: skip
    if kept := _kept(console, user):
        lines = (f"#   eventfilter(action(include),name({name})) =" for name in kept)
        found.append(
            AMI_EVENTS.found(
                subject, f"the AMI user {user} is not told of {', '.join(kept)}",
                f"# write into the section [{user}] of /etc/asterisk/manager.conf:", *lines, "asterisk -rx 'manager reload'",
            )
        )  # fmt: skip
    return found


def _classes(told: str) -> frozenset[str]:
    return frozenset(name for name in told.split(",") if name not in ("", "<none>"))


def _lacking(subject: str, user: str, what: str) -> Finding:
    return AMI_RIGHTS.found(
        subject, f"the AMI user {user} {what}",
        f"# write read and write into the section [{user}] as config/asterisk/manager.conf has them", "asterisk -rx 'manager reload'",
    )  # fmt: skip


def _kept(console: Console, user: str) -> list[str]:
    """The events that surely do not come through the user's filters."""
    try:
        files = [console.file(file.name) or "" for file in sorted(console.etc.glob("manager*.conf"))]
    except OSError:
        return []
    filters = [one for line in of_user(files, user) if (one := read(line)) is not None]
    included = [one for one in filters if not one.exclude]
    return [
        name
        for name in EVENTS
        if (included and all(one.matches(name) is False for one in included))
        or any(one.exclude and one.matches(name) is True for one in filters)
    ]


async def check(settings: Settings) -> list[Finding]:
    """The certificate, and whether the desk answers where browsers look for it."""
    own = settings.desk
    if own.listen is None or own.url is None:
        return []
    found = [] if own.tls_certificate_file is None else _certificate(settings, settings.path(own.tls_certificate_file))
    if not any(finding.name == CERTIFICATE.name for finding in found):
        found.append(await _answers(own.url))
    return found


def _certificate(settings: Settings, file: Path) -> list[Finding]:
    # Imported here: only this needs the pages.
    from ivr.web.certificate import tls_of

    try:
        tls_of(settings)
        own, *_ = x509.load_pem_x509_certificates(file.read_bytes())
    except ConfigError as error:
        return [CERTIFICATE.told(_SUBJECT, error)]
    host = (urlsplit(settings.desk.url or "").hostname or "").lower()
    cure = "# have one issued that is good now, and for this name; then start the desk anew"
    now, ends = datetime.now(UTC), own.not_valid_after_utc
    if not own.not_valid_before_utc <= now < ends:
        return [
            CERTIFICATE.found(
                _SUBJECT, f"{file} is good from {own.not_valid_before_utc:%Y-%m-%d} to {ends:%Y-%m-%d}", cure
            )
        ]
    if not _names(own, host):
        return [CERTIFICATE.found(_SUBJECT, f"{file} is not for {host}, which [desk] url names", cure)]
    if ends - now < _SOON:
        return [ENDS.found(_SUBJECT, f"{file} is good until {ends:%Y-%m-%d}", cure)]
    return [ok(_SUBJECT, f"the certificate is for {host}, and good until {ends:%Y-%m-%d}")]


def _names(certificate: x509.Certificate, host: str) -> bool:
    """Whether it is for this host (RFC 9525: by its alternative names alone)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        own = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
        return bool(own & {host, f"*.{host.partition('.')[2]}"})


async def _answers(url: str) -> Finding:
    try:
        async with (
            asyncio.timeout(_SECONDS),
            aiohttp.ClientSession() as session,
            session.get(f"{url}/healthz", allow_redirects=False) as answer,
        ):
            if answer.status == 200 and await answer.json() == {"alive": True}:
                return ok(_SUBJECT, f"it answers at {url}")
            why = f"something else answers there ({answer.status})"
    except TimeoutError:
        why = "no answer in time"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = tls.fault(error) or type(error).__name__
    return AWAY.found(
        _SUBJECT,
        f"{url}: {why}",
        "systemctl status tillit-desk",
        "# and see where its name leads, and what a proxy before it says",
    )

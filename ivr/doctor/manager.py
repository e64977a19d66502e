"""The manager interface (AMI), where the settings name it: whether it lets the worker in, and what it tells besides ARI."""

from __future__ import annotations

import logging

import structlog

from ivr.asterisk.ami import Ami
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node
from ivr.errors import AmiError, ConfigError, Unreachable

AWAY = Kind(
    "ami-away", Grade.WARNING,
    "The settings name AMI, and it does not answer",
    "The worker does not know which agents are idle, ringing or busy. Verifying goes on.",
)  # fmt: skip
LOGIN = Kind(
    "ami-login", Grade.FAULT,
    "AMI refuses user or password",
    "The worker does not start with a login that is refused.",
)  # fmt: skip
REPORTING = Kind(
    "ami-no-reporting", Grade.WARNING,
    "The worker's user of AMI may not ask",
    "It hears changes alone: who was idle or busy before the worker started is not known.",
)  # fmt: skip
KINDS = (AWAY, LOGIN, REPORTING)

_SUBJECT = "ami"


async def check(node: Node) -> list[Finding]:
    """Whether AMI lets us in and answers; nothing where the settings do not name it."""
    if node.asterisk.ami is None:
        return []
    subject = node.about(_SUBJECT)
    try:
        ami = await opened(node)
    except Unreachable as error:
        return [AWAY.told(subject, error)]
    except ConfigError as error:
        return [LOGIN.told(subject, error)]
    assert ami is not None
    try:
        await ami.action("CoreStatus")
    except AmiError as error:
        user = node.asterisk.ami.username
        return [
            REPORTING.found(
                subject, f"the AMI user {user} may not ask for Asterisk's state ({error.status})",
                f"# write write = reporting in the section [{user}] of /etc/asterisk/manager.conf",
                "asterisk -rx 'manager reload'",
            )
        ]  # fmt: skip
    finally:
        await ami.close()
    return [ok(subject, "it lets us in, and answers")]


async def dialplan(node: Node) -> list[dict[str, str]] | None:
    """Every line of the dialplan, as ShowDialPlan tells it; None where AMI does not."""
    try:
        ami = await opened(node)
    except ConfigError:
        return None  # told of above
    if ami is None:
        return None
    try:
        messages = await ami.action("ShowDialPlan")
    except AmiError:
        return None
    finally:
        await ami.close()
    return [message for message in messages if message.get("Event") == "ListDialplan"]


async def opened(node: Node) -> Ami | None:
    """A login; None where the settings name no AMI. Raises `ConfigError`."""
    if node.asterisk.ami is None:
        return None
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    ami = Ami.of(node.settings, node.place, log=log)
    await ami.open()
    return ami

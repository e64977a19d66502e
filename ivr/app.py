"""Wiring and lifetimes: builds a worker from the settings, runs it, and ends it."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic, time

import uvloop
from structlog.typing import FilteringBoundLogger

from ivr import __version__, agi, logs, sms
from ivr.asterisk.ami import Ami
from ivr.asterisk.ari import Ari
from ivr.asterisk.line import AriLine
from ivr.asterisk.presence import Presence
from ivr.asterisk.telephony import Telephony
from ivr.asterisk.versions import supported, trouble
from ivr.audit.trail import Trail
from ivr.call.policy import policies
from ivr.call.session import Session
from ivr.call.steps import Tools
from ivr.call.verification import House
from ivr.config import Settings, secret_of
from ivr.database import Database
from ivr.errors import AriError, ConfigError, Unavailable, Unreachable, WorkerReplaced
from ivr.prompts import Prompt, languages
from ivr.store.customers import Customers
from ivr.store.live import RedisLive
from ivr.vault import Vault


def run(settings: Settings) -> None:
    """Run a worker until it is told to stop, or replaced. Raises `ConfigError` where it cannot start, `Unreachable` where it could later."""
    log = logs.setup(settings.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, log))


async def _serve(settings: Settings, log: FilteringBoundLogger) -> None:
    async with AsyncExitStack() as stack:
        chosen = policies(settings)
        vault = Vault.open(settings)
        stack.callback(vault.close)
        gateways = sms.in_turn(settings, log)
        stack.push_async_callback(gateways.close)
        database = await Database.open(settings)
        stack.push_async_callback(database.close)
        live = await RedisLive.open(settings)
        stack.push_async_callback(live.close)
        trail = await stack.enter_async_context(Trail(database, settings.worker.name))
        ari = _ari(settings, log)
        await ari.open()
        stack.push_async_callback(ari.close)
        node = await _node(ari, settings, log)
        await _presence(settings, log, stack)
        house = House(
            settings=settings,
            policies=chosen,
            customers=await Customers.open(database, vault),
            live=live,
            trail=trail,
            tools=Tools(settings, live, vault.pins, vault.codes, sms.texts(settings, log, gateways), monotonic),
            wall=time,
            spoken=await _spoken(ari, settings, log),
        )
        telephony = Telephony(
            ari,
            node=node,
            seconds=settings.asterisk.request_seconds,
            country=settings.company.country,
            answer=partial(_answer, house, log),
            marked=partial(live.marked, node),
            disown=partial(live.drop_mark, node),
            log=log,
        )
        await stack.enter_async_context(agi.serving(settings, mark=live.mark, log=log))
        await _until_stopped(ari, telephony, settings, log)


async def _until_stopped(ari: Ari, telephony: Telephony, settings: Settings, log: FilteringBoundLogger) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listening = asyncio.create_task(ari.listen(telephony))
    stopping = asyncio.create_task(stop.wait())
    log.info("worker.started", worker=settings.worker.name, app=settings.asterisk.app, version=__version__)
    await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        log.info("worker.stopping", calls=telephony.calls)
        telephony.evict(Unavailable("the worker is stopping"))
    else:
        # its calls are the other worker's now: let go of them without a word to Asterisk
        log.warning("worker.replaced", app=settings.asterisk.app, cure="give each worker an [asterisk] app of its own")
        telephony.evict(WorkerReplaced(settings.asterisk.app))
    await telephony.drained(settings.worker.shutdown_seconds)
    for task in (listening, stopping):
        task.cancel()
    ended, _ = await asyncio.gather(listening, stopping, return_exceptions=True)
    log.info("worker.stopped")
    if isinstance(ended, Exception) and not isinstance(ended, WorkerReplaced):
        raise ended


async def _answer(house: House, log: FilteringBoundLogger, line: AriLine) -> None:
    await Session(house, line, log.bind(call=line.caller.channel)).run()


def _ari(settings: Settings, log: FilteringBoundLogger) -> Ari:
    asterisk = settings.asterisk
    password = secret_of(settings, "[asterisk] password", asterisk.password_file, asterisk.password_env)
    if password is None:
        raise ConfigError(
            f"{settings.file}: [asterisk] password_file",
            "is missing",
            "Name the file that holds the ARI user's password",
        )
    return Ari(
        url=asterisk.url,
        username=asterisk.username,
        password=password,
        app=asterisk.app,
        seconds=asterisk.request_seconds,
        log=log,
    )


async def _presence(settings: Settings, log: FilteringBoundLogger, stack: AsyncExitStack) -> Presence | None:
    """Who is idle, ringing or busy, where AMI is among the settings. Nobody is verified by it: it may come later, or go."""
    section = settings.asterisk.ami
    if section is None:
        return None
    password = secret_of(settings, "[asterisk.ami] password", section.password_file, section.password_env)
    if password is None:
        raise ConfigError(
            f"{settings.file}: [asterisk.ami] password_file",
            "is missing",
            "Name the file that holds the secret of the user in manager.conf, or remove the table",
        )
    ami = Ami(section, password, log=log, file=settings.file)
    presence = Presence(ami, log)
    await ami.open(patient=True)
    stack.push_async_callback(presence.close)
    stack.push_async_callback(ami.close)
    return presence


async def _node(ari: Ari, settings: Settings, log: FilteringBoundLogger) -> str:
    """The name of this Asterisk, which has been looked at and found good enough."""
    place = f"{settings.file}: [asterisk]"
    try:
        info = await ari.request("GET", "asterisk/info")
    except AriError as error:
        if error.status in (401, 403):
            raise ConfigError(
                f"{place} username, password_file", "Asterisk does not know this user, or not with this password",
                "Compare them with ari.conf",
            ) from None  # fmt: skip
        # whatever its status: an Asterisk that is starting answers 404, and then 503
        raise Unreachable(
            f"{place} url", f"no answer from {settings.asterisk.url} ({error.status or 'nothing there'})",
            "Start Asterisk, enable http.conf and ari.conf, or mend the URL",
        ) from None  # fmt: skip
    match info:
        case {"system": {"version": str(version), "entity_id": str(node)}}:
            pass
        case _:
            raise ConfigError(f"{place} url", "what answers there is not ARI", "Name the URL that ends in /ari")
    fault = trouble(version)
    short = re.split(r"[+~]", version)[0]
    if fault is not None and settings.asterisk.accept_version != short:
        raise ConfigError(
            f"{place} accept_version",
            f"Asterisk {short} {fault}",
            f'Install {supported()}; or write accept_version = "{short}" to go on at your own risk',
        )
    log.info("asterisk.found", version=version, node=node, accepted=fault is not None)
    return node


async def _spoken(ari: Ari, settings: Settings, log: FilteringBoundLogger) -> frozenset[str]:
    """The languages whose prompts Asterisk has, all of them; the company's must be one."""
    known = await ari.request("GET", "sounds")
    assert isinstance(known, list)
    have = {
        (sound["id"], form["language"])
        for sound in known
        if isinstance(sound, dict)
        for form in sound.get("formats", ())
    }
    missing = {
        language: [prompt.value for prompt in Prompt if (f"tillit/{prompt.value}", language) not in have]
        for language in languages()
    }
    own = settings.company.language
    if own not in missing:
        raise ConfigError(
            f"{settings.file}: [company] language",
            f"no prompts are made of {own!r} by scripts/prompts",
            f"Write one of: {', '.join(languages())}",
        )
    if missing[own]:
        raise ConfigError(
            f"{settings.file}: [company] language",
            f"Asterisk lacks {_those(missing[own])} of {own!r}",
            "Type: venv/bin/python scripts/prompts --out SOUNDS, with the folder `sounds` of Asterisk's data directory",
        )
    for language, names in missing.items():
        # nobody has begun to install a language that has none: nothing is amiss
        if 0 < len(names) < len(Prompt):
            cure = "type scripts/prompts --out with Asterisk's folder `sounds`, and start the worker again"
            log.warning("prompts.incomplete", language=language, missing=names, cure=cure)
    spoken = frozenset(language for language, names in missing.items() if not names)
    log.info("prompts.found", languages=sorted(spoken))
    return spoken


def _those(names: list[str]) -> str:
    if len(names) == len(Prompt):
        return "all prompts"
    return f"the prompt{'s' if len(names) > 1 else ''} {', '.join(names)}"

"""`doctor` on a well-made PBX says that all is well; each fault that it knows is made here, found, and mended by its cure."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from rig.ports import HOST, Ports
from rig.state import wait_until

from ivr.asterisk.outpost import Outpost
from ivr.config import load
from ivr.doctor import KINDS, Finding, examine
from tests.contract.ami_server import PASSWORD, USER, AmiServer, message
from tests.contract.ari_log import Log, wait_for
from tests.e2e.doctor_kit import House, manager
from tests.unit.ami_filters import FILTERS, UNSURE

# Advice that a PBX well made may get: its disk is one, its worker and its desk not started; this machine's clock is what it is.
ALLOWED = {"ok", "keys-beside", "worker-away", "clock-free", "desk-away", "desk-app-away"}
MADE_ELSEWHERE = {
    # tests/unit/test_doctor.py: a machine whose clock nobody keeps, and an old Asterisk, cannot be had here
    "clock-free",
    # tests/unit/test_doctor_files.py and test_doctor_agi.py: neither needs an Asterisk
    "worker-rights",
    "agi-listen",
    "asterisk-version",
    "asterisk-version-accepted",
    # tests/contract/test_page_doctor.py: neither do these
    "page-away",
    "page-changed",
    "page-key",
    "page-user",
    # tests/contract/test_peers_doctor.py: a domain that is served, and one that is not
    "peers-settings",
    "peers-away",
    "peers-other",
    "peers-unnumbered",
    # tests/unit/test_doctor_proxy.py: none of them needs an Asterisk
    "proxy-upstream",
    "proxy-certificate",
    "proxy-passing",
    "proxy-unprotected",
    # tests/contract/test_live_sentinel.py: three sentinels, and a Redis with replicas
    "redis-replicas",
    "sentinel-away",
    "sentinels-disagree",
    "sentinel-quorum",
    # tests/contract/test_desk_doctor.py: certificates of all kinds, and a desk that runs
    "desk-certificate",
    "desk-certificate-ends",
    "desk-away",
    # there too: a provider of all kinds
    "oidc-away",
    "oidc-factor",
    # tests/contract/test_eid_doctor.py: providers with certificates of all kinds
    "eid-settings",
    "eid-away",
    "eid-certificate-ends",
    # tests/contract/test_ways_doctor.py: an app's server, a mail server, and pages that offer this and that
    "prove-settings",
    "prove-away",
    "persons-settings",
    "persons-page",
    # tests/e2e/test_stir.py: a carrier that signs
    "attestation-unread",
    "attestation-refuses",
    # tests/unit/test_doctor_push.py: keys, browsers and apps of all kinds
    "push-settings",
    "push-former-key",
    "app-away",
    # tests/unit/test_doctor_webhooks.py: receivers that are there and not
    "program-secret",
    "webhook-away",
    "webhook-late",
    "webhook-given-up",
    # tests/unit/test_audit_retention.py: rows of long ago
    "retention",
}


@pytest.fixture(scope="module")
def well() -> Iterator[House]:
    with House() as made:
        yield made


@pytest.fixture
def house(well: House, request: pytest.FixtureRequest) -> Iterator[House]:
    failed = request.session.testsfailed
    yield well
    well.restore()
    if request.session.testsfailed > failed:
        well.reload()  # a test failed: the next ones shall not


def names(findings: list[Finding]) -> set[str]:
    return {finding.name for finding in findings} - ALLOWED


# ---------------------------------------------------------------- well


def test_a_well_made_pbx_is_well(house: House) -> None:
    done = house.doctor("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("All is well")
    for subject in (
        "keys",
        "database",
        "redis",
        "texts",
        "clock",
        "asterisk",
        "modules",
        "dialplan",
        "secrecy",
        "access",
        "audio",
        "prompts",
        "ami",
    ):
        assert f"\nok       {subject} " in f"\n{done.stdout}", subject
    assert not done.stderr
    # for a pipe: no colours, and nothing but commands wider than a terminal
    assert "\x1b" not in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if "/" not in line)


def test_it_says_the_same_as_json(house: House) -> None:
    done = house.doctor("doctor", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["well"]) == (0, True)
    assert {"ok", "keys-beside", "worker-away"} <= {finding["name"] for finding in told["findings"]} <= ALLOWED
    assert {"subject", "grade", "what", "why", "cure", "name"} == set(told["findings"][0])


async def test_a_worker_that_runs_is_seen(house: House, cold: None) -> None:
    with closing(Ports()) as ports:
        listen = f"{HOST}:{ports.take()}"
        house.write({"agi": {"listen": listen}})
        with house.worker():
            found = await house.look()
            assert "worker-away" not in {finding.name for finding in found}
            assert f"a worker listens on {listen}" in [finding.what for finding in found]
            # there is an application to be told of what is keyed, and Asterisk is let print it
            house.pbx.cli("ari set debug tillit on")
            (debug,) = [finding for finding in await house.look() if finding.name not in ALLOWED]
            assert (debug.name, debug.what) == ("ari-debug", "ari set debug is on for tillit")
            for line in debug.cure:
                house.type(line)
            assert names(await house.look()) == set(), "the cure does not mend it"
        house.write()
    wait_until(lambda: not house.pbx.applications(), 10, "Asterisk to forget the application")
    assert "worker-away" in {finding.name for finding in await house.look()}


def test_something_amiss_ends_with_1_and_secrets_are_not_told(house: House) -> None:
    (house.folder / "keys").chmod(0o755)
    done = house.doctor("doctor")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("1 warning")
    for file in (*(house.folder / "keys").iterdir(), *house.folder.glob("*.password")):
        assert file.read_text().rpartition(":")[2].strip() not in done.stdout + done.stderr


def test_settings_that_cannot_be_read_end_with_2(house: House) -> None:
    house.config.write_text("[company")
    done = house.doctor("doctor")
    assert (done.returncode, done.stdout) == (2, "")
    assert str(house.config) in done.stderr


# ---------------------------------------------------------------- faults


@dataclass(frozen=True)
class Fault:
    """How to make it, what a person does about it besides typing, and what else it brings about."""

    name: str
    make: Callable[[House], object]
    mend: Callable[[House], object] = lambda house: None
    besides: tuple[str, ...] = ()
    typed: bool = True
    told: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.told}".strip()


def edit(
    name: str, file: str, before: str, after: str, reload: str, *, told: str = "", besides: tuple[str, ...] = (),
    tables: dict[str, dict[str, object]] | None = None,
) -> Fault:  # fmt: skip
    """A line of a file of Asterisk's, changed; taken back, what the cure types makes it count. `tables`: the settings for which it is one."""

    def make(house: House) -> None:
        house.replace(house.etc / file, before, after)
        house.pbx.cli(reload)
        if tables:
            house.write(tables)

    return Fault(name, make, lambda house: house.replace(house.etc / file, after, before), besides, told=told)


def added(
    name: str, file: str, text: str, reload: str, *, told: str = "", besides: tuple[str, ...] = (),
    tables: dict[str, dict[str, object]] | None = None,
) -> Fault:  # fmt: skip
    """Text added to a file of Asterisk's. `tables`: the settings for which it is a fault."""

    def make(house: House) -> None:
        with (house.etc / file).open("a") as opened:
            opened.write(text)
        house.pbx.cli(reload)
        if tables:
            house.write(tables)

    return Fault(name, make, House.restore, besides, told=told)


def settings(name: str, *, told: str = "", besides: tuple[str, ...] = (), **tables: dict[str, object]) -> Fault:
    """Settings with these tables laid over."""
    overlay = {table.replace("__", "."): values for table, values in tables.items()}
    return Fault(name, lambda house: house.write(overlay), House.write, besides, told=told)


def mode(name: str, path: str, bits: int, *, besides: tuple[str, ...] = ()) -> Fault:
    """A mode that a file or folder should not have; the cure alone mends it."""
    return Fault(name, lambda house: (house.folder / path).chmod(bits), besides=besides, told=path)


def command(name: str, *commands: str, told: str = "", besides: tuple[str, ...] = ()) -> Fault:
    """Something typed on Asterisk's console; the cure alone mends it."""
    return Fault(name, lambda house: [house.pbx.cli(one) for one in commands], besides=besides, told=told)


def redis(name: str, *words: str, besides: tuple[str, ...] = (), told: str = "", seen: bool = False) -> Fault:
    """Something typed by Redis's administrator; the cure alone mends it. `seen`: our user may ask for more."""

    def make(house: House) -> None:
        with house.redis.as_administrator() as client:
            client.execute_command(*words)
            if seen:
                client.acl_setuser("tillit", enabled=True, commands=["+config|get", "+acl|getuser"])

    return Fault(name, make, besides=besides, told=told)


def dialling_undropped(house: House) -> None:
    house.write(CALLS)
    house.pbx.cli("module unload func_frame_drop.so")


def without_prompts(house: House) -> None:
    sounds = house.pbx.folder / "data" / "sounds" / "en"
    (sounds / "tillit").rename(sounds / "away")


def with_prompts(house: House) -> None:
    sounds = house.pbx.folder / "data" / "sounds" / "en"
    (sounds / "away").rename(sounds / "tillit")


def half_swedish(house: House) -> None:
    sounds = house.pbx.folder / "data" / "sounds"
    (sounds / "sv" / "tillit").mkdir(parents=True)
    shutil.copy(sounds / "en" / "tillit" / "welcome.wav", sounds / "sv" / "tillit")


def no_swedish(house: House) -> None:
    shutil.rmtree(house.pbx.folder / "data" / "sounds" / "sv")


def without_dialplan(house: House) -> None:
    (house.etc / "tillit.conf").unlink()
    house.replace(house.etc / "extensions.conf", '#include "tillit.conf"', "")
    house.pbx.cli("dialplan reload")


def include_again(house: House) -> None:
    house.replace(house.etc / "extensions.conf", "\n\n\n; Where", '\n\n#include "tillit.conf"\n; Where')


def old_keys(house: House) -> None:
    """The keys of another system, well kept."""
    folder = house.folder / "other"
    folder.mkdir(mode=0o700)
    for name in ("master", "hash"):
        other = {"master": "ab", "hash": "cd"}[name]
        (folder / f"{name}.key").touch(0o600)
        (folder / f"{name}.key").write_text(f"tillit-{name}-v1:{other * 4}:{other[0].upper() * 42}A=\n")
    house.write({"keys": {"master_file": "other/master.key", "hash_file": "other/hash.key"}})


def usual_keys(house: House) -> None:
    shutil.rmtree(house.folder / "other")
    house.write()


def capturing(house: House) -> None:
    """SIP messages go to a capture server; no packet leaves this machine."""
    (house.etc / "hep.conf").write_text("[general]\nenabled = yes\ncapture_address = 127.0.0.1:9 ; Homer\n")
    for module in ("res_hep", "res_hep_pjsip"):
        house.pbx.cli(f"module load {module}.so")


def not_capturing(house: House) -> None:
    (house.etc / "hep.conf").unlink()


def another_owner(house: House) -> None:
    os.chown(house.folder / "ari.password", 65534, -1)


SIP = ("dtmf_mode = rfc4733", "reload")
NUMBER = "+46812345678"
# Customers are called, by an endpoint that is there, and at an address that stands in the settings.
CALLS: dict[str, dict[str, object]] = {"calls": {"dial": "PJSIP/agent1/sip:{number}@192.0.2.1", "number": NUMBER}}
BY_TRUNK: dict[str, dict[str, object]] = {"calls": {"dial": "PJSIP/{number}@trunk", "number": NUMBER}}
# A carrier's, at a place that is known.
TRUNK = (
    "\n[trunk](caller-phone)\naors = trunk\ndtmf_mode = rfc4733\n{more}\n[trunk]\ntype = aor\ncontact = sip:192.0.2.1\n"
)
# Codes are told by calls.
SAID: dict[str, dict[str, object]] = {"texts.voice": {**CALLS["calls"]}}
# Proofs are spoken; the page is not started.
SPOKEN: dict[str, dict[str, object]] = {
    "page": {"url": "http://localhost:9"},
    "prove": {"ways": ["spoken"], "published": "08-123 456"},
}
FAULTS = (
    # settings, keys, database
    mode("settings-open", "tillit.toml", 0o666),
    mode("settings-open", ".", 0o777),
    mode("keys", "keys/master.key", 0o644),
    mode("keys", "keys/hash.key", 0o640),
    mode("keys", "keys/audit.key", 0o644),
    Fault("keys", lambda house: (house.folder / "keys/hash.key").unlink(), House.restore, told="missing", typed=False),
    mode("keys-folder", "keys", 0o755),
    Fault("owners", another_owner),
    mode("database-open", "tillit.db", 0o644),
    settings("database", database={"url": "sqlite:///none.db"}, besides=()),
    Fault("keys-other", old_keys, usual_keys),
    # Redis
    settings("redis-away", redis={"url": "redis://127.0.0.1:9/0"}),
    settings("redis-away", redis={"username": "nobody"}, told="refuses us"),
    settings("redis-in-clear", redis={"url": "redis://0.0.0.0:PORT/0", "plain_text": True}, besides=("not-looked-at",)),
    redis("redis-open", "ACL", "SETUSER", "default", "on", "nopass"),
    redis("redis-no-file", "CONFIG", "SET", "appendonly", "no"),
    redis("redis-no-flush", "CONFIG", "SET", "appendfsync", "no", seen=True),
    Fault("redis-no-flush", lambda house: house.replace(house.redis.config, "appendfsync everysec", "appendfsync no"), House.restore, told="by its file"),
    redis("redis-evicts", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
    redis("redis-evicts", "CONFIG", "SET", "maxmemory-policy", "volatile-ttl", told="some"),
    redis("redis-default-user", "ACL", "SETUSER", "default", "-@all", seen=True),
    Fault("redis-default-user", lambda house: house.replace(house.redis.config, "user default off resetpass ~* &* +@all", "user default off"), House.restore, told="by its file"),
    Fault("not-looked-at", lambda house: house.redis.config.rename(house.redis.config.with_name("away")), lambda house: house.redis.config.with_name("away").rename(house.redis.config), told="the settings of Redis", typed=False),
    redis("not-looked-at", "ACL", "SETUSER", "tillit", "-info", told="Redis"),
    # Asterisk
    settings("ari-away", asterisk={"url": "http://127.0.0.1:9/ari"}),
    settings("ari-away", asterisk={"url": "http://127.0.0.1:PORT/static"}, told="not ARI"),
    settings("ari-login", asterisk={"username": "nobody"}),
    settings("ari-login", asterisk={"password_file": "missing"}, told="no password"),
    edit("ari-read-only", "tillit-ari.conf", "read_only = no\ndeny", "read_only = yes\ndeny", "module reload res_ari.so"),
    settings("ari-in-clear", asterisk={"url": "http://0.0.0.0:PORT/ari", "plain_text": True}),
    command("module-missing", "module unload app_channelredirect.so"),
    command("module-missing", "module unload res_ari_playbacks.so", told="of ARI"),
    Fault("dialplan-missing", without_dialplan, include_again),
    edit("dialplan-other", "tillit.conf", "Set(CALLERID(name)=)\n same => n,Set(CALLER_AUTH_STATUS=)", "Set(CALLER_AUTH_STATUS=)", "dialplan reload"),
    edit("dialplan-unused", "extensions.conf", "Gosub(tillit-verify,s,1(main))", "NoOp(soon)", "dialplan reload"),
    edit("dialplan-app", "tillit.conf", "Stasis(tillit,inbound", "Stasis(other,inbound", "dialplan reload"),
    edit("dialplan-app", "tillit.conf", ",^tillit(-|$),offer", ",^other(-|$),offer", "dialplan reload", told="of offers"),
    added("dialplan-open-pattern", "extensions.conf", "\n[open]\nexten => _X.,1,Gosub(tillit-verify,s,1(main))\n", "dialplan reload"),
    added("dialplan-open-pattern", "extensions.conf", "\n[open]\nexten => _[a-z]!,1,Answer()\n same => n(on),Goto(tillit,main,1)\n", "dialplan reload", told="later in it"),
    settings("calls-not-offered", worker={"at_once": 2}),
    command("offer-time", "dialplan set global TILLIT_BROADCAST 1s"),
    command("offer-module", "dialplan set global TILLIT_BROADCAST 1000", "module unload app_stasis_broadcast.so"),
    command("watchdog-differs", "dialplan set global TILLIT_WATCHDOG 30.5"),
    added("recorders", "extensions.conf", "\n[recorded]\nexten => s,1,MixMonitor(a.wav)\n", "dialplan reload"),
    added("recorders", "extensions.conf", '\n[rooms]\nexten => s,1,ExecIf($["${A}" = "b"]?MixMonitor(a.wav))\n same => n,Read(PIN,beep,4)\n same => n,ConfBridge(7)\n', "dialplan reload", told="wrapped, and a room"),
    settings("ami-away", asterisk__ami={"port": 9}),
    settings("ami-login", asterisk__ami={"username": "nobody"}),
    settings("ami-login", asterisk__ami={"password_file": "missing"}, told="no secret"),
    edit("ami-no-reporting", "manager.conf", "read = agent,call\nwrite = reporting", "read = agent,call\nwrite =", "manager reload"),
    settings("desk-ami-away", asterisk__desk={"port": 9}),
    settings("desk-ami-login", asterisk__desk={"username": "nobody"}),
    edit("desk-ami-rights", "manager.conf", "read = call\nwrite = call,reporting,user", "read = call\nwrite =", "manager reload"),
    edit("desk-ami-rights", "manager.conf", "read = call\nwrite = call,reporting,user", "read = user\nwrite = call,reporting,user", "manager reload", told="of reading", besides=("desk-ami-more",)),
    edit("desk-ami-more", "manager.conf", "read = call\nwrite = call,reporting,user", "read = call\nwrite = call,reporting,user,agent", "manager reload"),
    edit("desk-ami-buttons", "manager.conf", "read = call\nwrite = call,reporting,user", "read = call\nwrite = reporting", "manager reload"),
    edit("desk-ami-events", "manager.conf", "name(BridgeLeave)", "name(BridgeMerge)", "manager reload"),
    # who sees keys
    edit("logger-dtmf", "logger.conf", "messages.log => notice,", "messages.log => dtmf,notice,", "logger reload"),
    edit("logger-dtmf", "logger.conf", "console => notice,warning,error", "console => *", "logger reload", told="every level", besides=("logger-debug",)),
    edit("logger-debug", "logger.conf", "messages.log => notice,", "messages.log => debug,notice,", "logger reload"),
    edit("logger-verbose", "logger.conf", "messages.log => notice,", "messages.log => verbose,notice,", "logger reload", tables=SAID),
    edit("logger-verbose", "logger.conf", "messages.log => notice,", "messages.log => *,notice,", "logger reload", told="every level", besides=("logger-dtmf", "logger-debug"), tables=SAID),
    command("debug-on", "core set debug 4"),
    added("sip-debug", "pjsip.conf", "\n[global](+)\ndebug = yes\n", "module reload res_pjsip.so"),
    Fault("sip-capture", capturing, not_capturing),
    edit("cel-dtmf", "cel.conf", "events = CHAN_START,", "events = ALL,CHAN_START,", "module reload cel"),
    edit("cel-dtmf", "cel.conf", "events = CHAN_START,", "events = DTMF,CHAN_START,", "module reload cel", told="alone"),
    added("ami-dtmf", "manager.conf", "\n[wallboard]\nsecret = x1y2z3\nread = call,dtmf\n", "manager reload"),
    added("ami-dtmf", "manager.conf", "\n[wallboard]\nsecret = x1y2z3\nread = all\n", "manager reload", told="all"),
    added("ami-rights", "manager.conf", "\n[wallboard]\nsecret = x1y2z3\nread = call\nwrite = command,originate\n", "manager reload"),
    edit("ami-open", "manager.conf", "bindaddr = 127.0.0.1", "bindaddr = 0.0.0.0", "manager reload"),
    edit("http-open", "http.conf", "bindaddr = 127.0.0.1", "bindaddr = 0.0.0.0", "module reload http"),
    edit("http-sessions", "http.conf", "sessionlimit = 200", "sessionlimit = 50", "module reload http"),
    added("ari-users", "ari.conf", "\n[watcher]\ntype = user\nread_only = yes\npassword = x1y2z3\n", "module reload res_ari.so"),
    Fault("asterisk-files", lambda house: (house.etc / "tillit-ari.conf").chmod(0o644)),
    # sound
    edit("rtp-not-strict", "rtp.conf", "strictrtp = yes", "strictrtp = no", "module reload res_rtp_asterisk.so"),
    edit("dtmf-in-band", "pjsip.conf", "auth = caller-info\ndtmf_mode = info", "auth = caller-info\ndtmf_mode = inband", "module reload res_pjsip.so"),
    edit("dtmf-in-band", "pjsip.conf", "auth = caller-info\ndtmf_mode = info", "auth = caller-info\ndtmf_mode = auto", "module reload res_pjsip.so", told="auto"),
    edit("names-trusted", "pjsip.conf", "auth = caller-info\ndtmf_mode = info", "auth = caller-info\ndtmf_mode = info\ntrust_id_inbound = yes", "module reload res_pjsip.so"),
    added("names-trusted", "pjsip.conf", "\n[trunk](caller-phone)\ntrust_id_inbound = yes\ndtmf_mode = rfc4733\n[trunk]\ntype = identify\nendpoint = trunk\nmatch = 192.0.2.1\n", "module reload res_pjsip.so", told="of a carrier"),
    edit("names-trusted", "pjsip.conf", "aors = agent1\n", "aors = agent1\ntrust_id_inbound = yes\noutbound_auth = agent1\n", "module reload res_pjsip.so", told="that asks us to log in"),
    edit("names-trusted", "pjsip.conf", "aors = agent1\n", "aors = trunk\ntrust_id_inbound = yes\n[trunk]\ntype = aor\ncontact = sip:192.0.2.1\n", "module reload res_pjsip.so", told="whose place is known"),
    settings("calls-trunk", calls={"dial": "PJSIP/{number}@nobody", "number": NUMBER}),
    settings("calls-trunk", texts__voice={"dial": "PJSIP/{number}@nobody", "number": NUMBER}, told="by which codes are told"),
    settings("calls-trunk-away", calls={"dial": "PJSIP/{number}@agent1", "number": NUMBER}, told="that is not registered"),
    added("calls-number", "pjsip.conf", TRUNK.format(more="from_user = account"), "module reload res_pjsip.so", tables=BY_TRUNK),
    added("calls-number-told", "pjsip.conf", TRUNK.format(more="trust_id_inbound = yes\ntrust_connected_line = no"), "module reload res_pjsip.so", tables=BY_TRUNK),
    settings("calls-unsigned", calls=CALLS["calls"], calls__attestations={f'"{NUMBER}"': "A"}),
    edit("dialplan-calls", "tillit.conf", "[tillit-joined]", "[tillit-met]", "dialplan reload", besides=("dialplan-other",), tables=CALLS),
    settings("dialplan-published", besides=("page-away", "page-key"), **SPOKEN),
    added("ami-dialled", "manager.conf", "\n[wallboard]\nsecret = x1y2z3\nread = call\n", "manager reload", tables=CALLS),
    edit("logger-verbose", "logger.conf", "messages.log => notice,", "messages.log => verbose,notice,", "logger reload", told="of numbers", tables=CALLS),
    settings("prove-page", prove={"ways": ["text"]}),
    Fault("module-missing", dialling_undropped, told="of calls from the desk"),
    Fault("prompts-missing", without_prompts, with_prompts),
    Fault("prompts-incomplete", half_swedish, no_swedish),
    # texts
    settings("texts-settings", texts__http={"url": "https://127.0.0.2/send"}, told="private address"),
    settings("texts-settings", texts__http={"secret_file": "missing"}, told="no secret"),
    settings("texts-away", texts__http={"url": "http://127.0.0.1:9/send"}),
    settings("texts-away", texts__http={"url": "http://127.0.0.1:9/send"}, page={"url": "http://localhost:9"}, policies__main={"steps": ["pin"], "level": 1}, besides=("page-away", "page-key"), told="of proofs alone"),
    settings("texts-outbox", texts={"gateway": "outbox"}),
    settings("metrics-open", metrics={"listen": "0.0.0.0:9469", "allow": ["192.0.2.9"]}, told="192.0.2.9"),
)  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_fault_is_found_and_its_cure_mends_it(house: House, fault: Fault) -> None:
    assert names(await house.look()) == set(), "something was amiss before"
    fault.make(house)
    found = await house.look()
    assert names(found) == {fault.name, *fault.besides}
    mine = [finding for finding in found if finding.name == fault.name]
    for finding in mine:
        assert finding.grade is next(kind.grade for kind in KINDS if kind.name == fault.name)
        assert finding.subject and finding.what and finding.why and finding.cure
    fault.mend(house)
    for line in mine[0].cure if fault.typed else ():
        house.type(line)
    assert names(await house.look()) == set(), "the cure does not mend it"


async def test_calls_by_a_trunk_and_a_published_number_are_well(house: House) -> None:
    """A carrier whose place is known, with a number of the account's beside ours, a menu that leads there, and a user who is told no number."""
    for file, text in (
        (
            "pjsip.conf",
            TRUNK.format(more="from_user = account\nsend_pai = yes\ntrust_id_outbound = yes")
            + TRUNK.format(more=f"from_user = {NUMBER[1:]}").replace("trunk", "second"),
        ),
        ("extensions.conf", '\n[menu]\nexten => 3,1,GotoIf($["${NIGHT}" = ""]?tillit-published,s,1)\n'),
        (
            "manager.conf",
            "\n[wallboard]\nsecret = x1y2z3\nread = call\neventfilter(action(exclude),name(DialBegin)) =\n",
        ),
    ):
        with (house.etc / file).open("a") as opened:
            opened.write(text)
    house.pbx.cli("core reload")
    # by the second one with the digit that a carrier wants before it
    second = {"dial": "PJSIP/0{number}@second", "number": NUMBER}
    house.write({**BY_TRUNK, **SPOKEN, "texts.voice": second})
    found = await house.look()
    assert names(found) == {"page-away", "page-key"}
    said = {(finding.subject, finding.what) for finding in found if finding.name == "ok"}
    assert {("calls", f"customers are called by {one}") for one in ("trunk", "second")} <= said
    assert {("dialplan", "menu leads to tillit-published")} <= said
    house.restore()
    house.pbx.cli("core reload")


async def test_a_desk_that_is_connected_is_seen(house: House) -> None:
    house.write(CALLS)
    assert "desk-app-away" in {finding.name for finding in await house.look()}
    settings, log = load(house.config), Log().logger
    outpost = Outpost.of(settings, "[asterisk]", "node", log)
    serving = asyncio.create_task(outpost.serve())
    try:
        await wait_for(lambda: outpost.is_connected, "the application")
        found = await house.look()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    assert "desk-app-away" not in {finding.name for finding in found}
    (said,) = [finding for finding in found if finding.what.startswith("is connected to Asterisk as desk-tillit-")]
    assert said.subject == "desk"
    house.restore()


async def test_a_hint_that_nobody_verifies(house: House) -> None:
    """This Asterisk does not load what verifies."""
    house.pbx.cli("dialplan set global TILLIT_ATTESTATION yes")
    (found,) = [finding for finding in await house.look() if finding.name not in ALLOWED]
    assert found.name == "attestation-unread"
    assert found.what.endswith("Asterisk does not run res_stir_shaken, res_pjsip_stir_shaken")
    house.pbx.cli("dialplan set global TILLIT_ATTESTATION no")
    assert names(await house.look()) == set()


async def test_an_ari_conf_that_cannot_be_read_is_found(house: House) -> None:
    """It worked until Asterisk was started anew."""
    house.replace(house.etc / "tillit-ari.conf", "[general](+)", "[general]")
    house.pbx.cli("module reload res_ari.so")
    house.pbx.restart()
    try:
        (found,) = [finding for finding in await house.look() if finding.name == "ari-unread"]
        for line in found.cure:
            house.type(line)
        assert names(await house.look()) == set(), "the cure does not mend it"
    finally:
        house.restore()


async def test_few_files_for_asterisk_and_calls_without_limit_are_found(house: House) -> None:
    """Both are given to it as it starts."""
    house.replace(house.etc / "asterisk.conf", "maxfiles = 20000", "maxfiles = 1200")
    house.replace(house.etc / "asterisk.conf", "maxcalls = 100000", ";maxcalls")
    house.pbx.restart()
    try:
        (found,) = [finding for finding in await house.look() if finding.name == "files-few"]
        assert "1200 files: that is the end at about 300 calls" in found.what
        assert "maxfiles = 20000" in found.cure[0]
        (found,) = [finding for finding in await house.look() if finding.name == "calls-unlimited"]
        assert "maxcalls" in found.cure[0]
        house.replace(house.etc / "asterisk.conf", "maxfiles = 1200", "")
        house.replace(house.etc / "asterisk.conf", ";maxcalls", "maxcalls = 300")
        house.pbx.restart()
        # without it the system says how many: LimitNOFILE of systemd, or the shell's
        _, most = resource.prlimit(house.pbx.child.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(house.pbx.child.pid, resource.RLIMIT_NOFILE, (12000, most))
        assert names(found := await house.look()) == set()
        assert any("may open 12000 files: room for about 3000 calls" in finding.what for finding in found)
        assert any(finding.what == "Asterisk takes 300 calls at once, and refuses more" for finding in found)
        resource.prlimit(house.pbx.child.pid, resource.RLIMIT_NOFILE, (1024, most))
        assert names(await house.look()) == {"files-few"}
    finally:
        house.restore()
        house.pbx.restart()
    assert names(await house.look()) == set()


def test_clocks_that_differ_are_found(house: House, tmp_path: Path) -> None:
    """Ours is the one that is wrong here: the others' cannot be set."""
    (tmp_path / "sitecustomize.py").write_text("import time\nright = time.time\ntime.time = lambda: right() - 30\n")
    done = house.doctor("doctor", "--json", PYTHONPATH=str(tmp_path))
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["name"].startswith("clock-")]
    found = [finding for finding in found if finding["name"] != "clock-free"]
    assert done.returncode == 1
    assert {finding["name"] for finding in found} == {"clock-asterisk", "clock-redis"}
    for finding in found:
        assert re.search(r"is (29|30|31) s ahead of ours", finding["what"])
        assert finding["why"] and finding["cure"]


async def test_what_is_odd_and_right_is_well(house: House) -> None:
    """What right PBXs have that are not made by the samples."""
    for file, before, after in (
        ("extensions.conf", "Gosub(tillit-verify,s,1(main))", 'GosubIf($["${NIGHT}" = ""]?tillit-verify,s,1(main))'),
        # FreePBX believes the names of its extensions
        ("pjsip.conf", "aors = agent1\n", "aors = agent1\ntrust_id_inbound = yes\n"),
    ):
        house.replace(house.etc / file, before, after)
    with (house.etc / "manager.conf").open("a") as opened:
        # FreePBX's own user has every class, and cannot be given fewer
        filters = "eventfilter(action(include),name(QueueMemberStatus)) ="
        opened.write(f"\n[wallboard]\nsecret = x1y2z3\nread = all\n{filters}\n")
    house.pbx.cli("core reload")
    with house.redis.as_administrator() as client:
        client.config_set("maxmemory-policy", "volatile-lru")  # of no account without a limit
        client.config_set("maxmemory", "0")
    assert names(await house.look()) == set()
    house.restore()
    house.pbx.cli("core reload")


async def test_the_filters_of_ami_do_what_the_doctor_says(house: House) -> None:
    """A user with each set of filters, all logged in while a key is pressed: who is told of it?"""
    users = {f"wallboard{number}": filters for number, filters in enumerate(FILTERS)}
    with (house.etc / "manager.conf").open("a") as opened:
        for user, filters in users.items():
            opened.write("\n".join(("", f"[{user}]", "secret = x1y2z3", "read = all", *FILTERS[filters][0], "")))
    with (house.etc / "extensions.conf").open("a") as opened:
        opened.write("\n[keyed]\nexten => keys,1,SendDTMF(5)\n same => n,Wait(20)\nexten => wait,1,Wait(20)\n")
    house.pbx.cli("core reload")
    warned = {finding.what.split()[3] for finding in await house.look() if finding.name == "ami-dtmf"}
    async with AsyncExitStack() as stack:
        links = {user: await stack.enter_async_context(manager(house, user)) for user in users}
        call = await asyncio.to_thread(
            house.pbx.ari, "POST", "channels?endpoint=Local/keys@keyed/n&extension=wait&context=keyed&priority=1"
        )
        unfiltered, _ = next(iter(links.values()))
        heard = {"wallboard0": await unfiltered.readuntil(b"Event: DTMFEnd")}
        for user, (reader, writer) in links.items():
            # Asterisk tells of what has happened before it answers
            writer.write(b"Action: Ping\r\nActionID: asked\r\n\r\n")
            heard[user] = heard.get(user, b"") + await reader.readuntil(b"ActionID: asked")
        await asyncio.to_thread(house.pbx.ari, "DELETE", f"channels/{call['id']}")
    told = {user for user, text in heard.items() if re.search(rb"Event: DTMF(Begin|End)\r", text)}
    kept = {users[user]: user not in warned for user in users}
    assert kept == {filters: kept for filters, (_, kept) in FILTERS.items()}
    # who is told of keys is warned of; a channel that is not this one is no reason to be sure
    assert {users[user] for user in told - warned} == set()
    assert {users[user] for user in warned - told} == set(UNSURE)
    house.restore()
    house.pbx.cli("core reload")


@pytest.mark.parametrize("program", [None, "echo '  Entity ID: 00:00:00:00:00:01'", "exit 1", "exec sleep 0"])
async def test_what_cannot_be_asked_is_said_to_be_so(house: House, tmp_path: Path, program: str | None) -> None:
    """No console here, that of another Asterisk, or one that lets nobody in: never `ok`."""
    console = tmp_path / "asterisk"
    if program is not None:
        console.write_text(f"#!/bin/sh\n{program}\n")
        console.chmod(0o700)
    for ami in (True, False):
        if not ami:
            house.replace(
                house.config, f'[asterisk.ami]\nport = {house.pbx.ami_port}\npassword_file = "ami.password"\n', ""
            )
        found = await examine(load(house.config), console=[str(console)])
        unseen = [finding for finding in found if finding.name == "not-looked-at"]
        # AMI with the class reporting tells of the dialplan
        hidden = {"secrecy", "access", "audio"} | (set() if ami else {"dialplan"})
        assert {finding.subject for finding in unseen} == hidden
        well = {finding.subject for finding in found if finding.name == "ok"}
        assert ("dialplan" in well, "ami" in well) == (ami, ami)
        assert not {"secrecy", "access"} & well
        assert all(any("-rx" in line for line in finding.cure) for finding in unseen)


async def test_a_console_that_does_not_answer_to_everything(house: House, tmp_path: Path) -> None:
    """What it leaves out is not taken to be well."""
    console = tmp_path / "asterisk"
    for asked, subject in (
        ("cel show status", "secrecy"),
        ("ari show apps", "secrecy"),
        ("manager show users", "access"),
        ("manager show user tillit", "access"),
        ("rtp show settings", "audio"),
    ):
        console.write_text(
            f"#!/bin/sh\ncase \"$*\" in *'{asked}') echo No such command;; *) exec '{house.console}' \"$@\";; esac\n"
        )
        console.chmod(0o700)
        found = await examine(load(house.config), console=[str(console)])
        (unseen,) = [finding for finding in found if finding.name == "not-looked-at"]
        assert unseen.subject == subject
        assert f"-rx '{asked}'" in unseen.cure[-1]
        assert subject == "audio" or subject not in {finding.subject for finding in found if finding.name == "ok"}


async def test_somebody_who_may_read_nothing_hears_so(house: House) -> None:
    """An administrator who has forgotten to become root: findings, and no traceback."""
    settings = load(house.config)
    await examine(settings, console=[str(house.console)])  # every module of Python is loaded by now
    os.seteuid(65534)
    try:
        found = await examine(settings, console=[str(house.console)])
    finally:
        os.seteuid(0)
    assert {"keys", "database", "ari-login", "redis-away"} <= {finding.name for finding in found}


async def test_each_node_is_looked_at(house: House) -> None:
    """The second is the same Asterisk by another address; a third is away."""
    south = {"url": house.pbx.ari_url.replace("127.0.0.1", "localhost"), "password_file": "ari.password"}
    house.write(
        {
            "nodes.south": south,
            "nodes.south.desk": {"port": house.pbx.ami_port, "password_file": "ami.password"},
            "nodes.north": {"url": "http://127.0.0.1:9/ari", "password_file": "ari.password"},
        }
    )
    house.replace(house.etc / "tillit.conf", "Stasis(tillit,inbound", "Stasis(other,inbound")
    house.pbx.cli("dialplan reload")
    found = [(finding.name, finding.subject) for finding in await house.look() if finding.name not in ALLOWED]
    assert found == [
        ("dialplan-app", "dialplan"),
        ("dialplan-app", "dialplan of nodes.south"),
        ("ari-away", "nodes.north"),
    ]
    house.restore()
    house.pbx.cli("dialplan reload")


async def test_the_dialplan_is_the_same_by_ami(house: House) -> None:
    house.write({"asterisk.ami": {"port": house.pbx.ami_port}})
    house.replace(house.etc / "tillit.conf", "Stasis(tillit,inbound", "Stasis(other,inbound")
    house.pbx.cli("dialplan reload")
    found = await examine(load(house.config), console=["/nowhere/asterisk"])
    assert names(found) == {"dialplan-app", "not-looked-at"}
    house.restore()
    house.pbx.cli("dialplan reload")


async def test_the_desks_interface_is_another_asterisks(house: House) -> None:
    async with AmiServer() as other:
        other.rule("Getvar", lambda asked: message(Response="Success", ActionID=asked["ActionID"], Value="02:00"))
        (house.config.parent / "other.password").touch(0o600)
        (house.config.parent / "other.password").write_text(PASSWORD)
        house.write({"asterisk.desk": {"port": other.port, "username": USER, "password_file": "other.password"}})
        (found,) = [one for one in await house.look() if one.name == "desk-ami-other"]
    assert "entity_id 02:00, not " in found.what
    house.restore()


def test_every_finding_has_its_fault() -> None:
    made = {fault.name for fault in FAULTS} | {
        "ari-unread",
        "files-few",
        "calls-unlimited",
        "ari-debug",
        "desk-ami-other",
        "desk-app-away",
        "clock-asterisk",
        "clock-redis",
    }
    assert {kind.name for kind in KINDS} - MADE_ELSEWHERE - {"worker-away", "keys-beside"} == made
    assert len({kind.name for kind in KINDS}) == len(KINDS)

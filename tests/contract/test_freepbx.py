"""docs/freepbx.md on a real Asterisk, between what FreePBX itself calls it by and what it calls.

FreePBX's part is a stand-in of our own (freepbx.conf, freepbx_behind.conf): its names, its order, its variables.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import redis
from rig.ami import Ami
from rig.asterisk import Pbx
from rig.phone import Event
from rig.stage import CHEAP_PINS, Stage
from rig.state import CHECKOUT

from tests.e2e.scene import Scene

pytestmark = pytest.mark.servers

HERE = Path(__file__).parent
PAGE = (CHECKOUT / "docs" / "freepbx.md").read_text()
HEADER = "X-Caller-Auth"
BADGE = r"verified; level=2; methods=pin,sms_code; ref=[a-z0-9]{12}"


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", PAGE)


(DIALPLAN,) = blocks("asterisk")
TRUNK, ARI, CEL, AMI = blocks("ini")
TARGET = re.findall(r"Target `([^`]+)`", PAGE)[0]
HOOKS = set(re.findall(r"(?m)^\[(macro-.+)\]$", (HERE / "freepbx_behind.conf").read_text()))

EXTENSIONS = """
[general]
static = yes
writeprotect = yes

#include extensions_additional.conf
#include extensions_custom.conf
#include extensions_behind.conf

[callers]
exten => _X.,1,Goto(from-trunk,${EXTEN},1)
[agents]
include => from-internal
"""
# As FreePBX makes them: members are Local channels, whose state is that of the extension.
QUEUES = "".join(
    f"\n[{queue}]\nstrategy = ringall\nretry = 1\ntimeout = 20\nringinuse = no\nautofill = yes\n"
    f"member => Local/{extension}@from-queue/n,0,{extension},hint:{hint}@ext-local\n"
    for queue, extension, hint in ((600, 201, 201), (601, 202, 202), (603, 203, 201), (604, 204, 201), (605, 205, 205))
)
ARI_CONF = "[general]\n#include ari_general_additional.conf\n\n#include ari_additional_custom.conf\n"
CEL_CONF = "[general]\n#include cel_general_additional.conf\n#include cel_general_custom.conf\n"
# FreePBX's own user, with all rights, and what is yours behind it
OWN = "7d793037a0760186574b0282f2f435e7"
MANAGER_CONF = f"\n[general](+)\nbindaddr = 0.0.0.0\n[{OWN}]\nsecret = plain\nread = all\nwrite = all\n#include manager_custom.conf\n"
PJSIP_CONF = "\n#include pjsip.endpoint_custom_post.conf\n"
CEL_ALL = "enable=yes\napps=queue\nevents=all\n"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Stage(
        name="freepbx",
        brisk=True,
        settings={**CHEAP_PINS, "policies.main": {"steps": ["pin", "sms_code"], "level": 2, "queue_priority": 7}},
        overrides={"queues.conf": QUEUES, "manager.conf": MANAGER_CONF, "pjsip.conf": PJSIP_CONF},
    )
    etc = made.pbx.folder / "etc"
    (etc / "manager_custom.conf").write_text(AMI.replace("THE-USER", OWN))
    (etc / "pjsip.endpoint_custom_post.conf").write_text(TRUNK.replace("THE-TRUNK", "caller"))
    (etc / "tillit.conf").write_text((CHECKOUT / "dialplan" / "tillit.conf").read_text())
    (etc / "extensions.conf").write_text(EXTENSIONS)
    (etc / "extensions_additional.conf").write_text((HERE / "freepbx.conf").read_text().replace("TARGET", TARGET))
    (etc / "extensions_custom.conf").write_text(DIALPLAN)
    (etc / "extensions_behind.conf").write_text((HERE / "freepbx_behind.conf").read_text())
    (etc / "ari.conf").write_text(ARI_CONF)
    (etc / "ari_general_additional.conf").write_text("enabled=yes\n")
    (etc / "ari_additional_custom.conf").write_text(
        ARI.replace("THE-LINE-IN-ARI.PASSWORD", made.pbx.ari_password),
    )
    (etc / "cel.conf").write_text(CEL_CONF)
    (etc / "cel_general_additional.conf").write_text(CEL_ALL)
    (etc / "cel_general_custom.conf").write_text(CEL)
    with made:
        yield made


@pytest.fixture
async def scene(stage: Stage) -> AsyncIterator[Scene]:
    for text in stage.outbox.glob("*.json"):
        text.unlink()
    with redis.Redis(port=stage.redis.port, password=stage.redis.password) as client:
        client.flushdb()
    assert load(stage.pbx, DIALPLAN) == []
    with stage.worker(f"worker{time.monotonic_ns()}") as worker:
        async with AsyncExitStack() as stack:
            ami = await stack.enter_async_context(Ami(stage.pbx))
            made = Scene(stage, worker, stack, ami)
            yield made
        await made.idle()


# ---------------------------------------------------------------- read by Asterisk


def load(pbx: Pbx, dialplan: str) -> list[str]:
    """Put this into extensions_custom.conf; everything that is wrong with it."""
    (pbx.folder / "etc" / "extensions_custom.conf").write_text(dialplan)
    since = len(pbx.said())
    pbx.cli("dialplan reload")
    lines = pbx.said(since).splitlines()
    said = [line.split("] ", 1)[-1] for line in lines if re.search(r"\] (WARNING|ERROR)\[", line)]
    # FreePBX's own hooks come behind ours and are empty: each is refused, and the page says so
    hooks = {found[1] for line in said if (found := re.search(r"'s' priority 1 in '(.+?)', already in use", line))}
    wrong = [line.strip() for line in said if not re.search("already in use|extensions_behind[.]conf", line)]
    wrong += [f"FreePBX has no hook {hook}, or ours has another name" for hook in sorted(HOOKS ^ hooks)]
    return wrong + list(unknown(pbx, dialplan))


def unknown(pbx: Pbx, dialplan: str) -> Iterator[str]:
    """Whatever it names and Asterisk does not have."""
    context = exten = ""
    lines: dict[str, int] = {}
    for line in dialplan.splitlines():
        if head := re.fullmatch(r"\[([\w-]+)\]", line):
            lines[context := head[1]] = 0
        elif line.strip() and not line.startswith((";", "#")):
            lines[context] = lines.get(context, 0) + 1
            entry = re.fullmatch(r"(?:exten => (\w+),1| same => n)(?:\(\w+\))?,(\w+)\((.*)\)", line)
            if entry is None:
                yield f"cannot be read: {line}"
                continue
            exten = entry[1] or exten
            applications = {entry[2], *re.findall(r"[?:](\w+)\(", line)}
            yield from (name for name in applications if not known(pbx, "application", name))
            functions = set(re.findall(r"\$\{(\w+)\(|Set\((\w+)\(", line))
            yield from (name for pair in functions for name in pair if name and not known(pbx, "function", name))
            yield from (f"no {place}" for place in places(entry[2], entry[3], context, exten) if not there(pbx, place))
    for name, count in lines.items():
        shown = len(re.findall(r"\d+\. \w+\(", pbx.cli(f"dialplan show {name}")))
        if shown != count:
            yield f"[{name}] has {count} lines, and Asterisk took {shown}"
    if not there(pbx, TARGET):
        yield f"no {TARGET}, the target of the custom destination"


def known(pbx: Pbx, kind: str, name: str) -> bool:
    return "-= Info" in pbx.cli(f"core show {kind} {name}")


def places(application: str, arguments: str, context: str, exten: str) -> Iterator[str]:
    """Where a line goes, as CONTEXT,EXTENSION,PRIORITY."""
    targets = []
    if application in ("Goto", "Gosub"):
        targets = [arguments]
    elif application in ("GotoIf", "GosubIf"):
        targets = re.split(r":(?![^(]*\))", arguments.rpartition("?")[2])
    for target in targets:
        parts = target.partition("(")[0].split(",")
        yield ",".join([context, exten][: 3 - len(parts)] + parts)


def there(pbx: Pbx, place: str) -> bool:
    context, exten, priority = place.split(",")
    shown = pbx.cli(f"dialplan show {exten}@{context}")
    wanted = rf" {priority}\. \w+\(" if priority.isdecimal() else rf"\[{re.escape(priority)}\] +\d+\. \w+\("
    return re.search(wanted, shown) is not None


def test_asterisk_takes_every_line_and_knows_every_name(stage: Stage) -> None:
    assert load(stage.pbx, DIALPLAN) == []
    assert len(HOOKS) == 4


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("tillit-verify,s,1(main)", "tillit-verfy,s,1(main)"),
        ("?verified)", "?verfied)"),
        ("Goto(ext-queues,601,1)", "Goto(ext-queue,601,1)"),
        ("Goto(ext-queues,601,1)", "Goto(ext-queues,601,2)"),
        ("StackPop()", "StackPopp()"),
        ("HASH(__SIPHEADERS,X-Caller-Auth)=unset", "HASCH(__SIPHEADERS,X-Caller-Auth)=unset"),
        ("exten => s,1,Gosub(tillit-verify", "exten = > s,1,Gosub(tillit-verify"),
        ("n(verified),Return()", "n(verified) Return()"),
        ("tillit-freepbx-badge,s,none", "tillit-freepbx-badge,s,nobody"),
        ("[macro-dialout-one-predial-hook]", "[macro-dial-one-predial-hook]"),
        ("[tillit-freepbx]", "[tillit-freepbx"),
        ("[tillit-freepbx]", "[tillit-freepbx-too]"),
        ('#include "tillit.conf"', '#include "tilit.conf"'),
        ("Set(CALLERID(name)=)", "Set(CALLERID(name)="),
    ],
)
def test_a_fault_in_it_is_found(stage: Stage, right: str, wrong: str) -> None:
    assert right in DIALPLAN
    assert load(stage.pbx, DIALPLAN.replace(right, wrong, 1)) != []


def test_the_user_of_ari_is_the_pages_and_may_come_from_this_machine_alone(stage: Stage) -> None:
    assert stage.pbx.ari("GET", "asterisk/info")["system"]["version"]
    assert re.search(r"Read only\?:\s+No", stage.pbx.cli("ari show user tillit"))
    assert re.search(r"(?m)^deny = 0\.0\.0\.0/0\.0\.0\.0,::/0$", ARI)


def test_call_events_are_off_and_a_shorter_list_would_not_do(stage: Stage) -> None:
    pbx = stage.pbx
    assert "CEL Logging: Disabled" in pbx.cli("cel show status")
    custom = pbx.folder / "etc" / "cel_general_custom.conf"
    try:
        custom.write_text("events = HANGUP\n")
        pbx.cli("module reload cel")
        assert "CEL Tracking Event: DTMF" in pbx.cli("cel show status")
    finally:
        custom.write_text(CEL)
        pbx.cli("module reload cel")
    assert "CEL Logging: Disabled" in pbx.cli("cel show status")


def test_a_trunk_that_is_trusted_cannot_change_names(stage: Stage) -> None:
    shown = stage.pbx.cli("pjsip show endpoint caller")
    assert re.search(r"(?m)^ *trust_connected_line +: (no|false)$", shown)
    assert re.search(r"(?m)^ *context +: callers$", shown), "FreePBX's own lines are in force as before"
    assert re.search(r"(?m)^ *trust_connected_line +: (yes|true)$", stage.pbx.cli("pjsip show endpoint agent1"))


def test_lines_for_a_trunk_that_is_gone_stop_pjsip_from_being_read(stage: Stage) -> None:
    """The page warns of it."""
    custom = stage.pbx.folder / "etc" / "pjsip.endpoint_custom_post.conf"
    ours, since = custom.read_text(), len(stage.pbx.said())
    try:
        custom.write_text(TRUNK)
        stage.pbx.cli("module reload res_pjsip.so")
        assert "Category addition requested, but category 'THE-TRUNK' does not exist" in stage.pbx.said(since)
        assert "caller" in stage.pbx.cli("pjsip show endpoint caller")
    finally:
        custom.write_text(ours)
        stage.pbx.cli("module reload res_pjsip.so")


@pytest.mark.parametrize("followed", [True, False], ids=["as-the-page-has-it", "without"])
async def test_freepbxs_own_user_of_ami_hears_no_keys(scene: Scene, followed: bool) -> None:
    pbx = scene.stage.pbx
    custom = pbx.folder / "etc" / "manager_custom.conf"
    custom.write_text(AMI.replace("THE-USER", OWN) if followed else AMI.partition("[THE-USER]")[0])
    pbx.cli("manager reload")
    assert re.search(r"TCP Bindaddress: +127\.0\.0\.1:", pbx.cli("manager show settings"))
    shown = pbx.cli(f"manager show user {OWN}")
    assert re.search(r"read perm: .*(all|dtmf)", shown), "its rights are in force as before"
    async with Ami(pbx, OWN, "plain") as ami:
        await verify(scene)
        await ami.user_event("Queued")
        heard = {message.get("Event", "") for message in ami.messages}
    assert "Newchannel" in heard
    assert {name for name in heard if name.startswith("DTMF")} == (set() if followed else {"DTMFBegin", "DTMFEnd"})


# ---------------------------------------------------------------- the doctor's cures


def test_every_file_of_the_doctors_cures_has_its_place_in_freepbx() -> None:
    sources = "".join(file.read_text() for file in (CHECKOUT / "ivr" / "doctor").glob("*.py"))
    named = set(re.findall(r"/etc/asterisk/(\w+\.conf)", sources)) - {"tillit.conf"}
    table = PAGE.partition("| The cure names |")[2].partition("\n\n")[0]
    assert named == set(re.findall(r"(?m)^\| (\w+\.conf)", table))


# ---------------------------------------------------------------- calls


async def verify(scene: Scene, number: str = "100") -> None:
    """A caller who is verified, and on in FreePBX's queue."""
    await scene.verified(number)
    queued = await scene.ami.user_event("Queued")
    assert (queued["Queue"], queued["Status"], queued["Below"]) == (f"6{number[1:]}", "verified", "")


def assert_marked(invite: Event) -> None:
    assert len(invite.headers(HEADER)) == 1
    assert re.fullmatch(BADGE, invite.headers(HEADER)[0])
    assert invite["name"] == "✔ Anna A."


def assert_unmarked(invite: Event) -> None:
    assert invite.header(HEADER) is None
    assert "✔" not in invite["name"]


@pytest.mark.parametrize("number", ["100", "103", "104"], ids=["extension", "ring-group", "hunt-group"])
async def test_the_members_phone_shows_the_mark(scene: Scene, number: str) -> None:
    member = await scene.phone("agent1")
    await verify(scene, number)
    assert_marked(await member.incoming())
    await member.answer()


async def test_who_is_not_verified_comes_to_the_other_queue_without_a_mark(scene: Scene) -> None:
    scene.worker.stop()
    member = await scene.phone("agent2")
    await scene.caller("100", name="✔ Anna A.", headers={HEADER: "verified; level=3"})
    queued = await scene.ami.user_event("Queued")
    # nothing of the custom destination's Gosub is left behind
    assert (queued["Queue"], queued["Status"], queued["Below"]) == ("601", "unavailable", "")
    assert_unmarked(await member.incoming())


async def test_a_mark_that_has_ended_is_not_shown(scene: Scene) -> None:
    member = await scene.phone("agent1")
    await member.call("999")
    await member.until("confirmed")
    await verify(scene)
    pbx = scene.stage.pbx
    await scene.until(lambda: "prio: 7" in pbx.cli("queue show 600"), "the caller to wait")
    channel = re.findall(r"PJSIP/caller-\w+", pbx.cli("queue show 600"))[0]
    pbx.cli(f"dialplan set chanvar {channel} __TILLIT_BADGE_EXPIRES 1")
    await member.hang_up()
    invite = await member.incoming()
    assert_unmarked(invite)
    assert invite["name"] == ""


async def test_a_telephone_outside_is_told_nothing(scene: Scene) -> None:
    """An extension that is forwarded to a trunk: the header that was for the extension goes no further."""
    outside = await scene.phone("agent3")
    await verify(scene, "105")
    assert (await outside.incoming()).header(HEADER) is None


@pytest.mark.parametrize(
    ("right", "wrong", "shown"),
    [
        # the page says not to: the value is cut at its first comma
        (
            "Set(HASH(__SIPHEADERS,X-Caller-Auth)=${TILLIT_BADGE})",
            "Gosub(func-set-sipheader,s,1(X-Caller-Auth,${TILLIT_BADGE}))",
            "verified; level=2; methods=pin",
        ),
        ("[macro-dialout-one-predial-hook]", "[macro-dial-one-predial-hook]", None),
    ],
)
async def test_a_fault_is_seen_in_a_call(scene: Scene, right: str, wrong: str, shown: str | None) -> None:
    load(scene.stage.pbx, DIALPLAN.replace(right, wrong))
    member = await scene.phone("agent1")
    await verify(scene)
    assert (await member.incoming()).header(HEADER) == shown


async def test_without_the_hook_for_trunks_the_header_would_leave_the_house(scene: Scene) -> None:
    hook = "exten => s,1,Gosub(tillit-freepbx-badge,s,none)"
    load(scene.stage.pbx, DIALPLAN.replace(hook, "exten => s,1,NoOp(nothing)"))
    outside = await scene.phone("agent3")
    await verify(scene, "105")
    assert re.fullmatch(BADGE, (await outside.incoming()).header(HEADER) or "")

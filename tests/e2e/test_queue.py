"""A real Queue() with two members: what their phones show, and who is served first."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from rig.phone import Event, Phone
from rig.stage import BO

from tests.e2e.scene import Scene

CHECKOUT = Path(__file__).resolve().parents[2]
HEADER = "X-Caller-Auth"


def before_and_after() -> tuple[str, str]:
    """The dialplan that docs/dialplan.md begins with, and what becomes of it; without the #include, which the stage has."""
    page = (CHECKOUT / "docs" / "dialplan.md").read_text()
    (change,) = re.findall(r"(?ms)^```diff\n(.*?)^```", page)
    lines = [line for line in change.replace("from-trunk", "callers").splitlines() if "#include" not in line]
    before = [line[1:] for line in lines if not line.startswith("+")]
    after = [line[1:] for line in lines if not line.startswith("-")]
    return "\n".join(before), "\n".join(after)


BEFORE, AFTER = before_and_after()

SETTINGS = {"policies.first": {"steps": ["pin", "sms_code"], "level": 2, "queue_priority": 10}}
STAGE = {
    "dialplan": f"""
{AFTER}

; the same lines with other policies: one with a priority, and one that nobody has written, so that nobody is verified
{AFTER.replace("exten => 100", "exten => 300").replace("(main)", "(first)")}
{AFTER.replace("exten => 100", "exten => 400").replace("(main)", "(nobody-wrote-this)")}

; what stood there before
{BEFORE.replace("exten => 100", "exten => 500")}

[callers]
; a mark that ends while the caller waits
exten => 600,1,Gosub(tillit-verify,s,1(main))
 same => n,Set(__TILLIT_BADGE_EXPIRES=$[${{EPOCH}} + 1])
 same => n,UserEvent(Waiting,Badge: ${{TILLIT_BADGE}},Expires: ${{TILLIT_BADGE_EXPIRES}})
 same => n,Queue(support,b(tillit-badge^s^1))
; an administrator's own priorities, better and worse than the policy's
exten => _7XX,1,Set(QUEUE_PRIO=${{EXTEN:1}})
 same => n,Gosub(tillit-verify,s,1(first))
 same => n,UserEvent(Placed,Priority: ${{QUEUE_PRIO}})
 same => n,MusicOnHold(default,60)
; verified, and then not: what the first brought is taken back
exten => 900,1,Set(QUEUE_PRIO=4)
 same => n,Gosub(tillit-verify,s,1(first))
 same => n,UserEvent(Placed,Priority: ${{QUEUE_PRIO}})
 same => n,Gosub(tillit-verify,s,1(nobody-wrote-this))
 same => n,UserEvent(PutBack,Priority: ${{QUEUE_PRIO}})
 same => n,MusicOnHold(default,60)

[unverified]
exten => s,1,Queue(support,b(tillit-badge^s^1))

[agents]
exten => 701,1,Dial(PJSIP/agent3,20,b(tillit-badge^s^1))
exten => 999,1,Answer()
 same => n,Echo()
"""
}


async def members(scene: Scene) -> tuple[Phone, Phone]:
    return await scene.phone("agent1"), await scene.phone("agent2")


async def busy_members(scene: Scene) -> tuple[Phone, Phone]:
    """Both talk, and the queue knows it."""
    phones = await members(scene)
    for phone in phones:
        await phone.call("999")
        await phone.until("confirmed")
    await scene.until(lambda: scene.stage.pbx.cli("queue show support").count("(In use)") == 2, "both members busy")
    return phones


def waiting(scene: Scene) -> list[int]:
    """The priorities of those who wait, in the queue's order."""
    callers = scene.stage.pbx.cli("queue show support").partition("Callers:")[2]
    return [int(priority) for priority in re.findall(r"prio: (\d+)", callers)]


def marked(invite: Event) -> bool:
    """Whether the phone shows the mark; all of it, or nothing of it."""
    header, name = invite.header(HEADER), invite["name"]
    if header is None:
        assert "✔" not in name, name
        return False
    assert re.fullmatch(r"verified; level=2; methods=pin,sms_code; ref=[a-z0-9]{12}", header), header
    assert invite.headers(HEADER) == [header]
    assert name == "✔ Anna A."
    return True


async def test_three_lines_are_added_and_one_gets_an_option() -> None:
    """What the page says of the dialplan that an administrator has."""
    page = (CHECKOUT / "docs" / "dialplan.md").read_text()
    (change,) = re.findall(r"(?ms)^```diff\n(.*?)^```", page)
    lines = [line.rstrip() for line in change.splitlines() if line.strip("+ ")]
    removed = [line[1:] for line in lines if line.startswith("-")]
    added = [line[1:] for line in lines if line.startswith("+")]
    assert removed == [" same => n,Queue(support)"]
    assert added[-1] == " same => n,Queue(support,b(tillit-badge^s^1))"
    assert len(added) == 3 + 1
    # in their order: nothing was moved
    kept = [line for line in BEFORE.splitlines() if line.strip() and line not in removed]
    assert [line for line in AFTER.splitlines() if line in kept] == kept
    # and the README says the same
    readme = (CHECKOUT / "README.md").read_text()
    for line in added:
        assert line.strip().split("Gosub")[-1] in readme, line


async def test_the_dialplan_before_brings_callers_to_the_members_without_a_mark(scene: Scene) -> None:
    one, two = await members(scene)
    # nothing answers this call but a member
    caller = await scene.phone("caller")
    await caller.call("500", name="✔ Anna A.", headers={HEADER: "verified; level=3"})
    for phone in (one, two):
        assert (await phone.incoming()).header(HEADER) is None


async def test_every_member_whose_phone_rings_sees_the_mark(scene: Scene) -> None:
    one, two = await members(scene)
    caller = await scene.verified()
    for phone in (one, two):
        assert marked(await phone.incoming())
    await two.answer()
    await one.until("disconnected")
    await two.play_tone(700)
    await caller.hears(700)
    assert len(scene.marks()) == 1


async def test_an_unverified_caller_brings_no_mark_to_a_member(scene: Scene) -> None:
    one, two = await members(scene)
    caller = await scene.caller("100", name="✔ Anna A.", headers={HEADER: "verified; level=3"})
    for count in (1, 2, 3):
        await scene.asked("pin", count)
        await caller.send_digits("9999#")
    for phone in (one, two):
        assert not marked(await phone.incoming())
    assert scene.marks() == []


@pytest.mark.parametrize(("extension", "served_first"), [("300", "verified"), ("100", "the one who came first")])
async def test_who_is_served_first(scene: Scene, extension: str, served_first: str) -> None:
    """Both members talk, an unverified caller waits, and a verified one comes."""
    one, two = await busy_members(scene)
    await scene.caller("400", who=BO)
    await scene.until(lambda: waiting(scene) == [0], "the unverified caller to wait")
    await scene.verified(extension)
    order = [10, 0] if served_first == "verified" else [0, 0]
    await scene.until(lambda: waiting(scene) == order, f"two to wait as {order}")
    await one.hang_up()
    assert marked(await one.incoming()) is (served_first == "verified")
    await one.answer()
    await two.hang_up()
    assert marked(await two.incoming()) is (served_first != "verified")


@pytest.mark.parametrize(("own", "becomes"), [("20", "20"), ("10", "10"), ("05", "10")])
async def test_a_priority_of_the_administrators_is_never_lowered(scene: Scene, own: str, becomes: str) -> None:
    await scene.verified(f"7{own}")
    assert (await scene.ami.user_event("Placed"))["Priority"] == becomes


async def test_a_priority_is_taken_back_from_who_is_then_not_verified(scene: Scene) -> None:
    await scene.verified("900")
    assert (await scene.ami.user_event("Placed"))["Priority"] == "10"
    assert (await scene.ami.user_event("PutBack"))["Priority"] == "4"


async def test_a_mark_that_ends_in_the_queue_is_shown_to_nobody(scene: Scene) -> None:
    one, _ = await busy_members(scene)
    await scene.verified("600")
    told = await scene.ami.user_event("Waiting")
    assert told["Badge"].startswith("verified")
    await scene.until(lambda: waiting(scene) == [0], "the caller to wait")
    await scene.until(lambda: time.time() >= int(told["Expires"]) + 1, "the mark's end")
    await one.hang_up()
    invite = await one.incoming()
    assert not marked(invite)
    assert invite["name"] == ""


async def test_a_member_sends_the_caller_on_to_a_colleague(scene: Scene) -> None:
    one, two = await members(scene)
    colleague = await scene.phone("agent3")
    caller = await scene.verified()
    await one.incoming()
    await two.incoming()
    await one.answer()
    await two.until("disconnected")
    # not sooner: who is not bridged yet cannot be transferred
    await one.play_tone(700)
    await caller.hears(700)
    await one.transfer("701")
    assert marked(await colleague.incoming())
    await colleague.answer()
    await one.until("disconnected")
    await colleague.play_tone(1100)
    await caller.hears(1100)
    assert len(scene.marks()) == 1


async def test_a_member_asks_a_colleague_first(scene: Scene) -> None:
    """The enquiry is the member's own call: no mark is shown for it. The caller keeps hers."""
    one, _ = await members(scene)
    colleague = await scene.phone("agent3")
    caller = await scene.verified()
    await one.incoming()
    await one.answer()
    first = one.current
    enquiry = await one.call("701")
    assert not marked(await colleague.incoming())
    await colleague.answer()
    await one.until("confirmed", call=enquiry)
    # they are bridged, and not only answered
    await one.play_tone(500, call=enquiry)
    await colleague.hears(500)
    await one.transfer(to_call=enquiry, call=first)
    await colleague.play_tone(1100)
    await caller.hears(1100)
    assert len(scene.marks()) == 1

"""Parts go away in mid-call and come back: what the caller hears, what the agent sees, what the audit trail says."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import pytest
from rig.ami import Ami
from rig.disk import Disk
from rig.phone import Phone
from rig.proxy import Wire
from rig.stage import ANNA, BO, CHEAP_PINS, Stage
from rig.worker import Worker

from tests.e2e.scene import Scene

SECONDS = 1.0


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """Where the database lies, and which can be filled."""
    with Disk(tmp_path_factory.mktemp("disk") / "small", "16m") as made:
        yield made


@pytest.fixture(scope="module")
def stage(disk: Disk) -> Iterator[Stage]:
    file = disk.folder / "tillit.db"
    settings = {
        **CHEAP_PINS,
        "asterisk": {"request_seconds": 2.0},
        "redis": {"request_seconds": SECONDS},
        "database": {"url": f"sqlite:///{file}", "request_seconds": SECONDS},
    }
    made = Stage(settings=settings, name="outages", brisk=True)
    made.database = file
    with made:
        yield made


@pytest.fixture
def wire(stage: Stage) -> Iterator[Wire]:
    """Between the worker and Asterisk."""
    with Wire(stage.pbx.http_port) as wire:
        stage.write_config({"asterisk": {"url": f"http://127.0.0.1:{wire.port}/ari", "request_seconds": SECONDS}})
        yield wire
    stage.write_config()


@pytest.fixture
def worker(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Worker]:
    port = request.getfixturevalue("wire").port if "wire" in request.fixturenames else None
    with stage.worker(request.node.name, port=port) as running:
        yield running


async def asked_for_the_code(scene: Scene) -> tuple[Phone, str]:
    """A caller in mid-call: the PIN is passed, and the code has come."""
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    return caller, await scene.code()


async def sent_on(scene: Scene, caller: Phone, desk: Phone) -> None:
    """The caller hears something, and whoever answers sees nobody who was verified."""
    await scene.reached("unverified", Status="unavailable", Level="0")
    await caller.hears()
    invite = await desk.incoming()
    assert invite.header("X-Caller-Auth") is None and "✔" not in invite["name"]
    assert scene.marks() == [] and scene.ami.events("CallerAuthenticated") == []


async def asked_anew(scene: Scene) -> None:
    """Wait until the worker is connected again, and the caller has been asked once more after an apology."""
    await scene.logged("ari.connected", 2, limit=30)

    def asked() -> bool:
        said = [line["event"] for line in scene.log() if line["event"] in ("entry.interrupted", "entry.asked")]
        return "entry.interrupted" in said and said[-1] == "entry.asked"

    await scene.until(asked, "the question once more", 20)


def outcomes(scene: Scene) -> list[str]:
    """What the audit trail says of the calls of this worker, in their order."""
    calls = {line["call"] for line in scene.log("call.started")}
    return [row["outcome"] for row in scene.audit() if row["call"] in calls]


async def test_redis_restarted_between_two_keys_is_not_noticed(scene: Scene) -> None:
    caller, code = await asked_for_the_code(scene)
    await caller.send_digits(code[:3])
    await scene.logged("entry.key", entry="sms_code", keys=3)
    scene.stage.redis.kill()
    scene.stage.redis.start()
    await caller.send_digits(code[3:])
    await scene.reached("verified", Status="verified", Level="2")
    assert len(scene.marks()) == 1 and len(scene.stage.texts(ANNA.phones)) == 1
    assert outcomes(scene) == ["verified"]


async def test_redis_that_is_slow_marks_nobody_also_when_it_comes_to(scene: Scene) -> None:
    desk = await scene.phone("agent3")
    caller, code = await asked_for_the_code(scene)
    scene.stage.redis.child.pause()
    try:
        await caller.send_digits(code)
        await scene.reached("unverified", Status="unavailable", Level="0")
    finally:
        scene.stage.redis.child.resume()
    # what was asked of it meanwhile is done now, in vain
    with scene.redis as client:
        assert client.ping()
    invite = await desk.incoming()
    assert invite.header("X-Caller-Auth") is None
    await caller.hears()
    assert scene.marks() == [] and outcomes(scene) == ["unavailable"]
    await caller.hang_up()
    await scene.logged("call.ended")
    assert scene.marks() == []


@asynccontextmanager
async def no_rows(scene: Scene, disk: Disk, how: str) -> AsyncIterator[None]:
    """While the database takes none."""
    if how == "full":
        with closing(sqlite3.connect(scene.stage.database)) as database:
            # else there is room in the file of its log
            database.execute("pragma wal_checkpoint(truncate)")
        with disk.full():
            yield
    else:
        with closing(sqlite3.connect(scene.stage.database, isolation_level=None)) as held:
            held.execute("begin exclusive")
            yield


@pytest.mark.parametrize("how", ["locked", "full"])
async def test_a_database_that_takes_no_rows_marks_nobody_until_it_does(scene: Scene, disk: Disk, how: str) -> None:
    desk = await scene.phone("agent3")
    caller, code = await asked_for_the_code(scene)
    async with no_rows(scene, disk, how):
        await caller.send_digits(code)
        await sent_on(scene, caller, desk)
        await scene.logged("audit.owed", kept=True)
        assert scene.log("call.unavailable", phase="record") and len(scene.records()) == 1
    await scene.logged("audit.late", outcome="unavailable")
    assert outcomes(scene) == ["unavailable"] and json.loads(scene.audit()[-1]["detail"])["happened"]
    await scene.until(lambda: scene.records() == [], "the record to go")
    await caller.hang_up()
    bo = await scene.caller("100", who=BO)
    await scene.asked("pin", 2)
    await bo.send_digits(f"{BO.pin}#")
    await scene.asked("sms_code", 2)
    await bo.send_digits(await scene.code(BO))
    await scene.reached("verified")
    assert outcomes(scene) == ["unavailable", "verified"]
    assert (await asyncio.to_thread(scene.stage.attempt, "audit", "verify")).returncode == 0


@pytest.mark.parametrize("outcome", ["abandoned", "refused"])
async def test_a_caller_who_hangs_up_while_the_database_is_locked_is_told_of(
    scene: Scene, disk: Disk, outcome: str
) -> None:
    """`abandoned`: the row that was being written then said `verified`; it was not, and nobody was."""
    caller, code = await asked_for_the_code(scene)
    wrong = "000000" if code != "000000" else "111111"
    async with no_rows(scene, disk, "locked"):
        if outcome == "refused":
            for count in (2, 3):
                await caller.send_digits(wrong)
                await scene.asked("sms_code", count)
        await caller.send_digits(wrong if outcome == "refused" else code)
        await scene.logged("step.ended", step="sms_code")
        await caller.hang_up()
        await scene.logged("audit.owed", outcome=outcome)
    await scene.logged("audit.late", outcome=outcome)
    assert outcomes(scene) == [outcome] and scene.audit("mark.void") == [] and scene.marks() == []
    await scene.until(lambda: scene.records() == [], "the record to go")


async def test_asterisk_killed_takes_its_calls_along_and_nobody_elses(scene: Scene) -> None:
    pbx = scene.stage.pbx
    await scene.verified("100")
    await scene.reached("verified")
    bo = await scene.caller("100", who=BO)
    await scene.asked("pin", 2)
    assert len(scene.marks()) == 1
    await asyncio.to_thread(pbx.kill)
    await asyncio.to_thread(pbx.start)
    await scene.logged("ari.connected", 2)
    # what it has no channel of any more is over: each call has its one row, and no mark
    await scene.logged("call.ended", 2)
    await scene.until(lambda: scene.marks() == [] and scene.records() == [], "the mark and the records to go")
    assert outcomes(scene) == ["verified", "abandoned"]
    await bo.hang_up()
    scene.ami = await scene.keep(Ami(pbx))
    later = await scene.caller("100", who=BO)
    await scene.asked("pin", 3)
    await later.send_digits(f"{BO.pin}#")
    await scene.asked("sms_code", 2)
    await later.send_digits(await scene.code(BO))
    await scene.reached("verified")
    assert outcomes(scene) == ["verified", "abandoned", "verified"]


async def test_a_wire_that_swallows_everything_is_noticed_and_the_entry_begins_anew(scene: Scene, wire: Wire) -> None:
    caller, code = await asked_for_the_code(scene)
    await caller.send_digits(code[:2])
    await scene.logged("entry.key", entry="sms_code", keys=2)
    wire.swallow()
    # nobody hears these
    await caller.send_digits(code[2:4])
    await scene.logged("ari.disconnected", limit=30)
    wire.mend()
    await asked_anew(scene)
    await caller.hears()
    await caller.send_digits(code)
    await scene.reached("verified")
    assert outcomes(scene) == ["verified"] and len(scene.stage.texts(ANNA.phones)) == 1


async def test_what_is_asked_of_an_asterisk_that_hangs_is_done_when_it_comes_to(scene: Scene) -> None:
    """The machine stands still, as a virtual one does that is moved: nobody is lost, and nobody marked twice."""
    caller, code = await asked_for_the_code(scene)
    pbx = scene.stage.pbx
    await caller.send_digits(code[:5])
    await scene.logged("entry.key", entry="sms_code", keys=5)
    # the next thing asked of Asterisk is not answered in time
    pbx.child.pause()
    try:
        await scene.until(
            lambda: bool(scene.log("ari.unreachable") or scene.log("ari.disconnected")), "a lost link", 40
        )
    finally:
        pbx.child.resume()
    await asked_anew(scene)
    await caller.send_digits(code)
    await scene.logged("call.verified")
    await scene.reached("verified")
    assert outcomes(scene) == ["verified"]
    assert json.loads(scene.audit()[-1]["detail"])["steps"] == "pin:passed,sms_code:passed"

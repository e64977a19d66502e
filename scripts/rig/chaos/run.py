"""One fault after another on one stage, and the account of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from rig.chaos.callers import Load
from rig.chaos.faults import Fault, House
from rig.chaos.ledger import Account, account
from rig.chaos.scenario import CAUSES, PIN
from rig.chaos.watch import Dialplan, Marks, Trail, left_over
from rig.ports import Ports
from rig.stage import Customer
from rig.state import wait_until

# A mobile number for each caller: +46 70 and seven digits.
_FIRST_NUMBER = 46700000001
# The longest that a caller stays, and what SIPp needs to end.
_PATIENCE = 150.0
# The sweep of marks comes every 10 seconds; a call's watchdog has long been over.
_CLEAR = 30.0

# What a worker says that was with a call to its end.
_ENDED = ("call.handed_back", "call.hung_up")

DIALPLAN = """
[chaos]
exten => main,1,Log(NOTICE,chaos began ${UNIQUEID} ${CALLERID(num)})
 same => n,Gosub(tillit-verify,s,1(main))
 same => n,Log(NOTICE,chaos reached ${UNIQUEID} ${CALLERID(num)} ${CALLER_AUTH_STATUS})
; long enough for the mark to be seen where it lies
 same => n,ExecIf($["${CALLER_AUTH_STATUS}" = "verified"]?Wait(1))
 same => n,Goto(${CALLER_AUTH_STATUS},1)
""" + "".join(f"exten => {status},1,Hangup({cause})\n" for status, cause in CAUSES.items())

SHARED = """
[globals]
TILLIT_BROADCAST=1000
"""

ENDPOINT = """
[chaos]
type = endpoint
context = chaos
disallow = all
allow = ulaw
direct_media = no
trust_id_inbound = yes
media_address = 127.0.0.1
bind_rtp_to_media_address = yes
"""

Say = Callable[[str], None]


class Chaos:
    """Strikes, and counts."""

    def __init__(self, house: House, marks: Marks, load: tuple[float, float], say: Say) -> None:
        """`load`: calls a second, and for how many seconds."""
        self._house = house
        self._marks = marks
        self._trail = Trail(house.stage)
        self._dialplan = Dialplan(house.stage.pbx)
        self._rate, self._seconds = load
        self._say = say
        self._numbers = _numbers()

    def run(self, fault: Fault) -> Account:
        """A load of calls, with the fault in the middle of it."""
        house = self._house
        pbx = house.stage.pbx
        ports = Ports()
        before = self._told(fault)
        outages = len(house.outages)
        try:
            # as long again behind the fault as without one
            seconds = self._seconds / 3 + fault.seconds + self._seconds
            with Load(pbx, ports, rate=self._rate, seconds=seconds) as load:
                numbers = self._customers(load.size)
                self._say(f"{fault.name}: {load.size} calls")
                house.gateway.routes = load.routes
                load.start(numbers, pbx.folder / "callers" / fault.name)
                time.sleep(self._seconds / 3)
                with fault.strike(house):
                    time.sleep(fault.seconds)
                house.pair.mend()
                load.wait(_PATIENCE)
                calls = load.calls()
        finally:
            ports.close()
        over, marks = self._cleared()
        return account(
            fault.name,
            calls,
            self._dialplan.taken(),
            self._marks.taken(),
            self._trail.taken(),
            outage=house.outages[-1] if len(house.outages) > outages else None,
            struck=self._told(fault) - before,
            left_over=over,
            marks_left=marks,
            ended=(line["call"] for line in house.pair.lines() if line["event"] in _ENDED),
        )

    def _told(self, fault: Fault) -> int:
        return fault.tells(self._house.pair.lines())

    def _cleared(self) -> tuple[int, int]:
        """How many channels and bridges, and how many marks and records, are left when there was time for all to go."""
        pbx = self._house.stage.pbx
        with suppress(TimeoutError):
            wait_until(lambda: not left_over(pbx) and not self._marks.left(), _CLEAR, "everything to go")
        return left_over(pbx), self._marks.left()

    def _customers(self, count: int) -> list[str]:
        """Callers who have never called: a text goes to a customer once a minute at most."""
        numbers = [next(self._numbers) for _ in range(count)]
        self._house.stage.add([Customer(number[-6:], f"Caller {number[-6:]}", f"+{number}", PIN) for number in numbers])
        return numbers


def _numbers() -> Iterator[str]:
    number = _FIRST_NUMBER
    while True:
        yield str(number)
        number += 1

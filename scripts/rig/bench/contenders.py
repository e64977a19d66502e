"""Who is measured, and what each of them does with a call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig.bench.gateway import Gateway
from rig.bench.load import Callers
from rig.process import Child
from rig.stage import Customer, Stage
from rig.state import CHECKOUT, STATE, VENV_PYTHON

# A mobile number of our own for each caller: +46 70 and seven digits.
_FIRST_NUMBER = 46700000001
# So many are added at once: an import begins with a second's work, and costs 2 ms for each.
_AT_ONCE = 1500

DIALPLAN = """
[bench]
exten => floor,1,Answer()
 same => n,Read(KEYED,tillit/ask-pin,20,,1,10)
 same => n,Hangup()
exten => aioari,1,Stasis(peer)
 same => n,Hangup()
exten => tillit,1,Stasis(bench,inbound,small)
 same => n,Hangup()
exten => whole,1,Gosub(tillit-verify,s,1(main))
 same => n,ExecIf($["${CALLER_AUTH_STATUS}" != "verified"]?Wait(30))
 same => n,Hangup()
"""

ENDPOINT = """
[bench]
type = endpoint
context = bench
disallow = all
allow = ulaw
direct_media = no
trust_id_inbound = yes
media_address = 127.0.0.1
bind_rtp_to_media_address = yes

[bench]
type = identify
endpoint = bench
match = 127.0.0.1
"""


@dataclass(frozen=True)
class Contender:
    """A `whole` one is called by customers, who key the code of their text."""

    name: str
    extension: str
    whole: bool = False


FLOOR = Contender("dialplan Read()", "floor")
PEER = Contender("aioari", "aioari")
SMALL = Contender("tillit, small", "tillit")
WHOLE = Contender("tillit, sms_code", "whole", whole=True)

CONTENDERS = (FLOOR, PEER, SMALL, WHOLE)


@contextmanager
def running(stage: Stage, contender: Contender) -> Iterator[int | None]:
    """Who answers the calls, while it is measured: its pid, or None where that is Asterisk itself."""
    pbx = stage.pbx
    match contender.extension:
        case "aioari":
            python, program, app, url = STATE / "peer" / "bin" / "python", "peer.py", "peer", pbx.ari_url[:-3]
        case "tillit":
            python, program, app, url = VENV_PYTHON, "small.py", "bench", pbx.ari_url
        case "whole":
            with stage.worker() as worker:
                yield worker.child.pid
            return
        case _:
            yield None
            return
    environment = dict(os.environ, ARI_PASSWORD=pbx.ari_password, PYTHONPATH=f"{CHECKOUT / 'scripts'}:{CHECKOUT}")
    command: Sequence[str] = (str(python), str(Path(__file__).with_name(program)), url)
    child = Child(contender.extension, command, pbx.folder / "log" / f"{app}.log", env=environment)
    try:
        child.require(lambda: app in pbx.applications(), 20.0, f"the application {app}")
        yield child.pid
    finally:
        child.stop()


class Crowd:
    """Customers who have not called yet: each calls once, for a text goes to a customer once a minute at most."""

    def __init__(self, gateway: Gateway, stage: Stage) -> None:
        self._gateway = gateway
        self._stage = stage
        self._next = 0
        self._count = 0

    def callers(self, contender: Contender, count: int) -> Callers:
        """So many calls; those of the whole policy each by another customer, who is added where there are not so many left."""
        if not contender.whole:
            return Callers(contender.extension, "small.xml", count)
        if count > self._count - self._next:
            self._add(max(count, _AT_ONCE))
        first = _FIRST_NUMBER + self._next
        self._next += count
        return Callers(
            contender.extension,
            "whole.xml",
            count,
            numbers=range(first, first + count),
            on_port=lambda port: self._gateway.sends_to(port, first),
        )

    def _add(self, count: int) -> None:
        """Each has a number of its own, and none a PIN."""
        new = range(self._count, self._count + count)
        self._stage.add([Customer(str(100001 + n), f"Caller {n}", f"+{_FIRST_NUMBER + n}") for n in new])
        self._count += count

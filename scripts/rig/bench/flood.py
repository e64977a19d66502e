"""`python -m rig.bench.flood`: how long callers who are being verified wait, without and with a flood of calls beside them."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from rig.bench.contenders import DIALPLAN, ENDPOINT, WHOLE, Crowd, running
from rig.bench.gateway import Gateway
from rig.bench.load import Callers, sipp
from rig.bench.sniffer import Sniffer
from rig.ports import HOST, Ports
from rig.stage import Stage
from rig.state import instance_folder

# Callers who are verified, in calls a second, and how many; of the flood ten times the highest rate of the bench.
RATE, COUNT = 20, 400
FLOOD_RATE, FLOOD_COUNT = 600, 12_000
# Asterisk's `maxcalls`: here about as many as it plays the sentence to at once.
MOST = 250

_FLOOD = """
[flood]
type = endpoint
context = flood
disallow = all
allow = ulaw
direct_media = no
media_address = 127.0.0.1
bind_rtp_to_media_address = yes
"""
_FLOODED = """
[flood]
exten => flood,1,Gosub(tillit-verify,s,1(main))
 same => n,Hangup()
"""


def main() -> int:
    """Measure twice, and print both."""
    parser = argparse.ArgumentParser(prog="rig.bench.flood", description=__doc__)
    parser.add_argument("--maxcalls", type=int, default=MOST, help=f"of asterisk.conf ({MOST})")
    most = parser.parse_args().maxcalls
    ports = Ports(200)
    with ExitStack() as stack:
        stack.callback(ports.close)
        gateway = stack.enter_context(Gateway(instance_folder("bench-gateway") / "gateway.log", ports))
        settings: dict[str, dict[str, object]] = {
            "policies.main": {"steps": ["sms_code"], "level": 1},
            # the flood keys nothing: who is admitted of it leaves soon
            "worker": {"calls_at_once": 2000},
            "keypad": {"first_seconds": 1, "slips": 1},
            "limits": {f"texts_{of}per_hour": 1_000_000 for of in ("", "country_", "prefix_")},
            "log": {"level": "INFO", "format": "text"},
            "texts": {"gateway": "http"},
            "texts.http": {"url": gateway.url, "allow_private": [HOST]},
            "texts.http.body": {"to": "{to}", "text": "{text}"},
        }
        stage = Stage(
            name="flood", dialplan=DIALPLAN + _FLOODED, customers=(), settings=settings, brisk=True, ports=8000,
            overrides={"pjsip.conf": ENDPOINT + _FLOOD, "asterisk.conf": f"maxcalls = {most}"},
        )  # fmt: skip
        stack.enter_context(stage)
        stack.enter_context(running(stage, WHOLE))
        crowd = Crowd(gateway, stage)

        def measure(name: str) -> None:
            with (
                sipp(stage.pbx, crowd.callers(WHOLE, COUNT), rate=RATE, ports=ports) as (process, port),
                Sniffer(stage.pbx.sip_port, port) as sniffer,
            ):
                code = process.wait(120)
            times = sorted(second * 1000 for second in sniffer.latencies())
            found = (
                f"median {times[len(times) // 2]:.1f} ms, 99th {times[len(times) * 99 // 100]:.1f} ms" if times else ""
            )
            print(f"{name}: {sniffer.ended} of {COUNT} came to their end ({code}); {found}")

        measure("warm-up")
        measure("alone")
        with sipp(
            stage.pbx, Callers("flood", "flood.xml", FLOOD_COUNT, media_port=50_000), rate=FLOOD_RATE, ports=ports
        ):
            measure("in a flood")
            flooded = stage.pbx.said().count("Playing 'tillit/unavailable")
            print(f"of the flood {flooded} have heard the sentence by then")
        stage.pbx.cli("channel request hangup all")
    return 0


if __name__ == "__main__":
    sys.exit(main())

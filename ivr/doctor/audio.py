"""How keys come to Asterisk, and whether a stranger could send some."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from ivr.doctor.console import value
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node
from ivr.errors import AriError

IN_BAND = Kind(
    "dtmf-in-band", Grade.WARNING,
    "An endpoint's keys may come as tones in the sound",
    "Tones are in every recording, and whoever listens hears them. Noise and voices can be taken for keys.",
)  # fmt: skip
STRICT = Kind(
    "rtp-not-strict", Grade.WARNING,
    "Asterisk takes sound and keys from any address (strictrtp is off)",
    "Who finds a call's port can press keys in it, or speak to the caller, from anywhere.",
)  # fmt: skip
KINDS = (IN_BAND, STRICT)

# Further endpoints are taken to be like the first ones.
_MOST = 500
_AT_ONCE = 8


async def check(node: Node) -> list[Finding]:
    """RTP, and the DTMF mode of each PJSIP endpoint."""
    subject = node.about("audio")
    if node.console is None:
        told = NOT_LOOKED_AT.found(subject, "strictrtp cannot be seen from here", "asterisk -rx 'rtp show settings'")
        return [told, *await _endpoints(node, subject)]
    rtp = await node.console.ask("rtp show settings") or ""
    return [*_strict(rtp, subject), *await _endpoints(node, subject)]


def _strict(told: str, subject: str) -> Iterator[Finding]:
    if value(told, "Strict RTP") == "No":
        yield STRICT.found(
            subject, "strictrtp is off",
            "# write strictrtp = yes in /etc/asterisk/rtp.conf", "asterisk -rx 'module reload res_rtp_asterisk.so'",
        )  # fmt: skip


async def _endpoints(node: Node, subject: str) -> list[Finding]:
    names = [str(one["resource"]) for one in await node.list("endpoints") if one.get("technology") == "PJSIP"]
    gate = asyncio.Semaphore(_AT_ONCE)

    async def mode(name: str) -> str:
        async with gate:
            try:
                fields = await node.list(f"asterisk/config/dynamic/res_pjsip/endpoint/{name}")
            except AriError:
                return ""
        return next((str(one["value"]) for one in fields if one.get("attribute") == "dtmf_mode"), "")

    looked = names[:_MOST]
    modes = dict(zip(looked, await asyncio.gather(*map(mode, looked)), strict=True))
    bad = [f"{name} ({mode})" for name, mode in modes.items() if mode in ("inband", "auto")]
    if not bad:
        return [ok(subject, f"keys come beside the sound at all {len(looked)} endpoints")]
    return [
        IN_BAND.found(
            subject, f"{', '.join(bad[:5])}{f' and {len(bad) - 5} more' if bad[5:] else ''}",
            "# write dtmf_mode = rfc4733 for these in /etc/asterisk/pjsip.conf, if your carrier sends it",
            "asterisk -rx 'module reload res_pjsip.so'",
        )
    ]  # fmt: skip

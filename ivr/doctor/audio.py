"""How keys come to Asterisk, whether a stranger could send some, and whose names it passes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import quote

from ivr.doctor.console import value
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node, rows
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
TRUSTED = Kind(
    "names-trusted", Grade.WARNING,
    "An endpoint whose names are trusted may change them in mid-call",
    "Whoever calls through it can write a check mark and a customer's name on the agent's display.",
)  # fmt: skip
KINDS = (IN_BAND, STRICT, TRUSTED)

# Endpoints that are asked about: a request each.
_MOST = 500
_AT_ONCE = 8
# With both, a re-INVITE's P-Asserted-Identity goes on to whoever is talking with that endpoint.
_NAMES = ("trust_id_inbound", "trust_connected_line")


async def check(node: Node) -> list[Finding]:
    """RTP, and each PJSIP endpoint: its DTMF mode, and whether its names are believed."""
    subject = node.about("audio")
    rtp = await node.console.told("rtp show settings", "Strict RTP") if node.console else None
    if rtp is None:
        told = NOT_LOOKED_AT.found(subject, "strictrtp cannot be seen from here", "asterisk -rx 'rtp show settings'")
        return [told, *await _endpoints(node, subject)]
    return [*_strict(rtp, subject), *await _endpoints(node, subject)]


def _strict(told: str, subject: str) -> Iterator[Finding]:
    if value(told, "Strict RTP") == "No":
        yield STRICT.found(
            subject, "strictrtp is off",
            "# write strictrtp = yes in /etc/asterisk/rtp.conf", "asterisk -rx 'module reload res_rtp_asterisk.so'",
        )  # fmt: skip


async def _endpoints(node: Node, subject: str) -> list[Finding]:
    names = [
        str(one["resource"])
        for one in rows(await node.ari.request("GET", "endpoints"))
        if one.get("technology") == "PJSIP"
    ]
    gate = asyncio.Semaphore(_AT_ONCE)

    async def settings(name: str, kind: str = "endpoint") -> dict[str, str]:
        async with gate:
            path = f"asterisk/config/dynamic/res_pjsip/{kind}/{quote(name, safe='')}"
            try:
                return {str(one["attribute"]): str(one["value"]) for one in rows(await node.ari.request("GET", path))}
            except AriError as error:
                if error.status == 404 and kind == "endpoint":
                    gone.add(name)
                return {}

    gone: set[str] = set()
    looked = names[:_MOST]
    of = dict(zip(looked, await asyncio.gather(*map(settings, looked)), strict=True))
    in_band = [f"{name} ({one['dtmf_mode']})" for name, one in of.items() if one.get("dtmf_mode") in ("inband", "auto")]
    believed = [name for name, one in of.items() if all(one.get(field) in ("yes", "true") for field in _NAMES)]

    async def is_phone(name: str) -> bool:
        aors = [one.strip() for one in of[name].get("aors", "").split(",") if one.strip()]
        return _somebodys(of[name]) and _registers([await settings(aor, "aor") for aor in aors])

    phones = await asyncio.gather(*map(is_phone, believed))
    trusted = [name for name, phone in zip(believed, phones, strict=True) if not phone]
    if any(of.values()):
        # an endpoint that was taken out of pjsip.conf is listed until Asterisk starts again
        names = [name for name in names if name not in gone]
    unseen = [name for name in names if not of.get(name)]
    found = []
    if in_band:
        found.append(
            IN_BAND.found(
                subject, _some(in_band),
                "# write dtmf_mode = rfc4733 for these in /etc/asterisk/pjsip.conf, if your carrier sends it",
                "asterisk -rx 'module reload res_pjsip.so'",
            )
        )  # fmt: skip
    if trusted:
        found.append(
            TRUSTED.found(
                subject, _some(trusted),
                "# write trust_connected_line = no for these in /etc/asterisk/pjsip.conf; a phone may be left, and is not told of",
                "# where it logs in (auth), registers (max_contacts) and has a callerid of its own",
                "asterisk -rx 'module reload res_pjsip.so'",
            )
        )  # fmt: skip
    if unseen:
        cure = f"asterisk -rx 'pjsip show endpoint {unseen[0]}'"
        found.append(NOT_LOOKED_AT.found(subject, f"the settings of {_some(unseen)}", cure))
    return found or [ok(subject, f"keys come beside the sound at all {len(names)} endpoints of PJSIP")]


def _somebodys(endpoint: dict[str, str]) -> bool:
    """Whether whoever calls has to log in, in one person's name: others' calls do not come from there.

    A trunk has no callerid, for its callers have numbers of their own; and a carrier answers no login, or asks for ours.
    """
    own = endpoint.get("callerid", "").strip() not in ("", "<unknown>")
    return own and bool(endpoint.get("auth")) and not endpoint.get("outbound_auth")


def _registers(aors: list[dict[str, str]]) -> bool:
    """Whether it tells us where it is, as phones do; where trunks are stands in pjsip.conf."""
    return bool(aors) and all(aor.get("max_contacts", "0") not in ("", "0") for aor in aors)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if names[5:] else "")

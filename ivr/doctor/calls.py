"""Calls that agents begin at the desk: whether Asterisk has their trunk, and signs our numbers as the settings say."""

from __future__ import annotations

import re
from urllib.parse import quote

from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node, rows
from ivr.errors import AriError

TRUNK = Kind(
    "calls-trunk", Grade.FAULT,
    "The trunk by which customers are called is not there",
    "Each call that an agent begins at the desk fails when the customer's phone should ring.",
)  # fmt: skip
UNSIGNED = Kind(
    "calls-unsigned", Grade.WARNING,
    "Asterisk does not sign a number as the settings say (STIR/SHAKEN)",
    "The call goes out all the same, and whoever is called may be told that the number is not to be trusted.",
)  # fmt: skip
KINDS = (TRUNK, UNSIGNED)

# endpoint_behavior of a profile that signs
_SIGNS = ("attest", "on")


async def check(node: Node) -> list[Finding]:
    """The trunk and the numbers of `[calls]`; nothing where nobody is called from the desk."""
    calls = node.settings.calls
    if calls.dial is None:
        return []
    subject = node.about("calls")
    technology, _, rest = calls.dial.partition("/")
    trunk = re.split(r"[@/]", rest.replace("{number}@", ""))[0]
    if technology != "PJSIP":
        # only of PJSIP Asterisk tells what there is
        return [
            NOT_LOOKED_AT.found(subject, f"the trunk of {calls.dial} cannot be seen", "# call a number of your own")
        ]
    endpoint = await _object(node, "res_pjsip", "endpoint", trunk)
    if endpoint is None:
        return [
            TRUNK.found(
                subject, f"Asterisk has no PJSIP endpoint {trunk}, which [calls] dial names",
                f"# write [{trunk}] into /etc/asterisk/pjsip.conf, or its right name into dial", "asterisk -rx 'module reload res_pjsip.so'",
            )
        ]  # fmt: skip
    found = []
    if calls.attestations:
        if not await _signs(node, endpoint.get("stir_shaken_profile", "")):
            found.append(
                UNSIGNED.found(
                    subject, f"the trunk {trunk} has no stir_shaken_profile that signs",
                    "# write the profile into /etc/asterisk/stir_shaken.conf and its name at the trunk, as in docs/dial.md",
                    "asterisk -rx 'module reload res_stir_shaken.so'", "asterisk -rx 'module reload res_pjsip.so'",
                )
            )  # fmt: skip
        for number, level in calls.attestations.items():
            section = number.removeprefix("+")
            signed = await _object(node, "res_stir_shaken", "tn", section)
            if signed is None or signed.get("attest_level") != level:
                found.append(
                    UNSIGNED.found(
                        subject, f"Asterisk does not sign {number} at level {level}",
                        f"# write [{section}] with type = tn and attest_level = {level} into /etc/asterisk/stir_shaken.conf, as in docs/dial.md",
                        "asterisk -rx 'module reload res_stir_shaken.so'",
                    )
                )  # fmt: skip
    return found or [ok(subject, f"customers are called by {trunk}")]


async def _signs(node: Node, profile: str) -> bool:
    told = await _object(node, "res_stir_shaken", "profile", profile) if profile else None
    return told is not None and told.get("endpoint_behavior") in _SIGNS


async def _object(node: Node, module: str, kind: str, name: str) -> dict[str, str] | None:
    """What Asterisk has of this name; None where it has none, or not the module."""
    try:
        told = await node.ari.request("GET", f"asterisk/config/dynamic/{module}/{kind}/{quote(name, safe='')}")
    except AriError as error:
        if error.status not in (400, 404):
            raise
        return None
    return {str(one["attribute"]): str(one["value"]) for one in rows(told)}

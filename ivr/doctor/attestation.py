"""What the carrier says of calling numbers (STIR/SHAKEN), where the dialplan is to read it: whether Asterisk verifies it, and lets all calls in."""

from __future__ import annotations

from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.doctor.node import Node, global_variable, known_object, rows

UNREAD = Kind(
    "attestation-unread", Grade.WARNING,
    "The dialplan is to read what the carrier says of numbers, and Asterisk does not verify it",
    "The hint is empty for every call.",
)  # fmt: skip
CLOSES = Kind(
    "attestation-refuses", Grade.WARNING,
    "Asterisk turns calls away whose signature it cannot verify",
    "A carrier's expired certificate, or its server that is away, closes your line.",
)  # fmt: skip
KINDS = (UNREAD, CLOSES)

_VARIABLE = "TILLIT_ATTESTATION"
_MODULES = ("res_stir_shaken", "res_pjsip_stir_shaken")
# endpoint_behavior of a profile that verifies, and what lets a call in whose signature does not hold
_VERIFIES = ("verify", "on")
_LETS_IN = ("continue", "continue_return_reason")
# Endpoints that are asked about: a request each.
_MOST = 500


async def check(node: Node) -> list[Finding]:
    """Nothing where the dialplan is not to read it."""
    subject = node.about("attestation")
    if await global_variable(node, _VARIABLE) != "yes":
        return []
    running = {
        str(one["name"]).removesuffix(".so")
        for one in rows(await node.ari.request("GET", "asterisk/modules"))
        if one.get("status") == "Running"
    }
    if missing := [module for module in _MODULES if module not in running]:
        return [
            UNREAD.found(
                subject, f"{_VARIABLE} is yes, and Asterisk does not run {', '.join(missing)}",
                *(f"asterisk -rx 'module load {module}.so'" for module in missing),
                "# and see /etc/asterisk/modules.conf and stir_shaken.conf: docs/dialplan.md has what belongs there",
            )
        ]  # fmt: skip
    profiles = await _profiles(node)
    verifying = {
        name: told for name, told in profiles.items() if told is not None and told.get("endpoint_behavior") in _VERIFIES
    }
    if not verifying:
        return [
            UNREAD.found(
                subject, f"{_VARIABLE} is yes, and no trunk has a stir_shaken_profile that verifies",
                "# write the profile into /etc/asterisk/stir_shaken.conf and its name at the trunk, as in docs/dialplan.md",
                "asterisk -rx 'module reload res_stir_shaken.so'", "asterisk -rx 'module reload res_pjsip.so'",
            )
        ]  # fmt: skip
    # a profile takes from this section what it does not say itself, and not before Asterisk starts anew
    general = await known_object(node, "res_stir_shaken", "verification", "verification")
    said = {f"the profile {name}": told for name, told in verifying.items()} | {"[verification]": general or {}}
    refusing = {
        where: told["failure_action"]
        for where, told in said.items()
        if told.get("failure_action", "continue") not in _LETS_IN
    }
    return [
        CLOSES.found(
            subject, f"{where} has failure_action = {action}",
            "# write failure_action = continue below [verification], and below the profile, in /etc/asterisk/stir_shaken.conf",
            "asterisk -rx 'module reload res_stir_shaken.so'",
        )
        for where, action in refusing.items()
    ] or [ok(subject, f"what carriers say of numbers is verified by {', '.join(sorted(verifying))}")]  # fmt: skip


async def _profiles(node: Node) -> dict[str, dict[str, str] | None]:
    """The profiles that endpoints name."""
    names = [
        str(one["resource"])
        for one in rows(await node.ari.request("GET", "endpoints"))
        if one.get("technology") == "PJSIP"
    ]
    found: dict[str, dict[str, str] | None] = {}
    for name in names[:_MOST]:
        endpoint = await known_object(node, "res_pjsip", "endpoint", name) or {}
        profile = endpoint.get("stir_shaken_profile", "")
        if profile and profile not in found:
            found[profile] = await known_object(node, "res_stir_shaken", "profile", profile)
    return found

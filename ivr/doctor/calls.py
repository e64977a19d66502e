"""Calls that go out: whether Asterisk has their trunk, shows our number there, keeps the customer's to itself, and signs ours as the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from ivr.config import Calls, Settings
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.doctor.node import Node, known_object
from ivr.errors import AriError

TRUNK = Kind(
    "calls-trunk", Grade.FAULT,
    "The trunk by which customers are called is not there",
    "Each call that an agent begins at the desk, and each that tells a code, fails when the customer's phone should ring.",
)  # fmt: skip
AWAY = Kind(
    "calls-trunk-away", Grade.WARNING,
    "The trunk by which customers are called has no address, or does not answer there",
    "As long as that is so, each call by it fails when the customer's phone should ring.",
)  # fmt: skip
OTHER_NUMBER = Kind(
    "calls-number", Grade.WARNING,
    "The trunk shows another number than the settings say",
    "Who is called sees a number that they do not know as yours, and the public page, asked whether it was you, says no.",
)  # fmt: skip
TOLD = Kind(
    "calls-number-told", Grade.ADVICE,
    "The trunk may tell the customer's number in mid-call",
    "It then stands in the CDR of the agent's call. The agent's phone is not shown it.",
)  # fmt: skip
UNSIGNED = Kind(
    "calls-unsigned", Grade.WARNING,
    "Asterisk does not sign a number as the settings say (STIR/SHAKEN)",
    "The call goes out all the same, and whoever is called may be told that the number is not to be trusted.",
)  # fmt: skip
KINDS = (TRUNK, AWAY, OTHER_NUMBER, TOLD, UNSIGNED)

_RELOAD = "asterisk -rx 'module reload res_pjsip.so'"
_TECHNOLOGY = "PJSIP"
_YES = ("yes", "true")
# endpoint_behavior of a profile that signs
_SIGNS = ("attest", "on")


async def check(node: Node) -> list[Finding]:
    """The trunks of `[calls]` and of `[texts.voice]`; nothing where nobody is called."""
    calls, voice, subject = node.settings.calls, node.settings.texts.voice, node.about("calls")
    wanted = {dial: place for place, dial in (("[texts.voice] dial", voice.dial), ("[calls] dial", calls.dial)) if dial}
    found: list[Finding] = []
    for dial, place in wanted.items():
        found += await _trunk(node, subject, dial, place, calls if dial == calls.dial else None)
    return found


async def _trunk(node: Node, subject: str, dial: str, place: str, calls: Calls | None) -> list[Finding]:
    """What is wrong with one. `calls`: where the desk calls by it."""
    technology, _, rest = dial.partition("/")
    # PJSIP/{number}@trunk, or PJSIP/trunk/sip:{number}@address
    head, _, address = rest.partition("/")
    trunk = head.rpartition("@")[2]
    if technology != _TECHNOLOGY:
        # only of PJSIP Asterisk tells what there is
        return [NOT_LOOKED_AT.found(subject, f"the trunk of {dial} cannot be seen", "# call a number of your own")]
    endpoint = await known_object(node, "res_pjsip", "endpoint", trunk)
    if endpoint is None:
        return [
            TRUNK.found(
                subject, f"Asterisk has no PJSIP endpoint {trunk}, which {place} names",
                f"# write [{trunk}] into /etc/asterisk/pjsip.conf, or its right name into dial", _RELOAD,
            )
        ]  # fmt: skip
    found = list(_numbers(subject, trunk, endpoint, _shown(node.settings, calls), of_desk=calls is not None))
    if not address and await _state(node, trunk) == "offline":
        found.append(
            AWAY.found(
                subject, f"Asterisk has nowhere to call the endpoint {trunk}, which {place} names",
                f"asterisk -rx 'pjsip show endpoint {trunk}'",
                f"# give the aor of {trunk} a contact in /etc/asterisk/pjsip.conf, as sip:ADDRESS, or have it register; one that is Unavail answers no OPTIONS: see qualify_frequency",
                _RELOAD,
            )
        )  # fmt: skip
    if calls is not None:
        found += await _signed(node, subject, trunk, endpoint, calls)
    return found or [ok(subject, f"customers are called by {trunk}")]


def _shown(settings: Settings, calls: Calls | None) -> set[str]:
    """The numbers that are to be shown by it, without the plus."""
    numbers = (settings.texts.voice.number,) if calls is None else (calls.number, *calls.numbers_of_teams.values())
    return {number.lstrip("+") for number in numbers if number is not None}


def _numbers(
    subject: str, trunk: str, endpoint: dict[str, str], shown: set[str], *, of_desk: bool
) -> Iterator[Finding]:
    told = any(endpoint.get(field) in _YES for field in ("send_pai", "send_rpid"))
    if (user := endpoint.get("from_user", "")) and not told and {user.lstrip("+")} != shown:
        yield OTHER_NUMBER.found(
            subject, f"the trunk {trunk} has from_user = {user}, and sends the number nowhere else",
            f"# write send_pai = yes at [{trunk}] in /etc/asterisk/pjsip.conf where your carrier takes the number so, else take from_user out", _RELOAD,
        )  # fmt: skip
    if of_desk and endpoint.get("trust_id_inbound") in _YES:
        yield TOLD.found(
            subject, f"the trunk {trunk} has trust_id_inbound",
            f"# take trust_id_inbound out at [{trunk}] in /etc/asterisk/pjsip.conf, or call by another endpoint of the same carrier", _RELOAD,
        )  # fmt: skip


async def _signed(node: Node, subject: str, trunk: str, endpoint: dict[str, str], calls: Calls) -> list[Finding]:
    found = []
    if calls.attestations and not await _signs(node, endpoint.get("stir_shaken_profile", "")):
        found.append(
            UNSIGNED.found(
                subject, f"the trunk {trunk} has no stir_shaken_profile that signs",
                "# write the profile into /etc/asterisk/stir_shaken.conf and its name at the trunk, as in docs/dial.md",
                "asterisk -rx 'module reload res_stir_shaken.so'", _RELOAD,
            )
        )  # fmt: skip
    for number, level in calls.attestations.items():
        section = number.removeprefix("+")
        signed = await known_object(node, "res_stir_shaken", "tn", section)
        if signed is None or signed.get("attest_level") != level:
            found.append(
                UNSIGNED.found(
                    subject, f"Asterisk does not sign {number} at level {level}",
                    f"# write [{section}] with type = tn and attest_level = {level} into /etc/asterisk/stir_shaken.conf, as in docs/dial.md",
                    "asterisk -rx 'module reload res_stir_shaken.so'",
                )
            )  # fmt: skip
    return found


async def _signs(node: Node, profile: str) -> bool:
    told = await known_object(node, "res_stir_shaken", "profile", profile) if profile else None
    return told is not None and told.get("endpoint_behavior") in _SIGNS


async def _state(node: Node, trunk: str) -> str:
    """What Asterisk says of the endpoint; `unknown` where it says nothing."""
    try:
        told = await node.ari.request("GET", f"endpoints/{_TECHNOLOGY}/{quote(trunk, safe='')}")
    except AriError as error:
        if error.status != 404:
            raise
        return "unknown"
    return str(told.get("state")) if isinstance(told, dict) else "unknown"

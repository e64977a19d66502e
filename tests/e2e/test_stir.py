"""STIR/SHAKEN on a real Asterisk, with certificates of the test's own: our number is signed on the way out, and what is signed on the way in is a hint."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID
from rig.ami import Ami
from rig.desk import manager_user
from rig.phone import Phone
from rig.ports import HOST
from rig.stage import ANNA, BO, CHEAP_PINS, Stage

from ivr.asterisk.ari import Ari
from ivr.config import load
from ivr.config.calls import Calls
from ivr.doctor import attestation, calls
from ivr.doctor.node import Node
from tests.contract.ari_log import Log, wait_for
from tests.e2e.floor import opened
from tests.e2e.scene import Scene
from tests.e2e.test_dial import CALL, NUMBER, OURS, SECRET, Line

# a number of ours that nobody signs
BARE = "+46812345679"
# where calls by a trunk come from; callers' phones are at HOST
TRUNK = "127.0.0.2"
# RFC 8226: of which carrier's numbers a certificate speaks. SEQUENCE { [0] IA5String "1234" }
_TN_AUTH_LIST = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26"), b"\x30\x08\xa0\x06\x16\x041234")
_MODULES = ("res_stir_shaken.so", "res_pjsip_stir_shaken.so")
DIALPLAN = """
[globals]
TILLIT_ATTESTATION=yes

; by a trunk that signs, and by one that does not, unless the test gives it what to say
[callers]
exten => 110,1,Dial(PJSIP/100@signs,30)
exten => 120,1,Dial(PJSIP/100@plain,30,b(identity^s^1))
exten => 130,1,Dial(PJSIP/300@plain,30,b(identity^s^1))
; no trunk, and a caller who has brought a level along
exten => 140,1,Set(__CALLER_ATTESTATION=A)
 same => n,Goto(trunk,300,1)

[identity]
exten => s,1,ExecIf($["${GLOBAL(IDENTITY)}" != ""]?Set(PJSIP_HEADER(add,Identity)=${GLOBAL(IDENTITY)}))
; without a date Asterisk takes no signature
 same => n,Set(PJSIP_HEADER(add,Date)=${STRFTIME(${EPOCH},GMT,%a, %d %b %Y %T GMT)})
 same => n,Return()

[trunk]
exten => 100,1,Gosub(tillit-verify,s,1(main))
 same => n,UserEvent(Reached,Path: here,Status: ${CALLER_AUTH_STATUS},Level: ${CALLER_AUTH_LEVEL},Attestation: ${CALLER_ATTESTATION},Badge: ${TILLIT_BADGE})
 same => n,Hangup()
exten => 300,1,Gosub(tillit-verify,s,1(,void))
 same => n,UserEvent(Hint,Attestation: ${CALLER_ATTESTATION})
 same => n,Hangup()

[agents]
exten => _X.,1,Congestion()
"""


@dataclass(frozen=True)
class Carrier:
    """Who signs numbers: its key, and the folder of its certificate, which is served at `url`."""

    key: ec.EllipticCurvePrivateKey
    folder: Path
    url: str

    @property
    def certificate(self) -> str:
        return f"{self.url}/leaf.pem"

    def says(self, number: str, level: str, *, age: float = 0.0, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        """An Identity header (RFC 8224, RFC 8588) for a call of this number."""
        head = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": self.certificate}
        claims = {
            "attest": level, "dest": {"tn": ["300"]}, "iat": int(time.time() - age), "orig": {"tn": number.strip("+")},
            "origid": str(uuid4()),
        }  # fmt: skip
        said = ".".join(_padless(orjson.dumps(part)) for part in (head, claims))
        r, s = utils.decode_dss_signature((key or self.key).sign(said.encode(), ec.ECDSA(hashes.SHA256())))
        signature = _padless(r.to_bytes(32) + s.to_bytes(32))
        return f"{said}.{signature};info=<{self.certificate}>;alg=ES256;ppt=shaken"


def certificates(folder: Path) -> ec.EllipticCurvePrivateKey:
    """A CA and a carrier's certificate under it; the carrier's key."""
    now = datetime.now(UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "leaf")}
    names = {name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test {name}")]) for name in keys}
    for name, key in keys.items():
        made = (
            x509.CertificateBuilder()
            .subject_name(names[name]).issuer_name(names["ca"]).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        )  # fmt: skip
        if name == "leaf":
            made = made.add_extension(_TN_AUTH_LIST, critical=False)
        certificate = made.sign(keys["ca"], hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    return keys["leaf"]


def stir_shaken(carrier: Carrier) -> str:
    """stir_shaken.conf, as in docs/dial.md and docs/dialplan.md. The certificate comes from this machine, which is not let in otherwise."""
    signed = "".join(f"[{number.strip('+')}]\ntype = tn\nattest_level = A\n" for number in (OURS, ANNA.phones))
    return f"""
[attestation]
private_key_file = {carrier.folder}/leaf.key
public_cert_url = {carrier.certificate}
{signed}
[signs]
type = profile
endpoint_behavior = attest
[verification]
ca_file = {carrier.folder}/ca.pem
failure_action = continue
cert_cache_dir = {carrier.folder}/cache
relax_x5u_port_scheme_restrictions = yes
relax_x5u_path_restrictions = yes
x5u_permit = {HOST}/32
[verifies]
type = profile
endpoint_behavior = verify
"""


def trunks(port: int) -> str:
    """Two that lead back to this Asterisk, one of which signs, and the end where both come in."""
    text = f"\n[trunks]\ntype = transport\nprotocol = udp\nbind = {TRUNK}:{port}\n"
    for name, more in (
        ("signs", "transport = trunks\naors = signs\nstir_shaken_profile = signs"),
        ("plain", "transport = trunks\naors = plain"),
        ("in", "context = trunk\nstir_shaken_profile = verifies"),
    ):
        text += f"[{name}]\ntype = endpoint\ndisallow = all\nallow = ulaw\ndirect_media = no\n{more}\n"
    for name in ("signs", "plain"):
        text += f"[{name}]\ntype = aor\ncontact = sip:{HOST}:{port}\n"
    return f"{text}[in]\ntype = identify\nendpoint = in\nmatch = {TRUNK}\n"


@pytest.fixture(scope="module")
def carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Carrier]:
    folder = tmp_path_factory.mktemp("stir")
    (folder / "cache").mkdir()
    key = certificates(folder)
    server = ThreadingHTTPServer((HOST, 0), partial(_Quiet, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield Carrier(key, folder, f"http://{HOST}:{server.server_port}")
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture(scope="module")
def stage(carrier: Carrier) -> Iterator[Stage]:
    overrides = {
        "manager.conf": manager_user(SECRET),
        "stir_shaken.conf": stir_shaken(carrier),
        # the customer's phone, behind a trunk that signs
        "pjsip.conf": "\n[agent3](+)\nstir_shaken_profile = signs\n",
    }
    made = Stage(
        settings=CHEAP_PINS, customers=(ANNA, BO), dialplan=DIALPLAN, overrides=overrides, name="stir", brisk=True
    )
    file = made.pbx.folder / "etc" / "pjsip.conf"
    text = file.read_text()
    # a caller's phone is known by its login, and a trunk by its address
    assert "endpoint_identifier_order = auth_username,username\n" in text
    text = text.replace("auth_username,username\n", "auth_username,username,ip\n", 1)
    file.write_text(text + trunks(made.pbx.sip_port))
    with made:
        for module in _MODULES:
            made.pbx.cli(f"module load {module}")
        yield made


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _padless(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# ---------------------------------------------------------------- out


async def test_our_number_is_signed_at_its_level(stage: Stage, carrier: Carrier) -> None:
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(opened(stage.pbx, SECRET))
        line = Line(stage.pbx, floor, stack)
        await wait_for(lambda: line.outpost.is_connected, "the application")
        agent, customer = await line.phones()
        for shown in (OURS, BARE):
            dialling = line.dial(replace(CALL, shown=shown))
            await agent.incoming()
            await agent.answer()
            offer = await customer.incoming()
            assert offer["number"] == shown
            identity = offer.header("Identity")
            assert (identity is not None) is (shown == OURS)
            if identity is not None:
                head, claims, signature = identity.partition(";")[0].split(".")
                told = orjson.loads(_bytes(claims))
                orig = {"tn": OURS.strip("+")}
                assert (told["attest"], told["orig"], told["dest"]) == ("A", orig, {"tn": [NUMBER]})
                raw = _bytes(signature)
                both = utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
                carrier.key.public_key().verify(both, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
            await agent.hang_up()
            await customer.until("disconnected")
            await dialling
            await floor.nobody()
        line.serving.cancel()
        await asyncio.gather(line.serving, return_exceptions=True)


@pytest.mark.parametrize(
    ("trunk", "attestations", "found"),
    [
        ("agent3", {OURS: "A"}, []),
        ("agent3", {OURS: "B"}, [f"does not sign {OURS} at level B"]),
        ("agent3", {OURS: "A", BARE: "A"}, [f"does not sign {BARE} at level A"]),
        ("plain", {OURS: "A"}, ["the trunk plain has no stir_shaken_profile that signs"]),
        ("in", {OURS: "A"}, ["the trunk in has no stir_shaken_profile that signs"]),
        ("plain", {}, []),
    ],
)
async def test_the_doctor_sees_what_is_signed(
    stage: Stage, trunk: str, attestations: dict[str, str], found: list[str]
) -> None:
    settings = load(stage.config)
    table = {"dial": f"PJSIP/{trunk}/sip:{{number}}@192.0.2.1", "number": OURS, "numbers_of_teams": {"red": BARE}}
    told = Calls.model_validate(table | {"attestations": attestations})
    settings = settings.model_copy(update={"calls": told})
    ari = Ari.of(settings, "[asterisk]", log=Log().logger)
    await ari.open()
    try:
        asterisk = settings.asterisks["[asterisk]"]
        node = Node(settings, asterisk, "[asterisk]", ari, stage.pbx.version, "en", None, None, None, "")
        findings = await calls.check(node)
    finally:
        await ari.close()
    assert len(findings) == max(1, len(found))
    for finding, what in zip(findings, found, strict=False):
        assert finding.name == "calls-unsigned" and what in finding.what
    assert found or findings[0].name == "ok"


async def diagnosed(stage: Stage) -> list[tuple[str, str]]:
    """What the doctor says of the hint."""
    settings = load(stage.config)
    ari = Ari.of(settings, "[asterisk]", log=Log().logger)
    await ari.open()
    try:
        asterisk = settings.asterisks["[asterisk]"]
        node = Node(settings, asterisk, "[asterisk]", ari, stage.pbx.version, "en", None, None, None, "")
        return [(one.name, one.what) for one in await attestation.check(node)]
    finally:
        await ari.close()


async def test_the_doctor_sees_whether_the_hint_is_verified(stage: Stage) -> None:
    well = [("ok", "what carriers say of numbers is verified by verifies")]
    assert await diagnosed(stage) == well
    files = {name: stage.pbx.folder / "etc" / name for name in ("stir_shaken.conf", "pjsip.conf")}
    for name, before, after, found, what in (
        ("stir_shaken.conf", "endpoint_behavior = verify", "endpoint_behavior = attest", "unread", "no trunk has"),
        ("stir_shaken.conf", "endpoint_behavior = verify", "endpoint_behavior = verify\nfailure_action = reject_request", "refuses", "the profile verifies has failure_action = reject_request"),
        ("stir_shaken.conf", "failure_action = continue", "failure_action = reject_request", "refuses", "[verification] has failure_action = reject_request"),
        ("pjsip.conf", "stir_shaken_profile = verifies", "", "unread", "no trunk has"),
    ):  # fmt: skip
        kept = files[name].read_text()
        assert kept.count(before) == 1
        files[name].write_text(kept.replace(before, after))
        for module in ("res_stir_shaken.so", "res_pjsip.so"):
            stage.pbx.cli(f"module reload {module}")
        ((kind, said),) = await diagnosed(stage)
        files[name].write_text(kept)
        for module in ("res_stir_shaken.so", "res_pjsip.so"):
            stage.pbx.cli(f"module reload {module}")
        assert (kind, what in said) == (f"attestation-{found}", True), said
        assert await diagnosed(stage) == well
    stage.pbx.cli("dialplan set global TILLIT_ATTESTATION no")
    assert await diagnosed(stage) == []
    stage.pbx.cli("dialplan set global TILLIT_ATTESTATION yes")


# ---------------------------------------------------------------- in


async def hint(stage: Stage, extension: str, identity: str, *, anonymous: bool = False) -> str:
    """What the dialplan has of a call of Anna's number that comes with this header."""
    stage.pbx.ari("POST", "asterisk/variable", {"variable": "IDENTITY", "value": identity})
    async with Ami(stage.pbx) as ami, Phone(stage.pbx.line("caller")) as caller:
        await caller.call(extension, number=ANNA.phones, anonymous=anonymous)
        told = await ami.user_event("Hint", timeout=15)
        await caller.until("disconnected")
    return told["Attestation"]


@pytest.mark.parametrize("level", ["A", "B", "C"])
async def test_a_level_that_asterisk_has_verified(stage: Stage, carrier: Carrier, level: str) -> None:
    assert await hint(stage, "130", carrier.says(ANNA.phones, level)) == level


@pytest.mark.parametrize("what", ["forged", "other", "old", "nonsense", "level", "words"])
async def test_what_does_not_hold_is_told_as_that(stage: Stage, carrier: Carrier, what: str) -> None:
    """By a key that nobody has certified; of another number; of an hour ago; no signature at all; levels that there are not."""
    identity = {
        "forged": carrier.says(ANNA.phones, "A", key=ec.generate_private_key(ec.SECP256R1())),
        "other": carrier.says(BO.phones, "A"),
        "old": carrier.says(ANNA.phones, "A", age=3600),
        "nonsense": "A",
        "level": carrier.says(ANNA.phones, "AAA"),
        "words": carrier.says(ANNA.phones, 'A" | "1" = "1'),
    }[what]
    assert await hint(stage, "130", identity) == "failed"


async def test_a_number_that_nobody_has_signed_or_that_is_withheld(stage: Stage, carrier: Carrier) -> None:
    assert await hint(stage, "130", "") == "none"
    assert await hint(stage, "130", carrier.says(ANNA.phones, "A"), anonymous=True) == "none"


async def test_a_level_that_a_caller_has_brought_along_is_void(stage: Stage) -> None:
    assert await hint(stage, "140", "") == ""


async def test_a_number_that_is_signed_verifies_nobody(scene: Scene) -> None:
    caller = await scene.caller("110")
    for count in (1, 2, 3):
        await scene.asked("pin", count)
        await caller.send_digits("9999#")
    told = await scene.reached("here")
    assert (told["Attestation"], told["Status"], told["Level"], told["Badge"]) == ("A", "refused", "0", "")
    assert scene.marks() == []
    row = scene.audit()[-1]
    assert row["outcome"] == "refused"
    assert orjson.loads(row["detail"])["attestation"] == "A"
    assert scene.log("call.started")[0]["attestation"] == "A"


async def test_a_signature_that_is_forged_turns_nobody_away(scene: Scene, carrier: Carrier) -> None:
    forged = carrier.says(ANNA.phones, "A", key=ec.generate_private_key(ec.SECP256R1()))
    scene.stage.pbx.ari("POST", "asterisk/variable", {"variable": "IDENTITY", "value": forged})
    await scene.verified("120")
    told = await scene.reached("here")
    assert (told["Attestation"], told["Status"], told["Level"]) == ("failed", "verified", "2")
    row = scene.audit()[-1]
    assert row["outcome"] == "verified"
    assert orjson.loads(row["detail"])["attestation"] == "failed"

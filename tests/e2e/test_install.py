"""A stranger's test: docs/install.md is followed on a plain Asterisk, and a caller reaches a queue member verified.

Then gateways.md, prompts.md and upgrades.md are followed there. Each page is followed word for word, by an account that may use sudo, on a machine of its own (rig.machine) with a systemd, an
Asterisk that has a queue with two members and knows nothing of us, and Debian's Redis. What is not as at a stranger's:

- The checkout is copied to /opt/tillit, as the page says, and not cloned from anywhere: the machine has no network.
- `apt-get install` finds its packages installed. pip takes the libraries from files that were fetched before (/etc/pip.conf).
- `sudo editor FILE` opens nothing; `edited` in guide.py does what the page says of the blocks behind it.
- The text message gateways are servers of our own, in the machine's network, with the names and addresses that the page tells of.
- Where sudo is not installed, four lines of shell with a setuid helper do what it does.
- Asterisk is the one that the other tests use, with Debian's paths.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rig.machine import Machine, lacking
from rig.phone import Phone
from rig.stage import code_in
from rig.state import CHECKOUT, RigError, wait_until
from rig.wheels import wheels

from tests.contract.smpp_kit import PASSWORD as CENTRES_PASSWORD
from tests.contract.smpp_kit import Centre
from tests.contract.texts_kit import certificate
from tests.contract.texts_server import (
    PASSWORD,
    Api,
    Asked,
    Status,
    TextsServer,
    application_key,
    elks,
    twilio,
    vonage,
)
from tests.e2e.guide import Guide, edited

PACKAGES = ("python3-venv", "redis-server", "espeak-ng", "openssl")

# A PBX as it stands at somebody's who has never heard of us: a trunk, two agents, a queue.
PJSIP = """
[global]
type = global
endpoint_identifier_order = auth_username,username

[udp]
type = transport
protocol = udp
bind = 127.0.0.1

[phone](!)
type = endpoint
disallow = all
allow = ulaw,alaw
direct_media = no
media_address = 127.0.0.1
identify_by = auth_username,username
send_pai = yes
trust_id_outbound = yes

[trunk](phone)
context = from-trunk
auth = trunk
[trunk]
type = auth
username = trunk
password = plain

[anna](phone)
context = internal
auth = anna
aors = anna
[anna]
type = auth
username = anna
password = plain
[anna]
type = aor
max_contacts = 1

[bo](phone)
context = internal
auth = bo
aors = bo
[bo]
type = auth
username = bo
password = plain
[bo]
type = aor
max_contacts = 1
"""
QUEUES = """
[general]
autofill = yes

[support]
strategy = ringall
ringinuse = no
timeout = 20
member => PJSIP/anna
member => PJSIP/bo
"""
EXTENSIONS = """[general]
static = yes
writeprotect = yes

[from-trunk]
exten => 100,1,Answer()
 same => n,Queue(support)
 same => n,Hangup()

[internal]
exten => _X.,1,Dial(PJSIP/${EXTEN}@trunk)
"""
# As the package has them: all that we need is switched off, or not there.
HTTP = """[general]
servername=Asterisk
;enabled=yes
bindaddr=127.0.0.1
;bindport=8088
"""
ARI = """[general]
enabled = yes       ; When set to no, ARI support is disabled.
;pretty = no
"""
QUIET = (CHECKOUT / "scripts/rig/etc/modules.conf").read_text()  # without what would look for hardware and databases


def files() -> dict[str, str | Path]:
    etc = {
        "pjsip": PJSIP,
        "queues": QUEUES,
        "extensions": EXTENSIONS,
        "http": HTTP,
        "ari": ARI,
        "modules": QUIET,
        "rtp": "[general]\nrtpstart=10000\nrtpend=10200\n",
        "logger": "[logfiles]\nmessages.log => notice,warning,error\n",
        "indications": (CHECKOUT / "scripts/rig/etc/indications.conf").read_text(),
        "musiconhold": "[default]\nmode=files\ndirectory=/usr/share/asterisk/moh\n",
    }
    pip = "[global]\nno-index = true\nfind-links = /srv/wheels\n"
    return {"etc/pip.conf": pip, **{f"etc/asterisk/{name}.conf": text for name, text in etc.items()}}


def missing() -> str:
    if why := lacking():
        return why
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Status}\n", *PACKAGES], capture_output=True, text=True)
    absent = done.stdout.count("install ok installed") != len(PACKAGES)
    return f"not all of these packages are installed: {', '.join(PACKAGES)}" if absent else ""


pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=f"docs/install.md is not shown to be right: {missing()}"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(files(), shown={wheels(): "/srv/wheels"}) as made:
        yield made


@pytest.fixture(scope="module")
def guide(machine: Machine) -> Guide:
    return Guide(CHECKOUT / "docs" / "install.md", machine)


@pytest.fixture(scope="module")
def installed(guide: Guide, tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """The page, followed up to the first call."""
    guide.machine.copy(checkout(tmp_path_factory.mktemp("checkout")), "/opt/tillit")
    guide.follow("1. The program")
    guide.follow("2. A user, its folders, the settings")
    guide.follow("3. Redis and the keys")
    assert re.search(r"(?m)^No +Yes +tillit$", guide.follow("4. Asterisk's REST interface"))
    guide.follow("5. The prompts")
    assert "[ Context 'tillit-verify'" in guide.follow("6. The dialplan")
    pin = only(r"take `(\d+)`", guide.section("7. A first customer"))
    guide.follow("7. A first customer", {"PIN: ": pin, "The same again: ": pin})
    assert re.search(r"(?m)^active$", guide.follow("8. The worker"))
    wait_until(lambda: "ari.connected" in journal(guide.machine), 30, "the worker to say that it serves")
    doctor = only(r"(?m)^sudo (.*ari_app.py doctor .*)$", guide.section("9. The doctor"))
    # it ends with 1: the page says of what it warns still
    said = guide.machine.run(f"sudo {doctor} || test $? = 1")
    warned = re.findall(r"(?m)^(?:warning|fault) +(.*)$", said)
    assert [line.split(" is ")[0] for line in warned] == [
        "texts: [texts] gateway",
        "asterisk: Asterisk may open 1024 files: that",
    ]
    # what holds until Asterisk's next start only has not been installed: the calls come after one
    guide.machine.root("systemctl", "restart", "asterisk")
    wait_until(
        lambda: journal(guide.machine).count("ari.connected") == 2, 60, "the worker to serve the restarted Asterisk"
    )
    return guide


def checkout(folder: Path) -> Path:
    """What somebody has who clones this checkout."""
    folder.chmod(0o755)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in listed.rstrip("\0").split("\0"):
        if (CHECKOUT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)
    return folder


def only(pattern: str, text: str) -> str:
    (found,) = set(re.findall(pattern, text))
    return str(found)


def journal(machine: Machine) -> str:
    return machine.root("journalctl", "-u", "tillit", "-o", "cat", "--no-pager")


def phone(machine: Machine, user: str) -> Phone:
    return Phone(machine.line(user, "plain", registers=user != "trunk"))


async def until_logged(machine: Machine, event: str, words: str = "", count: int = 1) -> None:
    def found() -> bool:
        return sum(event in line and words in line for line in journal(machine).splitlines()) >= count

    await asyncio.to_thread(wait_until, found, 20, f"{event} {words}")


# ---------------------------------------------------------------- what the page promises


async def test_a_caller_reaches_a_queue_member_verified(installed: Guide) -> None:
    machine, told = installed.machine, installed.section("10. A first call")
    number = only(r"--phone (\S+)", installed.section("7. A first customer"))
    name = only(r"shows `(.+?)`", told)
    async with phone(machine, "anna") as anna, phone(machine, "bo") as bo, phone(machine, "trunk") as caller:
        await caller.call("100", number=number)
        await caller.until("confirmed")
        await caller.hears()
        await until_logged(machine, "entry.asked", "pin")
        await caller.send_digits(only(r"key `(\d+#)`", told))
        await until_logged(machine, "entry.asked", "sms_code")
        await until_logged(machine, "text.sent")  # the text is on its way while the code is asked for
        (show, *others) = [text for language, text in installed.blocks("10. A first call") if language == "sh"]
        shown = await asyncio.to_thread(machine.run, show)
        message = json.loads(shown.strip().splitlines()[-1])
        assert message["to"] == number
        await caller.send_digits(f"{code_in(message['text'])}#")
        for agent in (anna, bo):
            invite = await agent.incoming()
            assert invite["name"] == name
            assert (invite.header("X-Caller-Auth") or "").startswith("verified; level=2; methods=pin,sms_code; ref=")
        await bo.answer()
        await caller.play_tone(1100)
        await bo.hears(1100)
        assert "verified" in await asyncio.to_thread(machine.run, others[0])
        await caller.hang_up()
        await bo.until("disconnected")


@pytest.fixture(scope="module")
def beside(installed: Guide) -> Guide:
    """With a Redis of its own beside one that somebody else uses, from here on to the last test."""
    machine = installed.machine
    installed.follow("A Redis of its own")
    machine.run(redis_back(installed))
    assert machine.read("/etc/redis/redis.conf") == Path("/etc/redis/redis.conf").read_text()
    machine.root("redis-cli", "set", "neighbour", "here")
    restart(machine)
    return installed


def redis_back(guide: Guide) -> str:
    (found,) = [text for _, text in guide.blocks("Going back") if "redis" in text]
    return found


def restart(machine: Machine) -> None:
    before = journal(machine).count("ari.connected")
    machine.run("sudo systemctl restart tillit")
    wait_until(lambda: journal(machine).count("ari.connected") > before, 30, "the worker to serve again")


async def test_who_keys_a_wrong_pin_reaches_the_queue_without_a_mark(beside: Guide) -> None:
    """The failures are counted in the Redis of its own, and the other one has nothing of ours."""
    installed, machine = beside, beside.machine
    number = only(r"--phone (\S+)", installed.section("7. A first customer"))
    async with phone(machine, "anna") as anna, phone(machine, "trunk") as caller:
        asked = journal(machine).count("entry.asked")
        await caller.call("100", number=number)
        await caller.until("confirmed")
        for wrong in range(3):
            await until_logged(machine, "entry.asked", count=asked + wrong + 1)
            await caller.send_digits("1111#")
            await until_logged(machine, "step.wrong", count=wrong + 1)
        invite = await anna.incoming()
        assert (invite.header("X-Caller-Auth"), invite["name"]) == (None, "")
    assert machine.root("redis-cli", "keys", "*").split() == ["neighbour"]
    written = machine.root("sh", "-c", "cat /var/lib/redis/tillit/appendonlydir/*.aof")
    assert "tillit:" in written


async def test_with_the_worker_stopped_callers_reach_the_queue_all_the_same(installed: Guide) -> None:
    machine = installed.machine
    stop, start = [text for _, text in installed.blocks("10. A first call")][-1].splitlines()
    await asyncio.to_thread(machine.run, stop)
    async with phone(machine, "anna") as anna, phone(machine, "trunk") as caller:
        await caller.call("100", number="+46701740601")
        await caller.until("confirmed")
        await caller.hears()
        invite = await anna.incoming()
        assert (invite.header("X-Caller-Auth"), invite["name"]) == (None, "")
    before = journal(machine).count("ari.connected")
    await asyncio.to_thread(machine.run, start)
    await until_logged(machine, "ari.connected", count=before + 1)


def test_the_worker_runs_in_its_sandbox(installed: Guide) -> None:
    """What config/tillit.service asks for is in force, and the calls above went through it."""
    machine = installed.machine
    pid = machine.root("systemctl", "show", "tillit", "--property=MainPID", "--value").strip()
    status = dict(re.findall(r"(?m)^(\w+):\s+(.*)$", machine.read(f"/proc/{pid}/status")))
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    inside = ("nsenter", f"--target={pid}", "--mount", "--", "findmnt", "--noheadings", "--output=OPTIONS", "--target")
    for path, rights in (("/", "ro"), ("/etc/tillit", "ro"), ("/var/lib/tillit", "rw")):
        assert machine.root(*inside, path).split(",")[0] == rights, path


# ---------------------------------------------------------------- docs/gateways.md


def sms(asked: Asked) -> Status:
    """What the page's table for any other gateway is made for."""
    if asked.headers.get("authorization") != f"Bearer {PASSWORD}" or asked.path not in ("/v1/messages", "/sms"):
        return Status(403)
    return Status(200, {"messages": [{"status": "queued"}]})


# section: what it asks for, the server's name and address, and what it speaks
GATEWAYS: dict[str, tuple[str, str, str, Api]] = {
    "46elks": ("46elks API password: ", "api.46elks.com", "46.16.232.1", elks),
    "Twilio": ("Twilio API key secret: ", "api.twilio.com", "46.16.232.2", twilio),
    "Vonage": ("Vonage signature secret: ", "api.nexmo.com", "46.16.232.4", vonage),
    "Any other, by HTTP": ("SMS gateway secret: ", "sms.example.com", "46.16.232.3", sms),
}


CENTRE = ("smsc.example.com", "46.16.232.5", 3550)


@asynccontextmanager
async def in_tls(at: socket.socket, tls: ssl.SSLContext, port: int) -> AsyncIterator[None]:
    """What comes to this socket within TLS goes on to a port of ours."""

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(4096):
            writer.write(some)
            await writer.drain()
        writer.close()

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, out = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(passed(reader, out), passed(inner, writer), return_exceptions=True)

    server = await asyncio.start_server(taken, sock=at, ssl=tls)
    try:
        yield
    finally:
        server.close()


async def test_each_gateway_takes_a_text(installed: Guide, tmp_path: Path) -> None:
    machine, page = installed.machine, Guide(CHECKOUT / "docs" / "gateways.md", installed.machine)
    known_as = {name: address for _, name, address, _ in GATEWAYS.values()} | {CENTRE[0]: CENTRE[1]}
    pem, tls = certificate(tmp_path, "gateways", ",".join(f"DNS:{name}" for name in known_as))
    machine.write("/etc/ssl/certs/gateways.pem", pem.read_text())
    known = machine.root("openssl", "x509", "-hash", "-noout", "-in", "/etc/ssl/certs/gateways.pem").strip()
    machine.root("ln", "-s", "gateways.pem", f"/etc/ssl/certs/{known}.0")
    hosts = [f"{address} {name}\n" for name, address in known_as.items()]
    # what Vonage has let somebody download
    machine.run(f"cat > ~/private.key <<'END'\n{application_key().as_pem(private=True).decode()}END")
    machine.write("/etc/hosts", machine.read("/etc/hosts") + "".join(hosts))

    async def tried(server: TextsServer) -> Asked:
        began = journal(machine).count("ari.connected")
        shown = await asyncio.to_thread(page.type, "Trying it")
        assert PASSWORD not in shown
        await until_logged(machine, "ari.connected", count=began + 1)  # the worker takes the change
        (asked,) = server.asked
        return asked

    async with Centre() as centre, in_tls(machine.listen(*CENTRE[1:]), tls, centre.port):
        await centre.tell(system_id="exampletel")
        shown = await asyncio.to_thread(page.follow, "SMPP", {"SMPP password: ": CENTRES_PASSWORD})
        began = journal(machine).count("ari.connected")
        shown += await asyncio.to_thread(page.type, "Trying it")
        assert CENTRES_PASSWORD not in shown
        await until_logged(machine, "ari.connected", count=began + 1)
        assert (await centre.until("submit"))["to"][2] == "46701740601"
        assert centre.of("refused") == []
    for section, (question, name, address, api) in GATEWAYS.items():
        async with TextsServer(api, tls, machine.listen(address, 443)) as server:
            shown = await asyncio.to_thread(page.follow, section, {question: PASSWORD})
            assert PASSWORD not in shown
            assert (await tried(server)).headers["host"] == name
    # what signs reports, and what was downloaded once: nobody else reads the one, and the other lies nowhere else
    kept = machine.root("stat", "-c", "%U %a", "/etc/tillit/vonage.signature", "/etc/tillit/vonage.key").splitlines()
    assert kept == ["tillit 600"] * 2
    assert machine.run("ls ~").split() == []
    async with TextsServer(sms, at=machine.listen("10.0.0.5", 8080)) as server:
        await asyncio.to_thread(page.follow, "Where a gateway may be")
        assert json.loads((await tried(server)).body)["to"] == "+46701740601"
    machine.write("/etc/tillit/tillit.toml", page.before["/etc/tillit/tillit.toml"])
    await asyncio.to_thread(restart, machine)


# ---------------------------------------------------------------- docs/upgrades.md


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="docs/upgrades.md is not shown to be right: no sqlite3")
def test_an_upgrade_and_the_way_back(installed: Guide, tmp_path: Path) -> None:
    machine = installed.machine
    upgrades = Guide(CHECKOUT / "docs" / "upgrades.md", machine)
    new = checkout(tmp_path)
    machine.root("sh", "-c", "echo first > /opt/tillit/release")
    for release in ("second", "third"):
        upgrades.type("Before")
        machine.root("rm", "-rf", "/opt/tillit/ivr")
        (new / "release").write_text(release)
        machine.copy(new, "/opt/tillit")
        began = journal(machine).count("ari.connected")
        shown = upgrades.type("The order")
        assert "Nothing to do: the keys and the database are there." in shown
        assert re.search(r"(?m)^sv: 0 made", shown), "prompts that are there already were made anew"
        wait_until(lambda began=began: journal(machine).count("ari.connected") > began, 30, "the new worker to serve")  # type: ignore[misc]
    upgrades.type("Going back")
    wait_until(lambda: journal(machine).count("ari.connected") > began + 1, 30, "the worker of before to serve")
    assert machine.read("/opt/tillit/release") == "second"
    number = only(r"customer add (\d+)", installed.section("7. A first customer"))
    show = f"sudo -u tillit venv/bin/python ari_app.py customer show {number} --config /etc/tillit/tillit.toml"
    assert re.search(r"PIN +set", machine.run(f"cd /opt/tillit; {show}"))


# ---------------------------------------------------------------- docs/prompts.md

# It is asked as Piper is, and speaks with espeak-ng's voice.
PIPER = """#!/bin/sh
test "$1 $2 $3" = "--model /opt/voices/sv.onnx --output_file" && exec espeak-ng -v sv --stdin -w "$4"
"""


def test_another_voice_and_a_recording(installed: Guide) -> None:
    machine, page = installed.machine, Guide(CHECKOUT / "docs" / "prompts.md", installed.machine)
    machine.root("install", "-m", "755", "/dev/null", "/usr/local/bin/piper")
    machine.write("/usr/local/bin/piper", PIPER)
    assert set(re.findall(r"(?m)^\w\w: (\d+) made", page.type("Making them"))) == {"0"}, "they are there already"
    assert re.search(r"(?m)^sv: [1-9]\d made, 0 up to date", page.type("Another voice"))
    machine.root("mkdir", "-p", "/opt/tillit/recordings/sv")
    machine.root("espeak-ng", "-w", "/opt/tillit/recordings/sv/welcome.wav", "Our own recording")
    welcome = ("sha256sum", "/usr/share/asterisk/sounds/sv/tillit/welcome.wav")
    before = machine.root(*welcome)
    page.type("Your own recordings")
    assert machine.root(*welcome) != before


# ---------------------------------------------------------------- that a wrong page would be found


@pytest.mark.parametrize(
    "line",
    [
        "sudo -u tillit venv/bin/python ari_app.py inti --config /etc/tillit/tillit.toml",
        "cat /etc/tillit/ari.password",  # without sudo
        "sudo -u nobody cat /etc/tillit/tillit.toml",
        "sudo install -m 644 config/tilit.service /etc/systemd/system/",
        "sudo systemctl restart redis-serve",
        "cat missing | sudo tee /root/here",
        "sudo -u tillit venv/bin/python ari_app.py customer add 10002 --name X --config /etc/tillit/tillit.toml < /dev/null",
    ],
)
def test_a_wrong_command_is_found(installed: Guide, line: str) -> None:
    with pytest.raises(RigError, match="it ended with"):
        installed.machine.run(line)


def test_a_wrong_snippet_is_found() -> None:
    assert edited("[a]\n;b = 1\n[c]\nb = 3\n", "[a]\nb = 2\n") == "[a]\nb = 2\n[c]\nb = 3\n"
    assert edited("[a]\n", "[b]\nexten => s,1,NoOp()\n") == "[a]\n\n[b]\nexten => s,1,NoOp()\n"
    for snippet in ("[a]\nx = 2\n", "[a]\nnonsense\n"):
        with pytest.raises(AssertionError):
            edited("[a]\nb = 1\n", snippet)


# ---------------------------------------------------------------- back again: the last tests of this file


async def reaches_the_queue_as_before(machine: Machine) -> None:
    async with phone(machine, "anna") as anna, phone(machine, "trunk") as caller:
        await caller.call("100", number="+46701740601", name="Trunk's own")
        invite = await anna.incoming()
        assert (invite.header("X-Caller-Auth"), invite["name"]) == (None, "Trunk's own")


async def test_two_semicolons_take_it_out_of_the_way(installed: Guide) -> None:
    machine, file = installed.machine, "/etc/asterisk/extensions.conf"
    told = installed.section("Going back")
    assert "put a `;` in front of the line with `Gosub` and of the line with `GotoIf`" in told
    ours = machine.read(file)
    machine.write(file, re.sub(r"(?m)^ same => n,(Gosub|GotoIf)", r";\g<0>", ours))
    await asyncio.to_thread(machine.run, only(r"\(`(sudo [^`]+)`\)", told))
    await reaches_the_queue_as_before(machine)
    machine.write(file, ours)


async def test_going_back_leaves_the_asterisk_as_it_was(beside: Guide) -> None:
    installed, machine = beside, beside.machine
    machine.write("/etc/asterisk/extensions.conf", installed.before["/etc/asterisk/extensions.conf"])
    for language, text in installed.blocks("Going back"):
        if text == redis_back(installed):
            installed.type("Taking that Redis away")
        elif language == "sh" and not text.startswith("sudo editor "):
            machine.run(text)
    await reaches_the_queue_as_before(machine)
    left = machine.root(
        "sh", "-c", "find /etc /opt /var/lib /usr/share/asterisk -iname '*tillit*' -not -path '*/dpkg/*'"
    )
    assert left == ""
    for name, text in (("extensions", EXTENSIONS), ("ari", ARI)):
        assert machine.read(f"/etc/asterisk/{name}.conf") == text
    assert machine.root("systemctl", "is-active", "asterisk", "redis-server").split() == ["active", "active"]
    assert machine.root("redis-cli", "get", "neighbour").strip() == "here"
    with pytest.raises(RigError):
        machine.root("id", "tillit")

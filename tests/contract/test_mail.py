"""E-mail to a real mail server: encrypted, signed in, taken or not, and what is said of it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from ivr.config import Settings
from ivr.errors import MailError, NobodyThere
from ivr.mail.smtp import Mailer
from ivr.secret import Personal, Secret
from tests.unit.database_kit import settings_in

# the server's own advice to whoever would run it in clear
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

TO = Personal("anna@customer.example")
LINK = Secret("https://proof.example.com/p/abcdefghijklmnopqrstuv – Åsa ringer dig.")


class Server:
    """What a mail server is told, and answers."""

    def __init__(self) -> None:
        self.taken: list[tuple[Envelope, EmailMessage]] = []
        self.answers = "250 OK"
        self.recipient = "250 OK"
        self.port = 0
        self.go = asyncio.Event()
        self.go.set()

    async def handle_RCPT(self, _s: Any, _w: Any, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        if self.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return self.recipient

    async def handle_DATA(self, _s: Any, _w: Any, envelope: Envelope) -> str:  # noqa: N802
        await self.go.wait()
        if self.answers.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.taken.append((envelope, message_from_bytes(envelope.content, policy=POLICY)))  # type: ignore[arg-type]
        return self.answers


def knows(_server: object, _session: object, _envelope: object, _way: str, said: object) -> AuthResult:
    right = isinstance(said, LoginPassword) and (said.login, said.password) == (b"calls", b"correct horse")
    return AuthResult(success=right, handled=False)


@pytest.fixture
def ca(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "mail.password").write_text("correct horse")
    (tmp_path / "mail.password").chmod(0o600)
    return made


@asynccontextmanager
async def serving(
    ca: trustme.CA, name: str = "localhost", *, encrypted: bool = True, implicit: bool = False
) -> AsyncIterator[Server]:
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    starttls = encrypted and not implicit

    def one() -> SMTP:
        return SMTP(
            server, hostname="mail.example", authenticator=knows, auth_required=True, auth_require_tls=starttls,
            tls_context=context if starttls else None, require_starttls=starttls, enable_SMTPUTF8=True,
        )  # fmt: skip

    loop = asyncio.get_running_loop()
    listening = await loop.create_server(one, "127.0.0.1", 0, ssl=context if implicit else None)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.go.set()
        listening.close()


@pytest.fixture
async def server(ca: trustme.CA) -> AsyncIterator[Server]:
    async with serving(ca) as made:
        yield made


Mailing = Callable[..., Mailer]


@pytest.fixture
def mailing(tmp_path: Path, ca: trustme.CA) -> Mailing:
    def make(server: Server, **changes: str) -> Mailer:
        said = {
            "host": '"localhost"', "port": str(server.port), "username": '"calls"', "password_file": '"mail.password"',
            "sender": '"calls@example.com"', "ca_file": '"ca.pem"', "seconds": "5",
        } | changes  # fmt: skip
        lines = "".join(f"{name} = {value}\n" for name, value in said.items() if value)
        made = Mailer.of(settings_in(tmp_path, f"[mail]\n{lines}"))
        assert made is not None
        return made

    return make


async def test_a_message_is_taken(server: Server, mailing: Mailing) -> None:
    await mailing(server).send(TO, "Någon ringer dig från Example", LINK)
    ((envelope, message),) = server.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("calls@example.com", ["anna@customer.example"])
    assert message["From"] == "Example <calls@example.com>"
    assert (message["Subject"], message["Auto-Submitted"]) == ("Någon ringer dig från Example", "auto-generated")
    assert message["Message-ID"].endswith("@example.com>") and message["Date"]
    assert message.get_content().strip() == LINK.reveal()
    assert message.get_content_type() == "text/plain"


async def test_by_tls_from_the_first_byte_on(ca: trustme.CA, mailing: Mailing) -> None:
    async with serving(ca, implicit=True) as server:
        await mailing(server, tls='"implicit"').send(TO, "x", LINK)
        assert len(server.taken) == 1


async def test_in_clear_on_this_machine_alone(ca: trustme.CA, mailing: Mailing) -> None:
    async with serving(ca, encrypted=False) as server:
        await mailing(server, tls='"none"', host='"127.0.0.1"', ca_file="").send(TO, "x", LINK)
        assert len(server.taken) == 1


async def test_one_that_offers_no_encryption_is_told_nothing(ca: trustme.CA, mailing: Mailing) -> None:
    """Whoever is on the way has taken the offer away."""
    async with serving(ca, encrypted=False) as server:
        with pytest.raises(MailError, match="offers no encryption"):
            await mailing(server).send(TO, "x", LINK)
        assert not server.taken


async def test_one_with_anothers_certificate_is_told_nothing(ca: trustme.CA, mailing: Mailing, tmp_path: Path) -> None:
    async with serving(ca, "mail.other.example") as server:
        with pytest.raises(MailError, match="certificate is not trusted"):
            await mailing(server).send(TO, "x", LINK)
    async with serving(trustme.CA()) as server:
        with pytest.raises(MailError, match="certificate is not trusted"):
            await mailing(server).send(TO, "x", LINK)
    assert not server.taken


async def test_a_wrong_password(server: Server, mailing: Mailing, tmp_path: Path) -> None:
    (tmp_path / "mail.password").write_text("wrong")
    with pytest.raises(MailError, match="username or password is wrong"):
        await mailing(server).reach()


async def test_it_is_reached_without_a_message(server: Server, mailing: Mailing) -> None:
    await mailing(server).reach()
    assert not server.taken


@pytest.mark.parametrize(("answer", "kind"), [("550 5.1.1 anna@customer.example: no such user", NobodyThere), ("553 no", NobodyThere), ("450 later", MailError), ("552 full", MailError)])  # fmt: skip
async def test_a_mailbox_that_is_not_taken(
    server: Server, mailing: Mailing, answer: str, kind: type[Exception]
) -> None:
    server.recipient = answer
    with pytest.raises(kind) as caught:
        await mailing(server).send(TO, "x", LINK)
    assert answer[:3] in str(caught.value) and "anna" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_message_that_is_not_taken(server: Server, mailing: Mailing) -> None:
    server.answers = "554 5.7.1 https://proof.example.com/p/abc looks like spam"
    with pytest.raises(MailError, match=r"^mail: it did not take the message \(status 554\)$"):
        await mailing(server).send(TO, "x", LINK)


async def test_one_that_does_not_answer(server: Server, mailing: Mailing) -> None:
    server.go.clear()
    with pytest.raises(MailError, match="did not answer in time"):
        await mailing(server, seconds="0.5").send(TO, "x", LINK)


async def test_nobody_listens(server: Server, mailing: Mailing, ca: trustme.CA) -> None:
    async with serving(ca) as gone:
        mailer = mailing(gone)
    with pytest.raises(MailError, match="cannot be connected to"):
        await mailer.send(TO, "x", LINK)


@pytest.mark.parametrize(
    "to",
    [
        "anna@customer.example\r\nBcc: all@customer.example", "anna@customer.example, bo@customer.example", "anna", "",
        "<anna@customer.example>", "a b@customer.example", "anna@customer.example\0", "@customer.example", "anna@customer.example>", "anna@[127.0.0.1]\n",
    ],
)  # fmt: skip
async def test_what_is_no_address(server: Server, mailing: Mailing, to: str) -> None:
    with pytest.raises(NobodyThere, match="is no address"):
        await mailing(server).send(Personal(to), "x", LINK)
    assert not server.taken


async def test_a_subject_of_two_lines_is_not_sent(server: Server, mailing: Mailing) -> None:
    with pytest.raises(MailError, match="cannot be written"):
        await mailing(server).send(TO, "x\r\nBcc: all@customer.example", LINK)
    assert not server.taken


def test_no_settings_no_mail(tmp_path: Path) -> None:
    settings: Settings = settings_in(tmp_path)
    assert Mailer.of(settings) is None

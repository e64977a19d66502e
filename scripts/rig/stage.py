"""A PBX with Tillit in front of it, as an administrator would put it there: for the demo, the tests and the bench."""

from __future__ import annotations

import csv
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from rig.asterisk import Pbx
from rig.commands import Commands
from rig.crm import FREE, PATTERNS, Crm
from rig.desk import Desk, Proxy, PublicPage, manager_user
from rig.people import ANNA, BO, CECILIA, CUSTOMERS, DAVID, Customer
from rig.ports import HOST, Ports
from rig.redis_server import Redis
from rig.sounds import PROMPTS, beginnings
from rig.state import CHECKOUT, RigError, wait_until
from rig.tables import CHEAP_PINS, Tables, toml
from rig.worker import Worker

__all__ = [
    "ANNA", "BO", "CECILIA", "CHEAP_PINS", "CUSTOMERS", "DAVID", "DIALPLAN", "PROMPTS", "Customer", "Stage", "Tables", "code_in",
]  # fmt: skip

DIALPLAN = """
; 100 verifies by `main` and goes on in the dialplan, 200 by `bridge`: agents are called by the worker
[callers]
exten => _[1-9]00,1,Set(POLICY=${IF($["${EXTEN}" = "200"]?bridge:main)})
 same => n,Gosub(tillit-verify,s,1(${POLICY}))
 same => n,GotoIf($["${CALLER_AUTH_STATUS}" = "verified"]?verified,s,1:unverified,s,1)

[verified]
exten => s,1,UserEvent(Reached,Path: verified,Status: ${CALLER_AUTH_STATUS},Level: ${CALLER_AUTH_LEVEL})
 same => n,Queue(support,b(tillit-badge^s^1),,,60)
 same => n,Hangup()

[unverified]
exten => s,1,UserEvent(Reached,Path: unverified,Status: ${CALLER_AUTH_STATUS},Level: ${CALLER_AUTH_LEVEL})
 same => n,Dial(PJSIP/agent3,30,b(tillit-badge^s^1))
 same => n,ExecIf($["${DIALSTATUS}" != "ANSWER"]?MusicOnHold(default,60))
 same => n,Hangup()

[agents]
exten => _X.,1,Congestion()
"""


class Stage(Commands):
    """Everything but the phones; a context manager that leaves nothing behind.

    settings: tables that are laid over the sample's, such as `{"keypad": {"first_seconds": 2}}`.
    """

    def __init__(
        self,
        *,
        settings: Tables | None = None,
        customers: Sequence[Customer] = CUSTOMERS,
        dialplan: str = DIALPLAN,
        name: str = "stage",
        debug: bool = False,
        overrides: Mapping[str, str] | None = None,
        brisk: bool = False,
        sounds: Path = PROMPTS,
        languages: Sequence[str] = ("en",),
        ports: int = 400,
        nodes: Sequence[str] = (),
        redis: Redis | None = None,
        desk: bool = False,
        crm: bool = False,
        page: bool = False,
    ) -> None:
        """`sounds`: where `scripts/prompts` made the prompts of these languages.

        `nodes`: names of further Asterisks, each like the first one, that the same worker serves.

        `redis`: one of another kind than the usual one, not started yet.

        `desk`: whether the settings have one, and Asterisk its user.

        `page`: whether they have a public page, beside the desk.

        `crm`: whether they have a proxy, too, and a CRM behind it.

        `brisk`: of each prompt its beginning alone, for tests that need not hear what is said.
        """
        self._stack = ExitStack()
        self._settings = settings or {}
        self._customers = customers
        self._desk_ports = Ports() if desk else None
        self._desk_port = 0 if self._desk_ports is None else self._desk_ports.take()
        self._crm_ports = (
            None if self._desk_ports is None or not crm else (self._desk_ports.take(), self._desk_ports.take())
        )
        self._page_port = self._desk_ports.take() if self._desk_ports is not None and page else 0
        self._desk_secret = secrets.token_urlsafe(16)
        if desk:
            own = overrides or {}
            overrides = {**own, "manager.conf": own.get("manager.conf", "") + manager_user(self._desk_secret)}
        prompts = {language: sounds / language / "tillit" for language in languages}

        def pbx(name: str) -> Pbx:
            return Pbx(
                dialplan=(CHECKOUT / "dialplan" / "tillit.conf", dialplan),
                prompts={language: beginnings(folder) if brisk else folder for language, folder in prompts.items()},
                overrides=overrides,
                name=name,
                debug=debug,
                ports=ports,
            )

        self.pbx = pbx(name)
        self.nodes = {node: pbx(f"{name}-{node}") for node in nodes}
        # further files beside the settings, and what is in them; to be named before it starts
        self.passwords: dict[str, str] = {}
        self.redis = redis or Redis(name=f"{name}-redis", persist=True)
        self.folder = self.pbx.folder / "tillit"
        self.config = self.folder / "tillit.toml"
        self.outbox = self.folder / "outbox"
        self.database = self.folder / "tillit.db"

    @property
    def worker_log(self) -> Path:
        """Where the log of the worker that has the usual name goes."""
        return self.worker().log_file

    def start(self) -> None:
        """Asterisk, Redis, keys, database and customers; no worker yet."""
        self._stack.enter_context(self.redis)
        for pbx in (self.pbx, *self.nodes.values()):
            self._stack.enter_context(pbx)
        self.folder.mkdir(mode=0o700)
        self.write_config()
        passwords = {f"{name}.password": pbx.ari_password for name, pbx in self.nodes.items()}
        passwords |= self.passwords
        if self._desk_ports is not None:
            passwords["desk.password"] = self._desk_secret
        passwords |= {"ari.password": self.pbx.ari_password, "redis.password": self.redis.password}
        for file, password in passwords.items():
            (self.folder / file).touch(0o600)
            (self.folder / file).write_text(password)
        self.command("init")
        self.add(self._customers)

    def close(self) -> None:
        """End everything."""
        self._stack.close()
        if self._desk_ports is not None:
            self._desk_ports.close()

    def write_config(self, settings: Tables | None = None) -> None:
        """Write tillit.toml anew, with these tables laid over the others."""
        tables: dict[str, dict[str, object]] = {
            "company": {"name": "Example Telecom", "country": "SE"},
            "asterisk": {"url": self.pbx.ari_url, "password_file": "ari.password"},
            "redis": {"url": f"redis://127.0.0.1:{self.redis.port}/0", "password_file": "redis.password"},
            "log": {"level": "DEBUG", "format": "json"},
            # nobody waits for the end of a test
            "worker": {"shutdown_seconds": 1},
            "policies.main": {"steps": ["pin", "sms_code"], "level": 2},
            "policies.bridge": {
                "steps": ["pin", "sms_code"],
                "level": 2,
                "hand_over": "bridge",
                "agents": ["PJSIP/agent1", "PJSIP/agent2"],
            },
        }
        for name, pbx in self.nodes.items():
            tables[f"nodes.{name}"] = {"url": pbx.ari_url, "password_file": f"{name}.password"}
        if self._desk_ports is not None:
            address = f"{HOST}:{self._desk_port}"
            tables["desk"] = {"listen": address, "url": f"http://{address}"}
            if self._crm_ports is not None:
                crm, proxy = self._crm_ports
                # a host of its own, for cookies know no port
                addresses = {"listen": f"{HOST}:{proxy}", "url": f"http://localhost:{proxy}"}
                tables["proxy"] = {**addresses, "upstream": f"http://{HOST}:{crm}", "free": FREE}
                tables |= PATTERNS
            if self._page_port:
                tables["page"] = {
                    # a host of its own, for cookies know no port
                    "listen": f"{HOST}:{self._page_port}", "url": self.page_url, "redis_username": "default",
                    "redis_password_file": "redis.password",
                }  # fmt: skip
            tables["asterisk.desk"] = {"port": self.pbx.ami_port, "password_file": "desk.password"}
        for overlay in (self._settings, settings or {}):
            for table, values in overlay.items():
                tables[table] = {**tables.get(table, {}), **values}
        self.config.write_text(toml(tables))

    def add(self, customers: Sequence[Customer]) -> None:
        """Add customers, as an administrator imports them."""
        if not customers:
            return
        file = self.folder / "customers.csv"
        with file.open("w", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(("number", "name", "phones", "pin", "language", "policy"))
            writer.writerows((c.number, c.name, c.phones, c.pin, c.language, c.policy) for c in customers)
        self.command("customer", "import", str(file))
        file.unlink()

    def worker(self, name: str = "worker", *, port: int | None = None) -> Worker:
        """A worker on this stage, not started; `port` is where it reaches ARI, if not at the PBX itself."""
        return Worker(self.pbx, self.config, name=name, port=port)

    def desk(self, name: str = "desk") -> Desk:
        """The desk of this stage, not started."""
        return Desk(self.config, self.pbx.folder / "log", self._desk_port, name=name)

    @property
    def page_url(self) -> str:
        """What people open."""
        return f"http://localhost:{self._page_port}"

    def page(self, name: str = "page") -> PublicPage:
        """The public page; ends with the test where it is entered."""
        return PublicPage(self.config, self.folder, self._page_port, name=name)

    def crm(self) -> Crm:
        """The CRM of this stage, not started."""
        return Crm(self._of_crm[0], self.pbx.folder / "log" / "crm.log")

    def proxy(self, name: str = "proxy") -> Proxy:
        """The proxy before it, not started."""
        return Proxy(self.config, self.pbx.folder / "log", self._of_crm[1], name=name, host="localhost")

    @property
    def _of_crm(self) -> tuple[int, int]:
        if self._crm_ports is None:
            raise RigError("the stage has no CRM: Stage(desk=True, crm=True)")
        return self._crm_ports

    def texts(self, to: str) -> list[str]:
        """The text messages that went to this number, in their order."""
        files = sorted(self.outbox.glob("*.json"), key=lambda file: file.name)
        messages = [json.loads(file.read_text()) for file in files]
        return [message["text"] for message in messages if message["to"] == to]

    def wait_text(self, to: str, count: int = 1, limit: float = 10.0) -> str:
        """Wait for the so-many-th text to this number, and return it."""
        wait_until(lambda: len(self.texts(to)) >= count, limit, f"text message {count} to {to}")
        return self.texts(to)[count - 1]

    def __enter__(self) -> Stage:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def code_in(text: str) -> str:
    """The digits of the code in a text message."""
    return next(word for word in text.replace(".", " ").split() if word.isdecimal() and len(word) >= 6)

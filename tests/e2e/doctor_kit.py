"""A PBX made by the samples of config/ and the pages of docs/, for breaking one thing at a time."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import stat
import subprocess
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import redis
from rig import warm
from rig.asterisk import Pbx
from rig.ports import HOST
from rig.redis_server import Redis
from rig.stage import PROMPTS
from rig.state import CHECKOUT, VENV_PYTHON, RigError
from rig.worker import Worker

from ivr.config import load
from ivr.doctor import Finding, examine
from ivr.doctor.modules import NEEDED
from tests.contract.sampled import sampled

SAMPLES = CHECKOUT / "config" / "asterisk"
QUEUES = "\n[support]\nmember => PJSIP/agent1\n[front-desk]\nmember => PJSIP/agent3\n"
# what a command that stands in a cure begins with, and the tests have no use for
NOT_HERE = ("systemctl ", "journalctl ", "timedatectl ", "df ", "venv/")

Tables = Mapping[str, Mapping[str, object]]


class Gateway(BaseHTTPRequestHandler):
    """Somebody who answers where texts would go."""

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Sampled(Redis):
    """A Redis by config/redis.conf, with an administrator, whom the sample leaves out."""

    def __init__(self) -> None:
        super().__init__(name="doctor-redis")
        text = sampled(self, self.password)
        self._config.write_text(f"{text}user administrator on >{self.password} ~* &* +@all\n")

    @property
    def config(self) -> Path:
        return self._config

    def as_administrator(self) -> redis.Redis:
        return redis.Redis(port=self.port, username="administrator", password=self.password, decode_responses=True)


@asynccontextmanager
async def manager(house: House, user: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """This user's connection to AMI, logged in."""
    reader, writer = await asyncio.open_connection(HOST, house.pbx.ami_port, limit=1 << 24)
    try:
        async with asyncio.timeout(20):
            writer.write(f"Action: Login\r\nUsername: {user}\r\nSecret: x1y2z3\r\n\r\n".encode())
            await reader.readuntil(b"Response: Success")
            yield reader, writer
    finally:
        writer.close()


class House:
    """Asterisk, Redis, a text gateway, settings, keys and database, all as they should be."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.pbx = Pbx(
            name="doctor",
            caller_context="from-trunk",
            prompts={"en": PROMPTS / "en" / "tillit"},
            overrides={"queues.conf": QUEUES},
            ports=100,
        )
        self.redis = Sampled()
        self.etc = self.pbx.folder / "etc"
        self.folder = self.pbx.folder / "tillit"
        self.config = self.folder / "tillit.toml"
        self.console = self.pbx.folder / "bin" / "asterisk"
        self._kept: dict[Path, tuple[bytes, int]] = {}
        self._modes: dict[Path, int] = {}

    def __enter__(self) -> House:
        try:
            self._make()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make(self) -> None:
        self._samples()
        self._program()
        self._stack.enter_context(self.redis)
        self._stack.enter_context(self.pbx)
        server = ThreadingHTTPServer((HOST, 0), Gateway)
        self._stack.callback(server.server_close)
        self._stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.gateway = f"http://{HOST}:{server.server_port}/send"
        self.folder.mkdir(mode=0o700)
        for name, password in (
            ("ari.password", self.pbx.ari_password),
            ("ami.password", self.pbx.ami_password),
            ("redis.password", self.redis.password),
        ):
            (self.folder / name).touch(0o600)
            (self.folder / name).write_text(password)
        self.write()
        done = self.doctor("init")
        assert done.returncode == 0, done.stderr
        for folder in (self.etc, self.folder, self.redis.config):
            for path in (folder, *folder.rglob("*")):
                self._modes[path] = stat.S_IMODE(path.stat().st_mode)
                if path.is_file() and not path.name.startswith("tillit.db"):
                    self._kept[path] = path.read_bytes(), self._modes[path]

    def _samples(self) -> None:
        for sample in SAMPLES.glob("*.conf"):
            if sample.name == "modules.conf":
                continue
            text = sample.read_text().replace("bindport = 8088", f"bindport = {self.pbx.http_port}")
            text = text.replace("port = 5038", f"port = {self.pbx.ami_port}")
            text = text.replace("\n;password =", f"\npassword = {self.pbx.ari_password}")
            (self.etc / sample.name).write_text(text.replace("\n;secret =", f"\nsecret = {self.pbx.ami_password}"))
        (self.etc / "ari.conf").write_text('[general]\n#include "tillit-ari.conf"\n')
        shutil.copy(CHECKOUT / "dialplan" / "tillit.conf", self.etc / "tillit.conf")
        for name in ("tillit.conf", "tillit-ari.conf"):
            (self.etc / name).chmod(0o600)
        for name, before, after in (
            ("rtp.conf", "strictrtp = no", "strictrtp = yes"),
            ("pjsip.conf", "dtmf_mode = inband", "dtmf_mode = rfc4733"),
        ):
            self.replace(self.etc / name, before, after)

    def _program(self) -> None:
        """The program `asterisk` of this PBX, as it would be found on the machine."""
        install = self.pbx._install
        self.console.parent.mkdir()
        words = " ".join(f"'{word}'" for word in install.command)
        conv = (install.environment or {}).get("GCONV_PATH", "")
        self.console.write_text(f"#!/bin/sh\nGCONV_PATH='{conv}' exec {words} -C '{self.etc}/asterisk.conf' \"$@\"\n")
        self.console.chmod(0o700)
        program = self.console.with_name("ari_app.py")
        program.write_text(f"#!/bin/sh\nexec '{VENV_PYTHON}' '{CHECKOUT}/ari_app.py' \"$@\"\n")
        program.chmod(0o700)

    # ------------------------------------------------------------ breaking and mending

    def replace(self, file: Path, before: str, after: str) -> None:
        text = file.read_text()
        assert text.count(before) == 1, f"{file.name} has {before!r} {text.count(before)} times"
        file.write_text(text.replace(before, after))

    def write(self, overlay: Tables | None = None) -> None:
        """The settings, with these tables laid over them."""
        tables: dict[str, dict[str, object]] = {
            "company": {"name": "Example Telecom", "country": "SE"},
            "asterisk": {"url": self.pbx.ari_url, "password_file": "ari.password"},
            "asterisk.ami": {"port": self.pbx.ami_port, "password_file": "ami.password"},
            "asterisk.desk": {"port": self.pbx.ami_port, "password_file": "ami.password"},
            "desk": {"listen": f"{HOST}:9", "url": f"http://{HOST}:9"},
            "redis": {
                "url": f"redis://{HOST}:{self.redis.port}/0",
                "username": "tillit",
                "password_file": "redis.password",
            },
            "texts": {"gateway": "http"},
            "texts.http": {"url": self.gateway, "allow_private": [HOST], "sender": "Example"},
            "policies.main": {"steps": ["pin", "sms_code"], "level": 2},
        }
        for table, values in (overlay or {}).items():
            tables[table] = {**tables.get(table, {}), **values}
        for table, port in (("asterisk", self.pbx.http_port), ("redis", self.redis.port)):
            tables[table]["url"] = str(tables[table]["url"]).replace("PORT", str(port))
        lines = [
            line
            for table, fields in tables.items()
            for line in (
                f"[{table}]",
                *(f"{name} = {json.dumps(value)}" for name, value in fields.items() if value is not None),
            )
        ]
        body = 'body = { to = "{to}", text = "{text}", from = "{from}" }'
        lines.insert(lines.index("[texts.http]") + 1, body)
        self.config.write_text("\n".join(lines) + "\n")

    def restore(self) -> None:
        """Every file as it was at the beginning."""
        for path, (content, _) in self._kept.items():
            path.parent.mkdir(exist_ok=True)
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
            os.chown(path, os.geteuid(), os.getegid())
        for path, mode in self._modes.items():
            if path.exists():
                path.chmod(mode)
        with self.redis.as_administrator() as client:
            client.acl_setuser("default", enabled=False, reset_passwords=True, categories=["+@all"])
            client.acl_setuser("tillit", enabled=True, commands=["+info", "-config|get", "-acl|getuser"])
            for name, value in (
                ("appendonly", "yes"),
                ("appendfsync", "everysec"),
                ("maxmemory-policy", "noeviction"),
                ("maxmemory", "256mb"),
            ):
                client.config_set(name, value)

    def reload(self) -> None:
        """Let the files count in Asterisk, and load every module again."""
        self.pbx.cli("core set debug 0")
        for module in NEEDED:
            self.pbx._console(f"module load {module}.so")
        self.pbx.cli("core reload")

    async def look(self) -> list[Finding]:
        """What the doctor finds."""
        return await examine(load(self.config), console=[str(self.console)])

    def doctor(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`ari_app.py` as an administrator types it."""
        command = [str(VENV_PYTHON), str(CHECKOUT / "ari_app.py"), *words]
        env = {**os.environ, "TILLIT_CONFIG": str(self.config), "PATH": self._path, **environment}
        if warm.fits(command, env):
            return warm.run(command, env=env, given="", cwd=None, limit=60)
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    def type(self, line: str) -> None:
        """A line of a cure, as it stands there, in the folder of the program."""
        if line.startswith(("#", *NOT_HERE)):
            return
        done = subprocess.run(
            ["sh", "-c", line.replace("redis-cli ", "redis-cli --user administrator ")],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "PATH": self._path,
                "REDISCLI_AUTH": self.redis.password,
                "TILLIT_CONFIG": str(self.config),
            },
            capture_output=True,
            text=True,
            timeout=20,
        )
        if done.returncode:
            raise RigError(f"{line}: {done.stdout}{done.stderr}")

    def worker(self) -> Worker:
        return Worker(self.pbx, self.config, name=f"worker-{secrets.token_hex(2)}")

    @property
    def _path(self) -> str:
        return f"{self.console.parent}:{os.environ['PATH']}"

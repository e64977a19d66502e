"""A private Redis on 127.0.0.1."""

from __future__ import annotations

import secrets
import shutil
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rig.certificates import Certificate
from rig.ports import HOST, Ports
from rig.service import Service
from rig.state import CHECKOUT, RigError, instance_folder


class Redis(Service):
    """A Redis with a folder, a port and a password of its own.

    The public page's own user has the rights of config/redis.conf, and the same password. `persist` makes it hand every change to the system before it answers, so that `kill` and `start` lose nothing. Nobody
    waits for the disk: what else is written on this machine would hold up whoever asks it something.
    """

    _title = "Redis"
    _limit = 10.0

    def __init__(self, name: str = "redis", *, persist: bool = False, certificate: Certificate | None = None) -> None:
        """`certificate`: at `tls_port` it is also reached by TLS, with this one; by the user `tillit` too, who may do what a worker must."""
        self._program = shutil.which("redis-server")
        if self._program is None:
            raise RigError("redis-server is missing: run scripts/setup, or install the package redis-server")
        super().__init__(instance_folder(name), Ports())
        self.port = self._ports.take()
        self.tls_port = self._ports.take()
        self.password = secrets.token_urlsafe(16)
        self.log_file = self.folder / "redis.log"
        self._config = self.folder / "redis.conf"
        self._config.write_text(
            f"bind {HOST}\nport {self.port}\nrequirepass {self.password}\ndir {self.folder}\nsave ''\n"
            f"appendonly {'yes' if persist else 'no'}\nappendfsync no\nloglevel notice\n"
            + _user_of_the_page(self.password)
            + ("" if certificate is None else _by_tls(self.tls_port, certificate) + _user(self.password))
        )

    @property
    def url(self) -> str:
        """`redis://` address with the password."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def start(self) -> None:
        assert self._program is not None
        self._launch([self._program, str(self._config)], self.log_file)

    def _answers(self) -> bool:
        return answers(port=self.port, password=self.password)


def answers(**place: Any) -> bool:
    """Whether a Redis answers there, at once; where nobody listens yet, the library by itself would ask again for seconds.

    place: as `redis.Redis` takes it. One that wants a password answers.
    """
    with redis.Redis(**place, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False


def _by_tls(port: int, certificate: Certificate) -> str:
    """Nobody without a password, nor with a certificate instead of one."""
    return (
        f"tls-port {port}\ntls-cert-file {certificate.chain}\ntls-key-file {certificate.key}\n"
        f"tls-ca-cert-file {certificate.chain}\ntls-auth-clients no\n"
    )


def _user(password: str) -> str:
    return f"user tillit on >{password} ~tillit:* &tillit:* +@read +@write +@scripting +@connection +time +publish +subscribe\n"


def _user_of_the_page(password: str) -> str:
    sample = (CHECKOUT / "config" / "redis.conf").read_text().splitlines()
    line = next(line for line in sample if line.startswith("user tillit-page "))
    return line.replace("on resetpass", f"on >{password}") + "\n"

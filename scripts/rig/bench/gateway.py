"""A text gateway that tells the code to the caller it is for: by a SIP MESSAGE within that call."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import urllib.request
from pathlib import Path
from typing import Self

from aiohttp import web

from rig.ports import HOST, Ports
from rig.process import Child
from rig.state import CHECKOUT, VENV_PYTHON


class Gateway:
    """The gateway, in a process of its own; a context manager. `url` is where texts go."""

    def __init__(self, log: Path, ports: Ports) -> None:
        self._log = log
        self._port = ports.take()

    @property
    def url(self) -> str:
        """What `[texts.http] url` is."""
        return f"http://{HOST}:{self._port}/texts"

    def sends_to(self, port: int, first: int) -> None:
        """From now on the callers are at this port, and the first call is the one from the number `first`."""
        body = json.dumps({"port": port, "first": first}).encode()
        with urllib.request.urlopen(f"http://{HOST}:{self._port}/callers", body, timeout=5):
            pass

    def __enter__(self) -> Self:
        environment = dict(os.environ, PYTHONPATH=f"{CHECKOUT / 'scripts'}:{CHECKOUT}")
        command = [str(VENV_PYTHON), "-m", "rig.bench.gateway", str(self._port)]
        self._child = Child("gateway", command, self._log, env=environment)
        self._child.require(self._listens, 10.0, "the gateway to listen")
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self._port)) == 0


class _Server:
    def __init__(self) -> None:
        self._callers = (HOST, 0)
        self._first = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    async def callers(self, request: web.Request) -> web.Response:
        told = await request.json()
        self._callers, self._first = (HOST, told["port"]), told["first"]
        return web.Response()

    async def text(self, request: web.Request) -> web.Response:
        told = await request.json()
        call = int(told["to"].removeprefix("+")) - self._first + 1
        code = re.search(r"\d{6}", told["text"])
        assert code is not None
        # SIPp knows a call by its Call-ID, and answers nobody who is not its peer
        message = (
            f"MESSAGE sip:bench@{HOST} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:9;branch=z9hG4bK{call}\r\n"
            f"From: <sip:gateway@{HOST}>;tag=1\r\nTo: <sip:bench@{HOST}>;tag={call}\r\nCall-ID: {call}@bench\r\n"
            f"CSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n{code[0]}"
        )
        self._socket.sendto(message.encode(), self._callers)
        return web.json_response({"id": str(call)}, status=201)


def _serve(port: int) -> None:
    server = _Server()
    application = web.Application()
    application.router.add_post("/texts", server.text)
    application.router.add_post("/callers", server.callers)
    web.run_app(application, host=HOST, port=port, print=None, access_log=None)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

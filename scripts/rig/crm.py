"""A CRM with an API of JSON, in a process of its own: what stands behind the proxy in bench and tests."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Self

from aiohttp import web

from rig.ports import HOST
from rig.process import Child
from rig.state import CHECKOUT, VENV_PYTHON

PATTERNS: dict[str, dict[str, object]] = {
    "proxy.patterns.customer": {"path": "/api/customers/{number}", "methods": ["GET", "PUT"]},
    "proxy.patterns.customer.fields": {"/phones": 3, "/cards/*/number": 3},
    "proxy.patterns.document": {"path": "/api/customers/{number}/document"},
    "proxy.patterns.own": {"path": "/api/by-reference/{number}", "holds": "reference"},
}
"""Tables of tillit.toml that fit it."""

FREE = ["/", "/assets/**"]
DOCUMENT = bytes(range(256)) * 1024


class Crm:
    """The running CRM; a context manager."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log

    @property
    def url(self) -> str:
        """Where it is, past the proxy."""
        return f"http://{HOST}:{self._port}"

    def __enter__(self) -> Self:
        environment = dict(os.environ, PYTHONPATH=f"{CHECKOUT / 'scripts'}:{CHECKOUT}")
        self.child = Child("crm", [str(VENV_PYTHON), "-m", "rig.crm", str(self._port)], self._log, env=environment)
        self.child.require(self._listens, 10.0, "the CRM to listen")
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stop()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self._port)) == 0


async def _customer(request: web.Request) -> web.Response:
    number = request.match_info["number"]
    found = {
        "id": number, "name": "Anna Andersson", "phones": ["+46701740601"], "cards": [{"name": "gold", "number": "4111 1111"}],
        "orders": [{"id": n, "what": "a subscription", "price": 199.5, "open": n % 2 == 0} for n in range(20)],
    }  # fmt: skip
    return web.Response(text=json.dumps(found), content_type="application/json")


async def _document(_: web.Request) -> web.Response:
    return web.Response(body=DOCUMENT, content_type="application/pdf")


async def _asset(_: web.Request) -> web.Response:
    return web.Response(text="body { color: black }", content_type="text/css")


def _serve(port: int) -> None:
    application = web.Application()
    application.router.add_get("/api/customers/{number}", _customer)
    application.router.add_put("/api/customers/{number}", _customer)
    application.router.add_get("/api/by-reference/{number}", _customer)
    application.router.add_get("/api/customers/{number}/document", _document)
    application.router.add_get("/assets/{name}", _asset)
    web.run_app(application, host=HOST, port=port, print=None, access_log=None)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))

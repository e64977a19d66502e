"""The examples of docs/api.md, as they stand there, against a desk by TLS."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from rig.ports import Ports

from ivr.secret import Personal
from tests.contract.live_server import Server
from tests.contract.web_kit import AUDIENCE, CODE, CRM_SECRET, PASSWORD, REF, VERIFIED, Desk, crm, desk

pytestmark = pytest.mark.servers

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def example(language: str) -> str:
    (found,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```", PAGE)
    return str(found)


async def ran(desk: Desk, folder: Path, *command: str, **more: str) -> str:
    """What it prints; it must end well."""
    ca = str(folder / "ca.pem")
    given = {
        "DESK": desk.origin, "AUDIENCE": AUDIENCE, "LOGIN": "anna", "PASSWORD": PASSWORD, "CODE": CODE, "CRM_SECRET": CRM_SECRET,
        "REQUESTS_CA_BUNDLE": ca, "CURL_CA_BUNDLE": ca, "PYTHONWARNINGS": "ignore", **more,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **given}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err.decode()) == (0, ""), out.decode()
    return out.decode()


@pytest.mark.parametrize("language", ["python", "sh"])
async def test_the_example_runs_as_it_stands(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    key = tmp_path / "key.pem"
    key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    with closing(Ports()) as ports:
        port = ports.take()
        own = f'[desk]\nlisten = "127.0.0.1:{port}"\nurl = "https://127.0.0.1:{port}"\ntls_certificate_file = "{tmp_path}/cert.pem"\ntls_key_file = "{key}"\n'  # fmt: skip
        trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        async with desk(server, own + crm(monkeypatch), tls=trusted, port=port) as made:
            made.world.calls, made.world.record_of = (VERIFIED,), {"name": Personal("Anna Andersson")}
            made.world.issuer = made.origin
            if language == "python":
                said = await ran(made, tmp_path, sys.executable, "-c", example("python"))
                assert said == f"Anna Andersson\nverified as {REF} at level 2\n"
            else:
                said = await ran(made, tmp_path, "bash", "-euo", "pipefail", "-c", example("sh"), TOKEN="a.b.c")
                assert f'"ref":"{REF}"' in said and '"active":true' in said
            # it has signed out
            assert len([line for line in made.log.lines if line["event"] == "web.signed_out"]) == 1

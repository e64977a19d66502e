"""What /healthz and /readyz answer, wherever they are asked."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from aiohttp import web


def alive_answer() -> web.Response:
    """It turns."""
    return _json({"alive": True}, 200)


def ready_answer(faults: Mapping[str, str | None], *, why: bool) -> web.Response:
    """Whether all parts are well (`Readiness.look`); `why` where whoever asks may know what is wrong."""
    well = not any(faults.values())
    parts: dict[str, object] = {part: fault is None for part, fault in faults.items()}
    if why:
        parts = {
            part: {"ready": fault is None, **({} if fault is None else {"error": fault})}
            for part, fault in faults.items()
        }
    return _json({"ready": well, "parts": parts}, 200 if well else 503)


def _json(body: dict[str, object], status: int) -> web.Response:
    # what was true a moment ago is of no use to anybody
    return web.Response(
        body=orjson.dumps(body) + b"\n", status=status, headers={"Content-Type": "application/json", "Cache-Control": "no-store"}
    )  # fmt: skip

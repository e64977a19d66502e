"""The same small work through aioari, a published client. Runs in an environment of its own, which has aioari alone."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import Any

import aioari  # type: ignore[import-not-found]  # it lies in an environment of its own
import aiohttp


async def _serve(url: str) -> None:
    client = await aioari.connect(url, "tillit", os.environ["ARI_PASSWORD"])
    keyed: dict[str, str] = {}
    playing: dict[str, Any] = {}

    async def started(objects: dict[str, Any], _: dict[str, Any]) -> None:
        channel = objects["channel"]
        keyed[channel.id] = ""
        await channel.answer()
        playing[channel.id] = await channel.play(media="sound:tillit/ask-pin")

    async def key(channel: Any, event: dict[str, Any]) -> None:
        digit = event["digit"]
        if (prompt := playing.pop(channel.id, None)) is not None:
            # it may have ended
            with suppress(aiohttp.ClientError):
                await prompt.stop()
        if digit != "#":
            keyed[channel.id] += digit
            return
        await channel.setChannelVar(variable="KEYED", value=str(len(keyed.pop(channel.id))))
        await channel.continueInDialplan()

    async def ended(channel: Any, _: dict[str, Any]) -> None:
        keyed.pop(channel.id, None)
        playing.pop(channel.id, None)

    client.on_channel_event("StasisStart", started)
    client.on_channel_event("ChannelDtmfReceived", key)
    client.on_channel_event("StasisEnd", ended)
    await client.run(apps="peer")


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))

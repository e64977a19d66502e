"""Half-open, slow, rubbish, huge and aborted connections: each ends by itself, and the next call is served."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from ipaddress import ip_address

import pytest

from ivr.agi.server import AgiServer
from ivr.agi.wire import LINE_BYTES
from tests.contract.agi_kit import CHANNEL, LIMIT, MARK, NODE, Line, Peer, header, listening

BRISK = {"header_seconds": 0.5, "seconds": 1.5}


async def still_serves(line: Line) -> None:
    """A call that comes now is handed over."""
    assert await line.call("verify", "main", answers={"EXEC": "200 result=0"}) == [
        'EXEC "Gosub" "tillit-verify,s,1(main)"'
    ]


@pytest.mark.parametrize("said", [b"", b"agi_network: yes\n", b"agi_netw", header("verify", "main")[:-1]])
async def test_a_half_open_connection_ends_at_its_time(said: bytes) -> None:
    async with listening(**BRISK) as line:
        peer = await line.connect()
        peer.send(said)
        assert await peer.ended() == b""
        await line.logged("agi.refused", why="slow")
        await still_serves(line)


async def test_a_header_that_drips_ends_at_the_same_time() -> None:
    async with listening(**BRISK) as line:
        peer = await line.connect()
        ended = asyncio.ensure_future(peer.ended())
        while not ended.done():
            for byte in header("verify", "main")[:60]:
                peer.send(bytes([byte]))
                await asyncio.wait([ended], timeout=0.02)
                if ended.done():
                    break
        await line.logged("agi.refused", why="slow")
        await still_serves(line)


async def test_an_asterisk_that_never_answers_ends_at_its_time() -> None:
    async with listening(**BRISK) as line:
        peer = await line.connect()
        peer.send(header("verify", "main"))
        assert (await peer.command()).startswith("EXEC")
        assert await peer.ended() == b""
        await line.logged("agi.refused", why="slow")
        await still_serves(line)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "rubbish"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "rubbish"),
        (b"\xff\xfe\x00\n", "rubbish"),
        (b"\n", "rubbish"),
        (b"agi_network: yes\n\n", "rubbish"),
        (header("verify", "main", channel="x" * 151), "rubbish"),
        (header("verify", "main", channel="a\x1b[31m"), "rubbish"),
        (header("verify?" + "a&" * 20), "rubbish"),
        (b"".join(b"agi_%d: 1\n" % count for count in range(161)), "too_long"),
        (b"agi_network_script: " + b"a" * (1 << 20) + b"\n", "too_long"),
        (b"a" * (1 << 20), "too_long"),
    ],
)
async def test_what_is_no_agi_is_ended_at_once(said: bytes, why: str) -> None:
    async with listening() as line:
        peer = await line.connect()
        peer.send(said)
        assert await peer.ended() == b""
        refused = await line.logged("agi.refused", why=why)
        assert refused["peer"] == "127.0.0.1"
        await still_serves(line)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"what?\n", "rubbish"),
        (b"\n", "rubbish"),
        (b"2000 result=0\n", "rubbish"),
        (b"x" * (LINE_BYTES * 3), "too_long"),
        (b"520-Invalid command syntax.\n" + b"and so on\n" * 200, "too_long"),
    ],
)
async def test_an_answer_that_is_none_ends_the_connection(answer: bytes, why: str) -> None:
    async with listening() as line:
        peer = await line.connect()
        peer.send(header("verify", "main"))
        assert (await peer.command()).startswith("EXEC")
        peer.send(answer)
        await peer.ended()
        await line.logged("agi.refused", why=why)
        await still_serves(line)


@pytest.mark.parametrize("after", ["nothing", "half the header", "the header", "a command"])
@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_connection_that_is_cut_off_is_forgotten(after: str, how: str) -> None:
    async with listening() as line:
        peer = await line.connect()
        match after:
            case "half the header":
                peer.send(header("verify", "main")[:100])
            case "the header" | "a command":
                peer.send(header("verify", "main"))
        if after == "a command":
            assert (await peer.command()).startswith("EXEC")
        await peer.writer.drain()
        if how == "reset":
            own: socket.socket = peer.writer.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        peer.writer.close()
        await line.logged("agi.refused", why="cut_off")
        await still_serves(line)
        assert line.log.of("agi.failed") == []


@pytest.mark.parametrize("urgent", [False, True])
async def test_a_caller_who_hangs_up_meanwhile(urgent: bool) -> None:
    """Asterisk says HANGUP where an answer would stand; older ones send its end of line as urgent data."""
    async with listening() as line:
        line.marks[NODE, CHANNEL] = MARK
        peer = await line.connect()
        peer.send(header("mark"))
        assert (await peer.command()).startswith("GET FULL")
        await peer.writer.drain()
        if urgent:
            own = socket.socket(fileno=socket.dup(peer.writer.get_extra_info("socket").fileno()))
            own.send(b"HANGUP\n", socket.MSG_OOB)
            own.close()
            peer.writer.write_eof()
        else:
            peer.send(b"HANGUP\n")
        assert await peer.ended() == b""
        await line.logged("agi.hung_up")
        await still_serves(line)


async def test_more_connections_than_there_may_be_are_ended_at_once() -> None:
    async with listening(connections=8) as line:
        idle = [await line.connect() for _ in range(8)]
        ninth = await line.connect()
        assert await ninth.ended() == b""
        await line.logged("agi.refused", why="full")
        for peer in idle:
            peer.writer.close()
        # as soon as there is room again
        async with asyncio.timeout(LIMIT):
            while True:
                with suppress(ConnectionError):
                    if await line.call("verify", "main", answers={"EXEC": "200 result=0"}):
                        break


async def test_a_flood_leaves_a_line_for_each_reason_and_no_more() -> None:
    async with listening(connections=8) as line:

        async def rubbish() -> None:
            peer = await line.connect()
            with suppress(ConnectionError):
                peer.send(b"rubbish\n")
                await peer.ended()

        for _ in range(10):
            await asyncio.gather(*(rubbish() for _ in range(30)))
        await still_serves(line)
        refused = line.log.of("agi.refused")
        assert {entry["why"] for entry in refused} <= {"rubbish", "full", "cut_off"}
        assert len(refused) <= 3


async def test_a_hundred_calls_at_once_are_all_handed_over() -> None:
    async with listening() as line:
        gate = asyncio.Semaphore(32)

        async def one() -> list[str]:
            async with gate:
                return await line.call("verify", "main", answers={"EXEC": "200 result=0"})

        commands = await asyncio.gather(*(one() for _ in range(100)))
        assert all(len(each) == 1 for each in commands)
        assert len(line.log.of("agi.handed_over")) == 100


async def test_calls_are_served_beside_connections_that_hold_their_place() -> None:
    async with listening() as line:
        peers: list[Peer] = [await line.connect() for _ in range(40)]
        for peer in peers:
            peer.send(header("mark")[:50])
        await still_serves(line)
        assert line.log.of("agi.refused") == []


async def test_what_is_open_ends_with_the_server() -> None:
    async with listening() as line:
        half_open = await line.connect()
        asked = await line.connect()
        asked.send(header("verify", "main"))
        await asked.command()
        port = line.server.port
        await line.server.close()
        assert (await half_open.ended(), await asked.ended()) == (b"", b"")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


def another_address() -> str | None:
    """An address of this machine that is not loopback; no packet is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("named", [True, False])
async def test_a_machine_that_is_not_named_is_not_answered(named: bool) -> None:
    """This machine under its other address stands for another machine."""
    address = another_address()
    if address is None or address.startswith("127."):
        pytest.skip("this machine has no address but the loopback's")
    async with listening() as line:
        server = AgiServer(
            [ip_address(address if named else "192.0.2.77")], policy="", mark=line.mark, log=line.log.logger
        )
        await server.open(address, 0)
        peer = Peer(*await asyncio.open_connection(address, server.port))
        with suppress(ConnectionError):
            peer.send(header("verify", "main"))
        assert (await peer.command() != "") is named
        if not named:
            await line.logged("agi.refused", why="address", peer=address)
        peer.writer.transport.abort()
        await server.close()

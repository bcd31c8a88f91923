"""The web server: slow clients, and clients that never read."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from tests.jobs import flood, running

pytestmark = pytest.mark.slow

SOON = 30.0
PATIENCE = 2.0
MOST = 2  # parts of 256 KB sent to a client that reads none of them, until two buffers of 64 KB are full
SERVE = """
from jobs.live import serving
serving.PATIENCE = {patience}
serving.serve(["--fd", "{fd}"], "tests.jobs.flood:application")
"""


class Flooding:
    """The server with the flooding site: its port, and what it says."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.port, self.process = port, process

    async def says(self) -> str:
        """Return the next line."""
        async with asyncio.timeout(SOON):
            return (await self.process.stdout.readline()).decode().strip()

    async def until(self, *ends: str) -> list[str]:
        """Return the lines up to the first that starts like this."""
        lines = [await self.says()]
        while lines[-1] and not lines[-1].startswith(ends):
            lines.append(await self.says())
        return lines


@pytest.fixture
async def flooding() -> AsyncIterator[Flooding]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = SERVE.format(patience=PATIENCE, fd=listener.fileno())
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, cwd=running.ROOT, stdout=subprocess.PIPE, pass_fds=[listener.fileno()]
        )
        yield Flooding(listener.getsockname()[1], process)
        process.terminate()
        await process.wait()


async def test_a_socket_that_never_reads_gets_little_and_is_disconnected(flooding: Flooding):
    async with running.open_socket(flooding.port, "/") as never_read:
        lines = await flooding.until("gone", "all")
        assert lines[-1].startswith("gone")
        assert len(lines) <= MOST
        with pytest.raises(ConnectionError):
            while True:
                await never_read.reader.readexactly(1024)


async def test_a_stream_that_is_never_read_gets_little_and_is_disconnected(flooding: Flooding):
    with running.narrow(flooding.port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        lines = await flooding.until("gone", "all")
        assert lines[-1].startswith("gone")
        assert len(lines) <= MOST


async def test_a_slow_reader_gets_everything_and_a_proper_end(flooding: Flooding):
    async with running.open_socket(flooding.port, "/") as slow:
        got = 0
        with pytest.raises(running.Closed) as closed:
            while True:
                kind, payload = await slow.frame()
                if kind == 8:
                    raise running.Closed(int.from_bytes(payload[:2]))
                got += len(payload)
                await asyncio.sleep(2 * PATIENCE / flood.PARTS)  # so slow that all of it takes two of them
    assert got == flood.PART * flood.PARTS
    assert closed.value.args == (1000,)
    assert (await flooding.until("gone", "all"))[-1] == "all sent"


async def test_texts_of_any_length_arrive_whole(flooding: Flooding):
    async with running.open_socket(flooding.port, "/big") as page:
        for size in flood.SIZES:
            assert await page.receive() == "é" * size


async def test_a_connection_can_be_reused_after_a_long_response(flooding: Flooding):
    reader, writer = await asyncio.open_connection("127.0.0.1", flooding.port)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(SOON):
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
            got = 0
            while size := int(await reader.readline(), 16):
                got += len((await reader.readexactly(size + 2))[:-2])
            await reader.readexactly(2)
        assert got == flood.PART * flood.PARTS
        assert (await flooding.until("gone", "all"))[-1] == "all sent"
    writer.close()


async def test_a_response_that_fails_midway_is_disconnected(flooding: Flooding):
    reader, writer = await asyncio.open_connection("127.0.0.1", flooding.port)
    writer.write(b"GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(SOON):
        with pytest.raises(ConnectionError):
            while await reader.read(65536):
                pass
    writer.close()

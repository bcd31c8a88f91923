"""A process that watches one job as many pages do, and reports what each of them saw and when.

It prints "ready" when all pages are open, and one line of JSON after its input is closed.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import re
import struct
import sys
import time

MARK = re.compile(rb"item (\d+)")
OPENING = 50  # pages that open at the same time
SOON = 60.0
PONG = 0x8A


class Viewer:
    """What one page saw: each mark with the time it first came, and how much was sent to it."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}
        self.bytes = self.messages = 0
        self.ready = asyncio.Event()
        self.gone = False

    def take(self, text: bytes) -> None:
        """Record what a message or an answer shows."""
        now = time.monotonic()
        self.bytes += len(text)
        self.messages += 1
        for mark in MARK.findall(text):
            self.seen.setdefault(int(mark), now)
        self.ready.set()


class Page(asyncio.Protocol):
    """A page's WebSocket, reduced to reading texts and answering pings."""

    def __init__(self, viewer: Viewer, request: bytes) -> None:
        self.viewer, self.request = viewer, request
        self.buffer, self.open = bytearray(), False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def connection_lost(self, error: Exception | None) -> None:
        """Record that the page has lost its socket."""
        self.viewer.gone = True

    def data_received(self, data: bytes) -> None:
        """Read all complete frames from the buffer."""
        self.buffer += data
        if not self.open:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in self.buffer[:end]:
                raise SystemExit(f"the socket was refused: {bytes(self.buffer[:end])!r}")
            self.open = True
            del self.buffer[: end + 4]
        while self._frame():
            pass

    def _frame(self) -> bool:
        if len(self.buffer) < 2:
            return False
        length, start = self.buffer[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(self.buffer) < start:
                return False
            length = int.from_bytes(self.buffer[2:start])
        if len(self.buffer) < start + length:
            return False
        kind, payload = self.buffer[0] & 0x0F, bytes(self.buffer[start : start + length])
        del self.buffer[: start + length]
        if kind == 1:
            self.viewer.take(payload)
        elif kind == 9:
            self.transport.write(struct.pack("!BBI", PONG, 0x80 | len(payload), 0) + payload)
        return True


async def poll(viewer: Viewer, port: int, request: str, seconds: float) -> None:
    """Poll the fragment every `seconds`, as the page does without a socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    tag = ""
    while True:
        due = time.monotonic() + seconds * random.uniform(0.75, 1.25)
        writer.write(request.replace("@tag", tag).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        etag = re.search(r'etag: (?:w/)?("[^"]*")', head)
        assert etag is not None, head
        tag = etag[1]
        viewer.take(body)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def request_of(options: argparse.Namespace) -> str:
    """Return the request that a page of this job sends."""
    here = f"127.0.0.1:{options.port}"
    same = f"Host: {here}\r\nCookie: sessionid={os.environ['SESSION']}\r\n"
    if options.poll:
        return f"GET /jobs/{options.job}/progress HTTP/1.1\r\n{same}If-None-Match: @tag\r\n\r\n"
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /ws/jobs/{options.job}/ HTTP/1.1\r\n{same}Origin: http://{here}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )


async def watch(options: argparse.Namespace) -> None:
    """Open all pages, print "ready", and print what they saw once the input is closed."""
    loop, request = asyncio.get_running_loop(), request_of(options)
    viewers = [Viewer() for _ in range(options.count)]
    gate = asyncio.Semaphore(OPENING)
    polls: list[asyncio.Task[None]] = []

    async def open_one(viewer: Viewer) -> None:
        async with gate, asyncio.timeout(SOON):
            if options.poll:
                polls.append(asyncio.create_task(poll(viewer, options.port, request, options.poll)))
            else:
                page = Page(viewer, request.encode())
                await loop.create_connection(lambda: page, "127.0.0.1", options.port)
            await viewer.ready.wait()

    await asyncio.gather(*(open_one(viewer) for viewer in viewers))
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    told = {
        "seen": [list(viewer.seen.items()) for viewer in viewers],
        "bytes": sum(viewer.bytes for viewer in viewers),
        "messages": sum(viewer.messages for viewer in viewers),
        "gone": sum(viewer.gone for viewer in viewers) + sum(task.done() for task in polls),
    }
    print(json.dumps(told), flush=True)
    os._exit(0)  # closing a thousand sockets in order is not measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.watchers")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--poll", type=float, default=0, help="seconds between two polls; 0: a socket")
    asyncio.run(watch(parser.parse_args()))

"""The site as it runs in production: Daphne in its own process on the test database; a socket client."""

import asyncio
import base64
import contextlib
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

ROOT = Path(__file__).resolve().parents[2]
SOON = 15.0


@contextmanager
def daphne() -> Iterator[int]:
    """Run the site and yield its port. Its socket listens from the start, so tests need not wait."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        database = settings.DATABASES["default"]["NAME"]
        own = {"DATABASE_URL": f"sqlite:///{database}"} if settings.SQLITE else {}
        env = os.environ | own | {"DATA_DIR": str(settings.DATA_DIR), "SECRET_KEY": settings.SECRET_KEY}
        fd = listener.fileno()
        command = [sys.executable, "-c", f"from jobs.live.serving import serve; serve(['--fd', '{fd}'])"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, pass_fds=[fd], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def session_of(user: User) -> str:
    """Return the key of a new session of this user."""
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


class Refused(Exception):
    """The server did not open the socket; the argument is the HTTP status."""


class Closed(Exception):
    """The server closed the socket; the argument is the code."""


@dataclass
class Socket:
    """A minimal WebSocket client that reads texts and close codes and answers pings."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def receive(self) -> str:
        """Return the next text. Raises Closed."""
        async with asyncio.timeout(SOON):
            while True:
                kind, payload = await self.frame()
                if kind == 1:
                    return payload.decode()
                if kind == 8:
                    raise Closed(struct.unpack("!H", payload[:2])[0])
                if kind == 9:
                    self.send(10, payload)

    async def end(self) -> tuple[list[str], int]:
        """Return all texts until the server closes the socket, and the close code."""
        texts: list[str] = []
        try:
            while True:
                texts.append(await self.receive())
        except Closed as closed:
            return texts, closed.args[0]

    def send(self, kind: int, payload: bytes) -> None:
        """Send a short frame, masked with zeros."""
        self.writer.write(bytes([0x80 | kind, 0x80 | len(payload)]) + bytes(4) + payload)

    async def frame(self) -> tuple[int, bytes]:
        """Return the next frame: its kind and its payload."""
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", await self.reader.readexactly(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", await self.reader.readexactly(8))[0]
        return first & 0x0F, await self.reader.readexactly(length)


def narrow(port: int) -> socket.socket:
    """Connect with a receive buffer so small that the server soon notices a client that does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    return client


@asynccontextmanager
async def open_socket(
    port: int, path: str, *, session: str = "", origin: str | None = "own"
) -> AsyncIterator[Socket]:
    """Open a socket with small buffers, as a page of this origin would. Raises Refused."""
    reader, writer = await asyncio.open_connection(sock=narrow(port), limit=4096)
    origin = f"http://127.0.0.1:{port}" if origin == "own" else origin
    headers = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **({"Origin": origin} if origin is not None else {}),
        **({"Cookie": f"sessionid={session}"} if session else {}),
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    try:
        async with asyncio.timeout(SOON):
            answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split()[1])
        if status != 101:
            raise Refused(status)
        yield Socket(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

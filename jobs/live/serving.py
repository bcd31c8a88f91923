"""The web server: Daphne with back-pressure, which disconnects clients that stop reading."""

import asyncio
import logging
import socket
import struct
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from daphne.cli import CommandLineInterface
from daphne.server import Server
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from jobs.live.watched import heard

PATIENCE = 20.0  # seconds in which a client must read some of what was sent
# Bytes the kernel buffers before a connection counts as full; its default is megabytes.
UNSENT = 64 * 1024
# A slow client answers a ping only after it has read everything sent before it.
PING_TIMEOUT = 60
FINAL_TEXT = 0x81  # the first byte of a frame with a complete text message (RFC 6455)
QUIET = ["--access-log", "/dev/null", "--verbosity", "0", "--no-server-name"]

logger = logging.getLogger(__name__)


@implementer(IPushProducer)
class Backlog:
    """Tracks whether a client has read what was sent: Twisted pauses it while more than 64 KB are queued."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.taken = asyncio.Event()
        self.taken.set()
        with suppress(AttributeError, OSError):  # not every transport is TCP on Linux
            transport.getHandle().setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.taken.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.taken.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.taken.set()

    @property
    def left(self) -> int:
        """The number of bytes queued in this process."""
        transport = self.transport
        return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)

    def send(self, data: bytes) -> None:
        """Send what the kernel accepts at once and queue the rest. Twisted would wait for the next loop."""
        transport = self.transport
        if not self.left and transport.connected and not transport.disconnecting:
            sent = transport.writeSomeData(data)
            data = data[sent:] if isinstance(sent, int) and sent > 0 else data
        transport.write(data)  # notices a lost connection

    async def drained(self) -> bool:
        """Wait until the client has read what was sent. Return False if it reads nothing for PATIENCE."""
        left = self.left
        while not await heard(self.taken, PATIENCE):
            if self.left >= left:
                return False
            left = self.left
        return True


class PatientServer(Server):  # type: ignore[misc]  # daphne has no types
    """Daphne whose `send` returns once the client has read enough of what was sent before.

    Plain Daphne queues everything that a client does not read, without limit. Here a sender gets ahead of
    its client by at most the buffers of Twisted and the kernel (64 KB each) and one message. A client that
    reads nothing for 20 seconds is disconnected: a page reopens its socket, a stream resumes from its cursor.
    """

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Create the application, and track the backlog of a WebSocket from its handshake on."""
        if scope["type"] == "websocket":
            backlog = self.connections[protocol]["backlog"] = Backlog(protocol.transport)
            protocol.unregisterProducer()  # that of the HTTP request before the upgrade
            protocol.registerProducer(backlog, True)
            # the default, 1 s, disconnects a slow page before it has read the end
            protocol.closeHandshakeTimeout = PATIENCE
        queue = super().create_application(protocol, scope)
        if task := self.connections.get(protocol, {}).get("application_instance"):
            task.add_done_callback(partial(self._broke_off, protocol))
        return queue

    def _broke_off(self, protocol: Any, task: asyncio.Task[None]) -> None:
        """Disconnect a client whose response failed midway, which Daphne does not handle."""
        if task.cancelled() or not (error := task.exception()):
            return
        if getattr(protocol, "_response_started", False) and protocol.channel and not protocol.finished:
            logger.error("a response failed midway: %r", protocol, exc_info=error)
            protocol.channel.transport.abortConnection()

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Send a message; if more may follow, wait until the client has read enough."""
        more = message["type"] == "websocket.send" or message.get("more_body", False)
        if message["type"] == "http.response.body":
            self._watch(protocol, more)
        backlog = self.connections.get(protocol, {}).get("backlog")
        if backlog and message.get("text") and protocol.state == protocol.STATE_OPEN:
            # not through Autobahn: it frames the same text again for each page and refuses a megabyte
            backlog.send(frame(message["text"]))
        else:
            await super().handle_reply(protocol, message)
        if not more or backlog is None or backlog.taken.is_set():
            return
        if not await backlog.drained():
            logger.info("disconnecting a client that does not read: %r", protocol)
            backlog.transport.abortConnection()

    def protocol_disconnected(self, protocol: Any) -> None:
        """Wake a sender that waits for a client that has disconnected."""
        super().protocol_disconnected(protocol)
        if backlog := self.connections[protocol].get("backlog"):
            backlog.taken.set()

    def _watch(self, request: Any, more: bool) -> None:
        """Track a response's backlog from its first part to the one before its last, as Twisted requires."""
        known = self.connections.get(request)
        if known is None or request.channel is None:
            return
        if more and "backlog" not in known:
            known["backlog"] = Backlog(request.channel.transport)
            request.registerProducer(known["backlog"], True)
        elif not more and known.pop("backlog", None):
            request.unregisterProducer()


@lru_cache(maxsize=4)
def frame(text: str) -> bytes:
    """Return a text as a WebSocket frame. It is cached: the pages of a job mostly get the same text."""
    data = text.encode()
    if len(data) < 126:
        return bytes([FINAL_TEXT, len(data)]) + data
    if len(data) < 2**16:
        return struct.pack("!BBH", FINAL_TEXT, 126, len(data)) + data
    return struct.pack("!BBQ", FINAL_TEXT, 127, len(data)) + data


class Interface(CommandLineInterface):  # type: ignore[misc]  # daphne has no types
    """Daphne's command line with PatientServer."""

    server_class = PatientServer


def serve(where: list[str], application: str = "config.asgi:application") -> None:
    """Serve the site until the process gets a signal. `where` holds Daphne's options for the address."""
    Interface().run([*where, *QUIET, "--ping-timeout", str(PING_TIMEOUT), application])

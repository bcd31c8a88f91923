"""How the site is served: Daphne, taught to wait for its clients and to let go of those that do not read."""

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

PATIENCE = 20.0  # seconds in which a client that has something to take must take some of it
# Bytes that the kernel takes before it calls a connection full; by itself it takes megabytes, and tells late.
UNSENT = 64 * 1024
# A client that is slow, but reads, answers a ping only after everything that was sent before it.
PING_TIMEOUT = 60
FINAL_TEXT = 0x81  # the first byte of a frame that holds a whole text (RFC 6455)
QUIET = ["--access-log", "/dev/null", "--verbosity", "0", "--no-server-name"]

logger = logging.getLogger(__name__)


@implementer(IPushProducer)
class Backlog:
    """Whether a connection has taken what was sent: Twisted pauses it while more than 64 KB wait here."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.taken = asyncio.Event()
        self.taken.set()
        with suppress(AttributeError, OSError):  # not every transport is TCP of Linux
            transport.getHandle().setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.taken.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.taken.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.taken.set()

    @property
    def left(self) -> int:
        """Give the bytes that wait in this process."""
        there = self.transport
        return len(there.dataBuffer) - there.offset + there._tempDataLen

    def send(self, data: bytes) -> None:
        """Send now what the kernel takes now; the rest waits here. By itself Twisted sends a round later."""
        there = self.transport
        if not self.left and there.connected and not there.disconnecting:
            sent = there.writeSomeData(data)
            data = data[sent:] if isinstance(sent, int) and sent > 0 else data
        there.write(data)  # a connection that is lost is noticed here

    async def drained(self) -> bool:
        """Wait until the client has taken what was sent; False when it takes nothing of it for too long."""
        left = self.left
        while not await heard(self.taken, PATIENCE):
            if self.left >= left:
                return False
            left = self.left
        return True


class PatientServer(Server):
    """Daphne, whose `send` comes back when the client has taken enough of what was sent before.

    By itself Daphne keeps whatever a client does not read, without bound. Here nobody who sends gets ahead
    of a client by more than what Twisted and the kernel hold (64 KB each) and one message, and a client that
    takes nothing for 20 seconds is cut off: a page opens its socket again, a stream resumes by its cursor.
    """

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Watch a socket from its handshake on."""
        if scope["type"] == "websocket":
            backlog = self.connections[protocol]["backlog"] = Backlog(protocol.transport)
            protocol.unregisterProducer()  # the HTTP side, which the connection has left
            protocol.registerProducer(backlog, True)
            # by itself 1 s, which cuts a slow page off before it has read the end
            protocol.closeHandshakeTimeout = PATIENCE
        queue = super().create_application(protocol, scope)
        if task := self.connections.get(protocol, {}).get("application_instance"):
            task.add_done_callback(partial(self._broke_off, protocol))
        return queue

    def _broke_off(self, protocol: Any, task: asyncio.Task[None]) -> None:
        """Cut a client off whose answer broke in the middle; Daphne would stumble over it."""
        if task.cancelled() or not (error := task.exception()):
            return
        if getattr(protocol, "_response_started", False) and protocol.channel and not protocol.finished:
            logger.error("an answer broke off: %r", protocol, exc_info=error)
            protocol.channel.transport.abortConnection()

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Hand a message on, and wait until the client has taken it when more may follow."""
        more = message["type"] == "websocket.send" or message.get("more_body", False)
        if message["type"] == "http.response.body":
            self._watch(protocol, more)
        backlog = self.connections.get(protocol, {}).get("backlog")
        if backlog and message.get("text") and protocol.state == protocol.STATE_OPEN:
            # past Autobahn, which would frame the same text anew for each page, and refuses one of a megabyte
            backlog.send(frame(message["text"]))
        else:
            await super().handle_reply(protocol, message)
        if not more or backlog is None or backlog.taken.is_set():
            return
        if not await backlog.drained():
            logger.info("a client reads nothing and is cut off: %r", protocol)
            backlog.transport.abortConnection()

    def protocol_disconnected(self, protocol: Any) -> None:
        """Let nobody wait for a client that has gone."""
        super().protocol_disconnected(protocol)
        if backlog := self.connections[protocol].get("backlog"):
            backlog.taken.set()

    def _watch(self, request: Any, more: bool) -> None:
        """Watch an answer from its first part to the one before its last; Twisted wants no watcher left."""
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
    """Give a text as a WebSocket frame; the pages of a job are mostly sent the same one."""
    data = text.encode()
    if len(data) < 126:
        return bytes([FINAL_TEXT, len(data)]) + data
    if len(data) < 2**16:
        return struct.pack("!BBH", FINAL_TEXT, 126, len(data)) + data
    return struct.pack("!BBQ", FINAL_TEXT, 127, len(data)) + data


class Interface(CommandLineInterface):
    """Daphne's command line, with our server."""

    server_class = PatientServer


def serve(where: list[str], application: str = "config.asgi:application") -> None:
    """Serve the site until the process is told to end; `where` is as Daphne's command line takes it."""
    Interface().run([*where, *QUIET, "--ping-timeout", str(PING_TIMEOUT), application])

"""A webhook receiver for tests: a real HTTP server that keeps requests and sends scripted answers."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SOON = 20.0
Handler = BaseHTTPRequestHandler


@dataclass(frozen=True)
class Got:
    """One request: its path, its headers by lower-case name, and its raw body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        """Return the parsed body."""
        return dict(json.loads(self.body))


@dataclass
class Receiver:
    """The requests received, and the `answers` sent in turn; the last answer is repeated."""

    port: int = 0
    answers: list[Callable[[Handler], None]] = field(default_factory=lambda: [status(200)])
    got: list[Got] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, host: str = "127.0.0.1", scheme: str = "http", path: str = "/hook") -> str:
        """Return the address of this receiver."""
        return f"{scheme}://{host}:{self.port}{path}"

    def wait(self, count: int = 1, within: float = SOON) -> list[Got]:
        """Wait until `count` requests have arrived and return all of them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, within), f"{len(self.got)} came"
            return list(self.got)

    def take(self, handler: Handler) -> None:
        """Keep a request and answer it."""
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        with self.changed:
            self.got.append(Got(handler.path, headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.changed.notify_all()
        try:
            with contextlib.suppress(OSError):  # the client has disconnected
                answer(handler)
        finally:
            with self.changed:
                self.at_once -= 1


def status(code: int, **headers: str) -> Callable[[Handler], None]:
    """Answer with this status and these headers (`_` for `-`)."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    return answer


def broken_off(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def silence(receiver: Receiver) -> Callable[[Handler], None]:
    """Never answer; the connection closes with the receiver."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        receiver.closing.wait(SOON)

    return answer


def flood(sent: list[int]) -> Callable[[Handler], None]:
    """Answer 200 with an endless body; `sent` collects the number of bytes sent."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        sent.append(0)
        while sent[0] < 200_000_000:
            sent[0] += handler.wfile.write(b"x" * 65536)

    return answer


@contextlib.contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    made = Receiver()

    class Handle(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keep connections open if the client wants that

        def do_POST(self) -> None:
            made.take(self)

        do_GET = do_POST  # noqa: N815 - as the library names it

        def log_message(self, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handle)
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # type: ignore[method-assign]
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(SOON)

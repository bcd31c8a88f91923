"""What may be between a client and an installation: a connection that is cut, or some other server."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WHOLE = 1 << 40


class Line:
    """A proxy to a port whose n-th connection is cut after `cuts[n]` bytes of the answer.

    Later connections carry everything, or the first `after` bytes.
    """

    def __init__(self, port: int, cuts: list[int], after: int = WHOLE) -> None:
        self._goal, self._cuts, self._after = port, list(cuts), after
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *about: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                budget = self._cuts.pop(0) if self._cuts else self._after
                self.connections += 1
                threading.Thread(target=self._carry, args=(near, budget), daemon=True).start()

    def _carry(self, near: socket.socket, budget: int) -> None:
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self._goal)) as far:
            while budget > 0:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(min(65536, budget) if ready is far else 65536)
                    if not data:
                        return
                    (near if ready is far else far).sendall(data)
                    budget -= len(data) if ready is far else 0


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def stranger(*answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """Run a server that sends these answers in turn and repeats the last one.

    Return its address and the list of received requests, each as method and path.
    """
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

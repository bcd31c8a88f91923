"""manage.py up: migrates, then runs web and worker under one supervisor."""

import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from jobs import registry
from jobs.cli.accounts import ADMIN, ensure_admin
from jobs.cli.supervisor import Child, Supervisor, manage

READY_SECONDS = 60.0


class Command(BaseCommand):
    """Runs web and worker on this machine."""

    # the web process runs the checks, which are mostly about its addresses; here they only take time
    requires_system_checks = ()
    help = "Migrate, then run web and worker until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the address to listen on."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or Ctrl-C."""
        listener = self.listen(options["host"], options["port"])
        self.supervise(listener, lambda address: self.say(f"Flightplan is ready: {public(address)}"))

    def say(self, text: str) -> None:
        """Print a line and flush."""
        self.stdout.write(text)
        self.stdout.flush()

    def listen(self, host: str, port: int) -> socket.socket:
        """Bind the address for the web process. Raises CommandError if it is in use."""
        try:
            listener = socket.create_server((host, port), backlog=2048)
        except OSError as error:
            raise CommandError(
                f"cannot listen on {host}:{port} ({error.strerror}); try another --port"
            ) from None
        listener.set_inheritable(True)
        return listener

    def supervise(self, listener: socket.socket, on_ready: Callable[[str], None]) -> None:
        """Prepare the database, run the children, and call `on_ready` with the address when ready."""
        self.say(f"Preparing the database in {settings.DATA_DIR} ...")
        call_command("migrate", interactive=False, verbosity=0)
        if generated := ensure_admin():
            self.say(f"Created user {ADMIN} with the password {generated} (shown only now).")
        self.say("Starting the web process and the worker ...")
        connections.close_all()
        fd = listener.fileno()
        address = address_of(*listener.getsockname()[:2])
        children = [
            Child("web", manage("web", "--fd", str(fd)), (fd,)),
            Child("worker", manage("worker")),
        ]
        supervisor = Supervisor(children, self.say)
        code = supervisor.run(lambda: self._when_ready(address, on_ready))
        if code:
            sys.exit(code)

    def _when_ready(self, address: str, on_ready: Callable[[str], None]) -> None:
        for fault in registry.faults():  # while web and worker start
            self.say(f"Fix this before launching: {fault.field}: {fault.message}")
        deadline = time.monotonic() + READY_SECONDS
        reason = ""
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(probe(address), timeout=2):  # noqa: S310 - our own address
                    return on_ready(address)
            except urllib.error.HTTPError as error:
                reason = error.read(500).decode(errors="replace")
            except OSError as error:
                reason = str(error)
            time.sleep(0.1)
        self.say(f"Flightplan is running at {address} but not ready: {reason}")
        self.say(f"Its data is in {settings.DATA_DIR}.")
        return None


def address_of(host: str, port: int) -> str:
    """Return the address at which this machine reaches a listener, 127.0.0.1 for a listener on 0.0.0.0."""
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/"  # noqa: S104 - compared, not bound


def public(address: str) -> str:
    """Return where users reach the site: PUBLIC_URL, or the address of the listener without it."""
    return urljoin(settings.PUBLIC_URL or address, settings.BASE_PATH)


def probe(address: str) -> urllib.request.Request:
    """Return the request to /readyz, with a host name that is in ALLOWED_HOSTS."""
    names = [name.removeprefix(".") for name in settings.ALLOWED_HOSTS if name != "*"]
    near = not names or urlsplit(address).hostname in names
    return urllib.request.Request(address + "readyz", headers={} if near else {"Host": names[0]})  # noqa: S310

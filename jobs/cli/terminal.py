"""What the commands share that follow a job: where to, what is shown on the way, and the exit code."""

import os
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandParser, OutputWrapper
from rich.console import Console

from jobs.cli.board import Board, clean
from jobs.cli.installation import BAD_INPUT, EXITS, FAILED, INTERRUPTED, Installation, Say, Trouble
from jobs.cli.summary import summary
from jobs.engine.inputs import Fault

TOKEN = "FLIGHTPLAN_TOKEN"  # noqa: S105  # the variable's name
PLAIN_WIDTH = 200  # of a table that goes into a file or a pipe


def add_place(parser: CommandParser) -> None:
    """Declare where the installation is."""
    parser.add_argument(
        "--server", metavar="URL", help="a remote installation; nothing of this one is needed then"
    )
    parser.add_argument(
        "--token",
        metavar="T",
        help=f"its API token; rather set {TOKEN}, which does not show in the list of processes",
    )


def place(options: dict[str, Any], say: Say) -> Installation:
    """Give the installation that the options name. Raises Trouble."""
    server, token = options["server"], options["token"]
    if server is None:
        if token is not None:
            raise Trouble("--token: is for a remote installation; name it with --server", BAD_INPUT)
        from jobs.cli.local import Local

        return Local(say)
    token = token or os.environ.get(TOKEN, "")
    host = _host(server)
    if not token:
        raise Trouble(
            f"--server: needs a token, in {TOKEN} or as --token; "
            "make one there with: manage.py apitoken USER --scope read --scope launch",
            BAD_INPUT,
        )
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise Trouble("--token: holds signs that no token has; take the last word of apitoken", BAD_INPUT)
    if urlsplit(server).scheme == "http" and not _near(host):
        say("warning: --server: http:// shows the token and the brief to whoever is on the way; use https://")
    from jobs.cli.remote import Remote

    return Remote(server, token)


def _host(server: str) -> str:
    """Give the host of a server's address. Raises Trouble for what is no such address."""
    try:
        parts = urlsplit(server)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if (
        host is None
        or parts.scheme not in ("http", "https")
        or not (server.isascii() and server.isprintable())
    ):
        raise Trouble(
            "--server: must be an address such as https://flightplan.example.com", BAD_INPUT
        ) from None
    if parts.username is not None or parts.query or parts.fragment:
        raise Trouble(
            "--server: must hold nothing but scheme, host, port and path; the token goes elsewhere", BAD_INPUT
        )
    return host


def _near(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Follower:
    """Follows a job to its end, as bars, as lines of JSON, or quietly."""

    def __init__(self, installation: Installation, out: OutputWrapper, err: OutputWrapper) -> None:
        self._installation, self._out, self._err = installation, out, err

    def follow(self, job_id: str, *, as_json: bool = False, quiet: bool = False) -> int:
        """Follow the job and give the exit code."""
        try:
            if as_json:
                self._lines(job_id)
            else:
                self._board(job_id, quiet)
        except KeyboardInterrupt:
            self._err.write(
                "No longer followed; the campaign goes on. "
                f"Follow it again with: manage.py follow {job_id}{self._installation.again}"
            )
            return INTERRUPTED
        except BrokenPipeError:  # whoever read our lines has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out._out.fileno())
            return INTERRUPTED
        return EXITS.get(self._installation.status, FAILED)

    def _lines(self, job_id: str) -> None:
        for told in self._installation.follow(job_id, lambda text: print_line(self._err, text)):
            self._out.write(told.line)
            self._out.flush()

    def _board(self, job_id: str, quiet: bool) -> None:
        console = _console(self._out)
        with Board(console, quiet=quiet) as board:
            for told in self._installation.follow(job_id, board.say):
                if told.recorded:
                    board.show(told.recorded)
        for part in summary(board.progress, self._installation, job_id, console):
            console.print(part, soft_wrap=not hasattr(part, "columns"))


class _Console(Console):
    """A console that leaves it to the follower to say what a closed pipe means."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled."""
        raise BrokenPipeError


def _console(out: OutputWrapper) -> Console:
    """Give a console on a command's output, wide where nobody looks at it."""
    console = _Console(file=out._out)
    return console if console.is_terminal else _Console(file=out._out, width=PLAIN_WIDTH)


def print_line(err: OutputWrapper, text: str) -> None:
    """Write a line for people to standard error."""
    err.write(clean(text))


def print_fault(err: OutputWrapper, fault: Fault, mark: str = "") -> None:
    """Write a fault or a warning; the file is the brief, so its fields are named from there."""
    field = fault.field.removeprefix("campaign.")
    print_line(err, f"{mark}{field}: {fault.message}" if field else f"{mark}{fault.message}")

"""What the commands that follow a job share: the installation, the output and the exit code."""

import os
from ipaddress import ip_address
from typing import IO, Any, cast
from urllib.parse import urlsplit

from django.core.management.base import CommandParser, OutputWrapper
from rich.console import Console

from jobs.cli.board import Board, clean
from jobs.cli.installation import BAD_INPUT, EXITS, FAILED, INTERRUPTED, Installation, Say, Trouble
from jobs.cli.summary import summary
from jobs.engine.inputs import Fault

TOKEN = "FLIGHTPLAN_TOKEN"  # noqa: S105  # the variable's name
PLAIN_WIDTH = 200  # columns of a table in a file or pipe


def add_place(parser: CommandParser) -> None:
    """Add the options that choose the installation."""
    parser.add_argument(
        "--server", metavar="URL", help="use a remote installation; this one needs no database then"
    )
    parser.add_argument(
        "--token",
        metavar="T",
        help=f"its API token; prefer {TOKEN}, which is not visible in the list of processes",
    )


def place(options: dict[str, Any], say: Say) -> Installation:
    """Return the installation that the options choose. Raises Trouble."""
    server, token = options["server"], options["token"]
    if server is None:
        if token is not None:
            raise Trouble("--token: only for a remote installation; add --server", BAD_INPUT)
        from jobs.cli.local import Local

        return Local(say)
    token = token or os.environ.get(TOKEN, "")
    host = _host(server)
    if not token:
        raise Trouble(
            f"--server: needs a token, in {TOKEN} or as --token; "
            "create one there with: manage.py apitoken USER --scope read --scope launch",
            BAD_INPUT,
        )
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise Trouble("--token: has invalid characters; use the last word that apitoken printed", BAD_INPUT)
    if urlsplit(server).scheme == "http" and not _near(host):
        say("warning: --server: http:// sends the token and the brief unencrypted; use https://")
    from jobs.cli.remote import Remote

    return Remote(server, token)


def _host(server: str) -> str:
    """Return the host of a server's address. Raises Trouble if the address is invalid."""
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
            "--server: may only have scheme, host, port and path; pass the token separately", BAD_INPUT
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
        """Follow the job and return the exit code."""
        try:
            if as_json:
                self._lines(job_id)
            else:
                self._board(job_id, quiet)
        except KeyboardInterrupt:
            self._err.write(
                "Stopped following; the campaign continues. "
                f"Follow it again with: manage.py follow {job_id}{self._installation.again}"
            )
            return INTERRUPTED
        except BrokenPipeError:  # the reader of our output has closed it
            os.dup2(os.open(os.devnull, os.O_WRONLY), _stream(self._out).fileno())
            return INTERRUPTED
        return EXITS.get(self._installation.status, FAILED)

    def _lines(self, job_id: str) -> None:
        for one in self._installation.follow(job_id, lambda text: print_line(self._err, text)):
            self._out.write(one.line)
            self._out.flush()

    def _board(self, job_id: str, quiet: bool) -> None:
        console = _console(self._out)
        with Board(console, quiet=quiet) as board:
            for one in self._installation.follow(job_id, board.say):
                if one.recorded:
                    board.show(one.recorded)
        for part in summary(board.progress, self._installation, job_id, console):
            console.print(part, soft_wrap=not hasattr(part, "columns"))


class _Console(Console):
    """A console that leaves a closed pipe to the follower."""

    def on_broken_pipe(self) -> None:
        """Raise the BrokenPipeError that is being handled."""
        raise BrokenPipeError


def _console(out: OutputWrapper) -> Console:
    """Return a console that prints to a command's output, with a fixed width unless it is a terminal."""
    console = _Console(file=_stream(out))
    return console if console.is_terminal else _Console(file=_stream(out), width=PLAIN_WIDTH)


def _stream(out: OutputWrapper) -> IO[str]:
    return cast(IO[str], out._out)  # the stubs have the wrong type


def print_line(err: OutputWrapper, text: str) -> None:
    """Write a line to standard error."""
    err.write(clean(text))


def print_fault(err: OutputWrapper, fault: Fault, mark: str = "") -> None:
    """Write an error or a warning. The field's name is relative to the brief, which is what the file has."""
    field = fault.field.removeprefix("campaign.")
    print_line(err, f"{mark}{field}: {fault.message}" if field else f"{mark}{fault.message}")

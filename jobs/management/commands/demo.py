"""manage.py demo: runs everything with a sample campaign, for a first look."""

import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.management.base import CommandError, CommandParser
from django.db import connection
from django.urls import reverse

from jobs.acts import actions
from jobs.cli.accounts import ADMIN
from jobs.engine.inputs import InvalidInput
from jobs.management.commands.up import Command as Up
from jobs.management.commands.up import public
from jobs.models import Job
from jobs.pages.signin import make_link

NEXT_PORTS = 20
LOOK_SECONDS = 1.0
WORKFLOW = "campaign-lifecycle"


class Command(Up):
    """Starts web and worker, launches the sample campaign and prints where to watch it."""

    help = "Start everything, launch the sample campaign, and print where to watch it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the address to listen on and the preset to launch."""
        super().add_arguments(parser)
        parser.add_argument("--preset", default="aurora-one", help="the sample campaign (aurora-one)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until Ctrl-C."""
        listener = self._near(options["host"], options["port"])
        self.supervise(listener, lambda address: self._launch(address, options["preset"]))

    def _near(self, host: str, port: int) -> socket.socket:
        """Listen on the port, or on the next free port."""
        for candidate in range(port, port + NEXT_PORTS):
            try:
                return self.listen(host, candidate)
            except CommandError as error:
                self.say(f"{error}; trying the next port")
        raise CommandError(f"no free port from {port} to {port + NEXT_PORTS - 1}; try --port")

    def _launch(self, address: str, preset: str) -> None:
        admin = User.objects.get(username=ADMIN)
        try:
            launched = actions.launch(WORKFLOW, {"campaign": preset, "includeSearch": True}, admin)
        except InvalidInput as error:
            for fault in error.faults:
                self.say(f"The sample campaign was not launched. {fault.field}: {fault.message}")
            return
        job = launched.job
        page, site = reverse("job", args=[job.pk]), public(address)
        self.say("")
        self.say(f"  Launched   {job.title}")
        self.say(f"  Page       {urljoin(site, page)}")
        self.say(f"  Sign in    {urljoin(site, make_link(admin, page))}  (works once, within an hour)")
        self.say(f"  Files      {default_storage.path(job.folder)}")
        self.say("")
        self.say("Press Ctrl-C to stop.")
        self._follow(job)

    def _follow(self, job: Job) -> None:
        """Wait until the campaign has ended and print how."""
        while not job.ended:
            time.sleep(LOOK_SECONDS)
            job.refresh_from_db()
        made = len(list(Path(default_storage.path(job.folder)).glob("*")))
        self.say(f"Campaign {job.status}: {made} files in {default_storage.path(job.folder)}")
        connection.close()

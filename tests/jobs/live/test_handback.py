"""Database connections: a request keeps none, however long its stream runs."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse

from jobs.live.handback import handing_back
from jobs.models import ApiToken, Job
from tests.jobs import running, story

pytestmark = pytest.mark.django_db(transaction=True)
VIEWERS = 12
counted_here = pytest.mark.skipif(
    not settings.SQLITE or not Path("/proc/self/fd").exists(), reason="counts files of SQLite that are open"
)


def connections_of_the_site() -> int:
    """Return how many connections to the test database this process's children hold."""
    database = os.path.realpath(settings.DATABASES["default"]["NAME"])
    found = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            for file in Path(f"/proc/{child}/fd").glob("*"):
                with suppress(OSError):  # closed meanwhile
                    found += os.readlink(file) == database
    return found


async def ask(site: int, path: str, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Request an address and return the connection once the response's headers have arrived."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site)
    host = f"Host: 127.0.0.1:{site}\r\nAuthorization: Bearer {token}"
    writer.write(f"GET {path} HTTP/1.1\r\n{host}\r\n\r\n".encode())
    async with asyncio.timeout(running.SOON):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    return reader, writer


@counted_here
async def test_followers_of_a_job_hold_no_database_connection_each(site):
    job = await sync_to_async(story.job)()
    token = await sync_to_async(lambda: ApiToken.make(story.user(), ["read"]))()
    followers = [await ask(site, f"/api/jobs/{job.pk}/events", token) for _ in range(VIEWERS)]
    # a few are the hub's own and that of all sockets
    assert connections_of_the_site() < VIEWERS / 2
    for _, writer in followers:
        writer.close()


@counted_here
async def test_finished_requests_leave_no_connection_open(site):
    token = await sync_to_async(lambda: ApiToken.make(story.user(), ["read"]))()
    for _ in range(VIEWERS):
        _, writer = await ask(site, "/api/jobs", token)
        writer.close()
    assert connections_of_the_site() < VIEWERS / 2


def test_a_request_that_fails_closes_its_connection_too():
    def view(request: object) -> HttpResponse:
        Job.objects.count()
        raise ValueError

    with suppress(ValueError):
        handing_back(view)(None)
    assert connection.connection is None


def test_a_connection_in_a_transaction_is_kept():
    with transaction.atomic():
        job = story.job()
        handing_back(lambda request: HttpResponse())(None)
        assert Job.objects.filter(pk=job.pk).exists()

"""The doorbell between machines: PostgreSQL's NOTIFY tells every web process that a job's log has grown."""

import logging
from collections.abc import AsyncIterator

import psycopg
from django.db import DatabaseError, connection

CHANNEL = "flightplan_jobs"

logger = logging.getLogger(__name__)


def here() -> bool:
    """Tell whether the database carries notices: PostgreSQL does."""
    return connection.vendor == "postgresql"


def send(job_id: object) -> None:
    """Tell whoever listens that a job's log has grown. Raises nothing: a lost notice costs a moment.

    It is sent after the commit, by itself: within the transaction it would let commits wait for each other.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(job_id)])
    except DatabaseError as error:
        logger.warning("the other machines cannot be told of job %s: %s", job_id, error)


async def listen() -> AsyncIterator[str]:
    """Give the id of each job whose log has grown, as long as the connection holds. Raises psycopg.Error."""
    params = connection.get_connection_params()
    params.pop("cursor_factory", None)  # made for connections that block
    async with await psycopg.AsyncConnection.connect(**params, autocommit=True) as listener:
        await listener.execute(f"LISTEN {CHANNEL}")
        async for notice in listener.notifies():
            yield notice.payload

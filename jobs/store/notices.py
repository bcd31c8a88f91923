"""The doorbell between machines: PostgreSQL's NOTIFY wakes every web process when a job's log grows."""

import logging
from collections.abc import AsyncIterator

import psycopg
from django.db import DatabaseError, connection

CHANNEL = "flightplan_jobs"

logger = logging.getLogger(__name__)


def available() -> bool:
    """Return whether the database supports notices. PostgreSQL does, SQLite does not."""
    return connection.vendor == "postgresql"


def send(job_id: object) -> None:
    """Notify the listeners that a job's log has grown. Raises nothing: a lost notice only delays them.

    Call it after the commit, outside the transaction: inside it, commits would wait for each other.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(job_id)])
    except DatabaseError as error:
        logger.warning("cannot notify other machines about job %s: %s", job_id, error)


async def listen() -> AsyncIterator[str]:
    """Yield the id of each job whose log has grown, until the connection breaks. Raises psycopg.Error."""
    params = connection.get_connection_params()
    params.pop("cursor_factory", None)  # it is for synchronous connections only
    async with await psycopg.AsyncConnection.connect(**params, autocommit=True) as listener:
        await listener.execute(f"LISTEN {CHANNEL}")
        async for notice in listener.notifies():
            yield notice.payload

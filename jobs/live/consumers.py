"""The WebSocket of a job's page: sends pieces as they change until the job has ended."""

import asyncio
import logging
import random
from importlib import import_module
from uuid import UUID

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase

from jobs.live.hub import HubBroken, JobNotFound, hub
from jobs.live.pieces import fragment
from jobs.models import Job

HEARTBEAT = 15.0
RECHECK = 30.0
# Scripts cannot see ping frames. htmx treats JSON without "content" as data and swaps nothing.
HEARTBEAT_MESSAGE = '{"hb":1}'

ENDED, BROKEN, SIGNED_OUT, NOT_YOURS = 1000, 1011, 4401, 4404

logger = logging.getLogger(__name__)


class JobConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """ws/jobs/<uuid>/: sends all pieces first, then the changed pieces, or a heartbeat if nothing changes.

    Delivery is that of the hub's `pieces`; a reconnect starts with all pieces again. A slow page gets fewer
    states, each the latest at the time, because `send` waits for it (see `serving`). Closes with 1000 after
    it has sent the job's end, 4401 if the user is not or no longer signed in, 4404 for a job that is not
    the user's, and 1011 if the hub fails. Ignores what the client sends.
    """

    _pump_task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Accept the connection, so that the client can read a close code; then close it or start sending."""
        self.job_id: UUID = self.scope["url_route"]["kwargs"]["job_id"]
        await self.accept()
        if refusal := await self._refusal():
            await self.close(code=refusal)
            return
        # a separate task: the consumer handles one message at a time, and must receive its disconnect
        self._pump_task = asyncio.create_task(self._run(), name=f"socket {self.job_id}")

    async def disconnect(self, code: int) -> None:
        """Stop sending, which ends the subscription."""
        if self._pump_task:
            self._pump_task.cancel()
            await asyncio.gather(self._pump_task, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore what the client sends."""

    async def _run(self) -> None:
        try:
            code = await self._pump()
        except JobNotFound:
            code = NOT_YOURS
        except HubBroken:
            code = BROKEN  # the hub has logged the cause
        except Exception:
            logger.exception("the socket of job %s failed", self.job_id)
            code = BROKEN
        await self.close(code=code)

    async def _pump(self) -> int:
        """Send the changes until the job has ended, and return the close code."""
        now = asyncio.get_running_loop().time
        check_at = now() + _spread(RECHECK)
        with hub().pieces(self.job_id) as page:
            while not page.over:
                changed = await page.take(min(HEARTBEAT, check_at - now()))
                if now() >= check_at:
                    if refusal := await self._refusal():
                        return refusal
                    check_at = now() + _spread(RECHECK)
                if changed or not page.over:
                    await self.send(text_data=fragment(changed) if changed else HEARTBEAT_MESSAGE)
        return ENDED

    async def _refusal(self) -> int | None:
        """Return the close code if the user may no longer watch this job, otherwise None."""
        user = await get_user({"session": _stored_session(self.scope["session"].session_key)})
        if not user.is_authenticated:
            return SIGNED_OUT
        return None if await database_sync_to_async(_may_see)(user, self.job_id) else NOT_YOURS


def _spread(seconds: float) -> float:
    """Return a random time up to `seconds`, so that pages that connect together do not check together."""
    return seconds * random.uniform(0.5, 1)  # noqa: S311 - not a secret


def _stored_session(key: str | None) -> SessionBase:
    """Return the session as it is stored now; the scope has it as it was at the handshake."""
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return store(key)


def _may_see(user: User, job_id: UUID) -> bool:
    return Job.objects.visible_to(user).filter(pk=job_id).exists()

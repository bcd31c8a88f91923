"""The socket of a job's page: pieces as they change, until the job has ended."""

import asyncio
import logging
import random
from importlib import import_module
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from jobs.live.hub import HubBroken, JobNotFound, hub
from jobs.live.pieces import fragment
from jobs.models import Job

HEARTBEAT = 15.0
RECHECK = 30.0
# Scripts cannot see ping frames; htmx takes JSON without "content" for data and swaps nothing.
HEARTBEAT_MESSAGE = '{"hb":1}'

ENDED, BROKEN, SIGNED_OUT, NOT_YOURS = 1000, 1011, 4401, 4404

logger = logging.getLogger(__name__)


class JobConsumer(AsyncWebsocketConsumer):
    """ws/jobs/<uuid>/: all pieces first, then those that change; a heartbeat where nothing does.

    Delivery: as the hub's `pieces`; a reconnect starts with all pieces again. A page that reads slowly gets
    fewer states, each the latest, because `send` waits for it (`serving`). Closes with 1000 after the
    job's end was sent, 4401 when nobody is signed in (any more), 4404 for a job that is not the user's,
    1011 when the hub cannot go on. What a client sends is not read.
    """

    _pump_task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Accept, so that the client can read the close code, and start the pump or close again."""
        self.job_id = self.scope["url_route"]["kwargs"]["job_id"]
        await self.accept()
        if refusal := await self._refusal():
            await self.close(code=refusal)
            return
        # a task of its own: this consumer takes one message after the other, and must hear of its disconnect
        self._pump_task = asyncio.create_task(self._run(), name=f"socket {self.job_id}")

    async def disconnect(self, code: int) -> None:
        """Stop the pump, and with it the subscription."""
        if self._pump_task:
            self._pump_task.cancel()
            await asyncio.gather(self._pump_task, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore whatever a client says."""

    async def _run(self) -> None:
        try:
            code = await self._pump()
        except JobNotFound:
            code = NOT_YOURS
        except HubBroken:
            code = BROKEN  # the hub has logged why
        except Exception:
            logger.exception("the socket of job %s broke", self.job_id)
            code = BROKEN
        await self.close(code=code)

    async def _pump(self) -> int:
        """Send what changes; give the code to close with."""
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
        """Give the close code for whoever may not watch this job now; None for who may."""
        user = await get_user({"session": _stored_session(self.scope["session"].session_key)})
        if not user.is_authenticated:
            return SIGNED_OUT
        return None if await _may_see(user, self.job_id) else NOT_YOURS


def _spread(seconds: float) -> float:
    """Give a time no longer than this: a thousand pages that came together must not ask together for ever."""
    return seconds * random.uniform(0.5, 1)  # noqa: S311 - no secret


def _stored_session(key: str | None) -> Any:
    """Give the session as it is stored now; the scope's own remembers what it was at the handshake."""
    return import_module(settings.SESSION_ENGINE).SessionStore(key)


@database_sync_to_async
def _may_see(user: Any, job_id: object) -> bool:
    return Job.objects.visible_to(user).filter(pk=job_id).exists()

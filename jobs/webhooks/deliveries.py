"""Deliveries that are due: how each is claimed by one worker, and how its result is stored."""

import random
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Min, QuerySet

from jobs.models import Delivery

State = Delivery.State
HELD_SECONDS = 30.0  # a claimed delivery is due again after this time, in case its worker died
# seconds between attempts: eight attempts in a little less than a day
DELAYS = (10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0, 50400.0)
JITTER = 0.1
LONGEST_DELAY = 86400.0


@dataclass(frozen=True)
class Letter:
    """A claimed delivery with the present settings of its webhook. It is this worker's until `held`."""

    id: uuid.UUID
    webhook: int
    version: int
    url: str
    allow_private: bool
    payload: dict[str, Any]
    attempt: int
    held: datetime


@dataclass(frozen=True)
class DeliveryResponse:
    """The result of an attempt: the HTTP status, or why there was none."""

    status: int | None = None
    fault: str = ""
    retry_after: float | None = None

    @property
    def taken(self) -> bool:
        """Return whether the receiver accepted the delivery."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def detail(self) -> str:
        """Return why the attempt failed, or "" if it did not."""
        if self.taken or self.status is None:
            return self.fault
        if 300 <= self.status < 400:
            return f"answered {self.status}: redirects are not followed"
        return f"answered {self.status}" + (", so it is not sent again" if self.status == 410 else "")


def claim(busy: Collection[int], room: int, now: datetime) -> list[Letter]:
    """Claim the longest due delivery of each of at most `room` webhooks that are not `busy`.

    By compare-and-swap on `next_at`, so that only one worker gets it. The attempt is counted here.
    """
    due = Delivery.objects.filter(state=State.PENDING, next_at__lte=now, webhook__active=True)
    due = due.exclude(webhook_id__in=list(busy))
    oldest = due.order_by().values("webhook_id").annotate(since=Min("next_at")).order_by("since")[:room]
    letters = (_claim_first(due.filter(webhook_id=one["webhook_id"]), now) for one in oldest)
    return [letter for letter in letters if letter]


def claim_next(webhook: int, now: datetime) -> Letter | None:
    """Claim the longest due delivery of this webhook, if there is one."""
    rows = Delivery.objects.filter(state=State.PENDING, next_at__lte=now, webhook__active=True)
    return _claim_first(rows.filter(webhook_id=webhook), now)


def _claim_first(rows: QuerySet[Delivery], now: datetime) -> Letter | None:
    row = rows.select_related("webhook").order_by("next_at", "created_at").first()
    if row is None:
        return None
    held = now + timedelta(seconds=HELD_SECONDS)
    mine = Delivery.objects.filter(pk=row.pk, state=State.PENDING, next_at=row.next_at)
    if not mine.update(next_at=held, attempts=F("attempts") + 1):
        return None
    hook = row.webhook
    return Letter(
        id=row.pk,
        webhook=hook.pk,
        version=hook.secret_version,
        url=hook.url,
        allow_private=hook.allow_private,
        payload=row.payload,
        attempt=row.attempts + 1,
        held=held,
    )


def settle(letter: Letter, response: DeliveryResponse, now: datetime) -> None:
    """Store the result of an attempt: delivered, due again later, or given up.

    A failure counts only if this worker still holds the delivery; a success always counts.
    """
    row = Delivery.objects.filter(pk=letter.id)
    result = {"status_code": response.status, "detail": response.detail[:300]}
    if response.taken:
        row.exclude(state=State.DELIVERED).update(state=State.DELIVERED, ended_at=now, **result)
        return
    mine = row.filter(state=State.PENDING, next_at=letter.held)
    if response.status == 410 or letter.attempt > len(DELAYS):
        mine.update(state=State.GIVEN_UP, ended_at=now, **result)
    else:
        mine.update(next_at=now + timedelta(seconds=delay(letter.attempt, response.retry_after)), **result)


def delay(attempt: int, asked: float | None) -> float:
    """Return the seconds between this attempt (from 1) and the next: longer if the receiver asks so."""
    usual = DELAYS[attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return max(usual, min(asked or 0.0, LONGEST_DELAY))

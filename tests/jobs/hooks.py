"""Webhooks for tests: one that is set up, what is in its outbox, and a post that works it off."""

import asyncio
from typing import Any

from django.utils import timezone

from jobs.models import Delivery, Webhook
from jobs.store import outbox
from jobs.store.writer import Writer
from jobs.webhooks import sender as deliver


def hook(*kinds: str, url: str = "https://hooks.example.com/a", **values: Any) -> Webhook:
    """Give a new webhook that is told of these kinds, of ends where none is named."""
    count = Webhook.objects.count()
    values = {"name": f"desk {count}", "url": url, "kinds": list(kinds or ("ended",))} | values
    return Webhook.objects.create(**values)


def inside(url: str, *kinds: str, **values: Any) -> Webhook:
    """Give a webhook inside the house."""
    return hook(*kinds, url=url, allow_private=True, **values)


def letter(hook: Webhook, **values: Any) -> Delivery:
    """Give a delivery that is due."""
    made = outbox.write_test(hook)
    if values:
        Delivery.objects.filter(pk=made.pk).update(**values)
        made.refresh_from_db()
    return made


def told(hook: Webhook | None = None) -> list[tuple[str, str]]:
    """Give the kind and subject of everything in the outbox, of one webhook or of all."""
    rows = Delivery.objects.filter(webhook=hook) if hook else Delivery.objects.all()
    return sorted(rows.values_list("kind", "about"))


def stands(row: Delivery) -> tuple[str, int, int | None, str]:
    """Give how a delivery stands: state, attempts, last status, detail."""
    row.refresh_from_db()
    return row.state, row.attempts, row.status_code, row.detail


def due_now() -> None:
    """Let everything that waits be due at once."""
    Delivery.objects.filter(state="pending").update(next_at=timezone.now())


def work_off(times: int = 1, **post: Any) -> None:
    """Have a worker's post look so many times, each time for what is due, and wait for what it takes up."""

    async def work() -> None:
        writer = Writer()
        one = deliver.Post(writer, **post)
        try:
            for _ in range(times):
                await one.look()
                while one._busy:
                    await asyncio.wait(set(one._busy.values()))
        finally:
            await one.aclose()
            await asyncio.to_thread(writer.close)

    asyncio.run(work())

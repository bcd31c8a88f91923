"""Webhooks for tests: create them, read their outbox, and send what is due."""

import asyncio
from typing import Any

from django.utils import timezone

from jobs.models import Delivery, Webhook
from jobs.store import outbox
from jobs.store.writer import Writer
from jobs.webhooks import sender as deliver


def hook(*kinds: str, url: str = "https://hooks.example.com/a", **values: Any) -> Webhook:
    """Create a webhook that is notified of these kinds, by default of the ends of jobs."""
    count = Webhook.objects.count()
    values = {"name": f"desk {count}", "url": url, "kinds": list(kinds or ("ended",))} | values
    return Webhook.objects.create(**values)


def private_hook(url: str, *kinds: str, **values: Any) -> Webhook:
    """Create a webhook that may reach private addresses."""
    return hook(*kinds, url=url, allow_private=True, **values)


def delivery(hook: Webhook, **values: Any) -> Delivery:
    """Create a delivery that is due."""
    made = outbox.write_test(hook)
    if values:
        Delivery.objects.filter(pk=made.pk).update(**values)
        made.refresh_from_db()
    return made


def in_outbox(hook: Webhook | None = None) -> list[tuple[str, str]]:
    """Return the kind and subject of every row in the outbox, for one webhook or all."""
    rows = Delivery.objects.filter(webhook=hook) if hook else Delivery.objects.all()
    return sorted(rows.values_list("kind", "about"))


def delivery_state(row: Delivery) -> tuple[str, int, int | None, str]:
    """Return a delivery's state, attempts, last status code and detail."""
    row.refresh_from_db()
    return row.state, row.attempts, row.status_code, row.detail


def due_now() -> None:
    """Make every pending delivery due now."""
    Delivery.objects.filter(state="pending").update(next_at=timezone.now())


def send_due(times: int = 1, **post: Any) -> None:
    """Let a worker's sender look for due deliveries this many times, and wait for each batch to finish."""

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

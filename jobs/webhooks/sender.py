"""Delivering: what is due in the outbox is sent as signed POSTs, to checked addresses, beside the jobs."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2
from django.conf import settings
from django.utils import timezone

from jobs.store import outbox
from jobs.store.writer import Writer
from jobs.tools.wire.http import retry_after
from jobs.webhooks import addresses
from jobs.webhooks import signing as webhooks
from jobs.webhooks.addresses import Refused, Target
from jobs.webhooks.deliveries import DeliveryResponse, Letter, claim, claim_next, settle

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
WATCH_SECONDS = 5.0
ARRIVAL_SECONDS = 30.0  # in which a new worker takes up what lies there, before it calls anything stuck
DEADLINE = 10.0  # seconds for one attempt in all, name service and all addresses of the name included
CONNECT = 4.0  # seconds for one address of the name, so that another can follow
AT_ONCE = 16  # addresses that are served side by side
IN_A_ROW = 20  # deliveries to one address before another has its turn
LARGEST_ANSWER = 4096  # bytes that are read of an answer; nothing of it is kept
READ_SECONDS = 1.0
GOODBYE_SECONDS = 2.0

# it writes addresses, which may hold keys, into its info messages
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Post:
    """Sends for one worker, on its loop: several addresses side by side, to each one delivery at a time.

    `resolve` gives the IP addresses of (host, port); `tls` is what certificates are checked with.
    """

    def __init__(
        self,
        writer: Writer,
        resolve: Callable[[str, int], list[str]] = addresses.resolve,
        tls: Any = None,
    ) -> None:
        self._writer, self._resolve, self._tls = writer, resolve, tls
        self._client: httpx2.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._closed, self._began = False, time.monotonic()

    async def look(self) -> None:
        """Take up what is due, as far as there is room; it is sent by tasks of its own."""
        busy, room = set(self._busy), AT_ONCE - len(self._busy)
        if self._closed or room <= 0:
            return
        for letter in await self._writer.run(lambda: claim(busy, room, timezone.now())):
            task = asyncio.create_task(self._serve(letter), name=f"webhook-{letter.webhook}")
            self._busy[letter.webhook] = task
            task.add_done_callback(lambda _, hook=letter.webhook: self._busy.pop(hook, None))

    async def watch(self) -> None:
        """Look for jobs that are stuck; a worker that has just come first takes up what lies there."""
        if time.monotonic() - self._began >= min(settings.STUCK_SECONDS, ARRIVAL_SECONDS):
            await self._writer.run(lambda: outbox.notify_of_stuck(timezone.now()))

    async def aclose(self) -> None:
        """Take up nothing more and end what is on its way; what is not settled is sent again later."""
        self._closed = True
        if tasks := set(self._busy.values()):
            _, late = await asyncio.wait(tasks, timeout=GOODBYE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        if self._client:
            await self._client.aclose()

    async def _open(self) -> httpx2.AsyncClient:
        """Give the client, which is made once. It follows no redirect and heeds no proxy of the environment.

        It keeps no connection: they are known by IP address here, and one that was opened for one name
        must not serve another.
        """
        async with self._opening:
            if self._client is None:
                self._client = httpx2.AsyncClient(
                    verify=self._tls or await asyncio.to_thread(httpx2.create_ssl_context),
                    trust_env=False,
                    follow_redirects=False,
                    timeout=httpx2.Timeout(DEADLINE, connect=CONNECT),
                    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
                )
            return self._client

    async def _serve(self, first: Letter) -> None:
        """Send what is due to one address, until something fails or another's turn has come."""
        letter: Letter | None = first
        for _ in range(IN_A_ROW):
            if letter is None or self._closed:
                return
            try:
                answer = await self.send(letter)
                await self._writer.run(lambda: settle(letter, answer, timezone.now()))  # noqa: B023
                if not answer.taken:
                    return
                hook = letter.webhook
                letter = await self._writer.run(lambda: claim_next(hook, timezone.now()))  # noqa: B023
            except Exception:
                log.exception("delivery %s was not settled; it is sent again", first.id)
                return

    async def send(self, letter: Letter) -> DeliveryResponse:
        """Make one attempt within the deadline and give how it ended; raises nothing of its own."""
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._send(letter)
        except TimeoutError:
            return DeliveryResponse(fault=f"no answer within {DEADLINE:.0f} s")
        except Refused as refused:
            return DeliveryResponse(fault=f"not sent: {refused}")
        except socket.gaierror:
            return DeliveryResponse(fault="the name service knows no such host")
        except (httpx2.HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return DeliveryResponse(
                    fault="not sent: its certificate is not one of this name that can be trusted"
                )
            reached = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            what = "the connection broke off" if reached else "cannot be reached"
            return DeliveryResponse(fault=f"{what} ({type(error).__name__})")
        except Exception as error:
            log.exception("delivery %s could not be sent", letter.id)
            return DeliveryResponse(fault=f"could not be sent ({type(error).__name__})")

    async def _send(self, letter: Letter) -> DeliveryResponse:
        target = addresses.target(letter.url, allow_private=letter.allow_private)
        found = await _in_thread(lambda: self._resolve(target.host, target.port))
        addresses.check(found, allow_private=letter.allow_private)
        *others, last = found
        for address in others:
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):  # nothing has been sent
                return await self._post(letter, target, address)
        return await self._post(letter, target, last)

    async def _post(self, letter: Letter, target: Target, address: str) -> DeliveryResponse:
        """Send to exactly this IP address; TLS checks that the certificate is the name's."""
        client = await self._open()
        body = json.dumps(letter.payload, ensure_ascii=False, separators=(",", ":")).encode()
        signed = webhooks.headers(letter.webhook, letter.version, letter.id, int(time.time()), body)
        request = client.build_request(
            "POST",
            target.at(address),
            content=body,
            headers={
                "Host": target.authority,
                "Content-Type": "application/json",
                "User-Agent": "Flightplan-Webhooks/1",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                **signed,
            },
            extensions={"sni_hostname": target.host},
        )
        response = await client.send(request, stream=True)
        try:
            await _read_a_little(response)
        finally:
            await response.aclose()
        return DeliveryResponse(
            response.status_code, retry_after=retry_after(response.headers.get("retry-after", ""))
        )


async def _read_a_little(response: httpx2.Response) -> None:
    """Let a usual answer come to its end. What it says matters to nobody: its status has been given."""
    size = 0
    with suppress(httpx2.HTTPError, httpx2.StreamError, TimeoutError):
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size >= LARGEST_ANSWER:
                    return


async def _in_thread(work: Callable[[], list[str]]) -> list[str]:
    """Do what may block for long in a thread of its own, which keeps nobody from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[str]] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(value)

    def run() -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="name-service", daemon=True).start()
    return await future

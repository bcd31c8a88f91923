"""The sender: due deliveries are sent as signed POSTs to checked addresses, alongside the jobs."""

import asyncio
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import httpx2
from django.conf import settings
from django.utils import timezone

from jobs.store import outbox
from jobs.store.writer import Writer
from jobs.tools.contract.wording import retry_after
from jobs.webhooks import addresses
from jobs.webhooks import signing as webhooks
from jobs.webhooks.addresses import Refused, Target
from jobs.webhooks.deliveries import DeliveryResponse, Letter, claim, claim_next, settle

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
WATCH_SECONDS = 5.0
ARRIVAL_SECONDS = 30.0  # a new worker first resumes waiting jobs, before it reports any as stuck
DEADLINE = 10.0  # seconds for a whole attempt, including DNS and all IP addresses
CONNECT = 4.0  # seconds for one IP address, so that another can follow
AT_ONCE = 16  # webhooks that are served in parallel
IN_A_ROW = 20  # deliveries to one webhook before another has its turn
LARGEST_ANSWER = 4096  # bytes that are read of a response; none are kept
READ_SECONDS = 1.0
GOODBYE_SECONDS = 2.0

# its info messages contain URLs, which may contain keys
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Post:
    """Sends deliveries on a worker's loop: several webhooks in parallel, one delivery at a time for each.

    `resolve` returns the IP addresses of (host, port); `tls` is the context that checks certificates.
    """

    def __init__(
        self,
        writer: Writer,
        resolve: Callable[[str, int], list[str]] = addresses.resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._writer, self._resolve, self._tls = writer, resolve, tls
        self._client: httpx2.AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._closed, self._began = False, time.monotonic()

    async def look(self) -> None:
        """Claim due deliveries, as far as there is room, and send them in separate tasks."""
        busy, room = set(self._busy), AT_ONCE - len(self._busy)
        if self._closed or room <= 0:
            return
        for letter in await self._writer.run(lambda: claim(busy, room, timezone.now())):
            task = asyncio.create_task(self._serve(letter), name=f"webhook-{letter.webhook}")
            self._busy[letter.webhook] = task
            task.add_done_callback(partial(self._release, letter.webhook))

    def _release(self, webhook: int, _: asyncio.Task[None]) -> None:
        self._busy.pop(webhook, None)

    async def watch(self) -> None:
        """Notify of stuck jobs, unless this worker started so recently that they may still resume."""
        if time.monotonic() - self._began >= min(settings.STUCK_SECONDS, ARRIVAL_SECONDS):
            await self._writer.run(lambda: outbox.notify_of_stuck(timezone.now()))

    async def aclose(self) -> None:
        """Claim no more deliveries and end those in progress; unsettled deliveries are sent again later."""
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
        """Return the client, creating it once. It follows no redirects and ignores proxy settings.

        It keeps no connections alive: they go to an IP address, and a connection that was opened for one host
        name must not serve another.
        """
        async with self._opening:
            if self._client is None:
                tls = self._tls
                if tls is None:
                    tls = await asyncio.to_thread(httpx2.create_ssl_context)
                self._client = httpx2.AsyncClient(
                    verify=tls,
                    trust_env=False,
                    follow_redirects=False,
                    timeout=httpx2.Timeout(DEADLINE, connect=CONNECT),
                    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
                )
            return self._client

    async def _serve(self, first: Letter) -> None:
        """Send the due deliveries of one webhook, until one fails or it is another webhook's turn."""
        letter: Letter | None = first
        for _ in range(IN_A_ROW):
            if letter is None or self._closed:
                return
            try:
                response = await self.send(letter)
                await self._writer.run(partial(settle, letter, response, timezone.now()))
                if not response.taken:
                    return
                letter = await self._writer.run(partial(claim_next, letter.webhook, timezone.now()))
            except Exception:
                log.exception("the result of delivery %s was not stored; it is sent again", first.id)
                return

    async def send(self, letter: Letter) -> DeliveryResponse:
        """Make one attempt within the deadline and return its result. Faults are returned, not raised."""
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._send(letter)
        except TimeoutError:
            return DeliveryResponse(fault=f"no answer within {DEADLINE:.0f} s")
        except Refused as refused:
            return DeliveryResponse(fault=f"not sent: {refused}")
        except socket.gaierror:
            return DeliveryResponse(fault="the host name was not found")
        except (httpx2.HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return DeliveryResponse(fault="not sent: no trusted certificate for this host name")
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
        """Send to exactly this IP address; TLS checks the certificate against the host name."""
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
        return DeliveryResponse(response.status_code, retry_after=retry_after(response.headers))


async def _read_a_little(response: httpx2.Response) -> None:
    """Read a response of usual size to its end. Its content is ignored: the status is known."""
    size = 0
    with suppress(httpx2.HTTPError, httpx2.StreamError, TimeoutError):
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size >= LARGEST_ANSWER:
                    return


async def _in_thread(work: Callable[[], list[str]]) -> list[str]:
    """Run blocking work in a separate daemon thread, which does not delay the end of the process."""
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

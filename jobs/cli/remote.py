"""A remote installation: a client of its API that survives lost connections and restarts."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urljoin
from uuid import uuid4

import httpx2

from jobs.cli.installation import WORKFLOW, EventLine, LaunchedJob, Say, Trouble
from jobs.cli.patience import OUTAGE, Patience
from jobs.cli.reading import Reading
from jobs.cli.refusals import Refusals
from jobs.engine.inputs import Fault
from jobs.engine.results import ENDED_JOB, Artifact
from jobs.tools.contract.wording import retry_after

CONNECT = 10.0
ANSWER = 30.0
SILENCE = 45.0  # a stream sends a heartbeat every 15 seconds
UNMET = 4.0  # seconds to retry a server that has never responded
LOST = 60.0  # seconds to retry a request whose response was lost
LARGEST_EVENT = 8 * 1024 * 1024
LATER = (408, 425, 429, 502, 503, 504)
FINAL = (401, 403, 404)


class _Cut(Exception):
    """The stream was lost or refused. `after`: the seconds that the server asked to wait."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Remote:
    """The installation at an address, used with a token.

    `outage`: the seconds without a sign of the server after which `follow` gives up. `sleep` pauses between
    two attempts.
    """

    def __init__(
        self,
        server: str,
        token: str,
        *,
        outage: float = OUTAGE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.server, self.status = server.rstrip("/"), ""
        self.again = f" --server {self.server}"
        self._outage, self._sleep = outage, sleep
        self._refusals = Refusals(self.server, token)
        self._met = False
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(ANSWER, connect=CONNECT),
        )

    def launch(self, campaign: Any, *, include_search: bool, dry_run: bool) -> LaunchedJob:
        """Launch a brief or a preset of the server. If the response is lost, retry with the same key.

        Raises InvalidInput with the server's message for each field, and Trouble.
        """
        body = {"campaign": campaign, "includeSearch": include_search, "dryRun": dry_run}
        headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
        path = f"/api/workflows/{WORKFLOW}/start"
        data = self._ask("POST", path, content=json.dumps(body).encode(), headers=headers)
        warnings = [
            Fault(str(one.get("field", "")), str(one.get("message", ""))) for one in data.get("warnings", ())
        ]
        page = self._absolute(str(data.get("pageUrl", "")))
        return LaunchedJob(str(data["jobId"]), page, warnings=warnings, held=self._held())

    def check(self, job_id: str) -> None:
        """Raise Trouble if there is no such job."""
        self._ask("GET", f"/api/jobs/{quote(job_id, safe='')}")

    def follow(self, job_id: str, say: Say) -> Iterator[EventLine]:
        """Yield each event once and in order until the job has ended, and reconnect if needed."""
        reading = Reading(self._absolute, say)
        patience = Patience(self._outage, sleep=self._sleep)
        cut = False
        while True:
            try:
                for line in self._stream(job_id, reading, patience):
                    if cut:
                        say(f"reconnected to {self.server}")
                        cut = False
                    yield line
                if self._ended(job_id, reading):
                    return
                why, after = "the stream ended before the campaign did", None
            except _Cut as error:
                why, after = str(error), error.after
                if not cut:
                    say(f"lost the connection to {self.server} ({why}); reconnecting")
                cut = True
            if not patience.wait(after):
                raise Trouble(
                    f"no response from {self.server} for {self._outage:.0f} seconds ({why}). The campaign "
                    f"continues without you; follow it again with: manage.py follow {job_id}{self.again}"
                )

    def _stream(self, job_id: str, reading: Reading, patience: Patience) -> Iterator[EventLine]:
        """Yield the events of one connection. Raises _Cut, or Trouble if a retry cannot help."""
        since = time.monotonic()
        try:
            with self._listening(job_id, reading) as events:
                for one in events:
                    if one.retry is not None:
                        patience.pause = one.retry / 1000
                    if one.data and (line := reading.take(one.id, one.data)):
                        patience.heard()
                        yield line
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _Cut(self._refusals.why(error)) from error
        finally:
            if time.monotonic() - since > SILENCE / 3:  # long enough for a heartbeat
                patience.heard()

    @contextmanager
    def _listening(self, job_id: str, reading: Reading) -> Iterator[Iterator[httpx2.ServerSentEvent]]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(reading.cursor)}
        url = self._at(f"/api/jobs/{quote(job_id, safe='')}/events")
        timeout = httpx2.Timeout(SILENCE, connect=CONNECT)
        with self._client.stream(
            "GET", url, params={"detail": "all"}, headers=headers, timeout=timeout
        ) as answer:
            reading.over = answer.status_code == 204
            if reading.over:
                yield iter(())
                return
            if answer.status_code != 200:
                answer.read()
                if answer.status_code in FINAL:
                    raise self._refusals.of(answer)
                raise _Cut(f"it returned {answer.status_code}", retry_after(answer.headers))
            yield iter(httpx2.EventSource(answer, LARGEST_EVENT))

    def _ended(self, job_id: str, reading: Reading) -> bool:
        """Return whether the job has ended and all of it was read: a log may go on after an end."""
        if reading.over and reading.progress.ended:
            self.status = str(reading.progress.status)
            return True
        try:
            answer = self._client.get(self._at(f"/api/jobs/{quote(job_id, safe='')}"))
        except httpx2.HTTPError as error:
            raise _Cut(self._refusals.why(error)) from error
        if answer.status_code != 200 and answer.status_code not in FINAL:
            raise _Cut(f"it returned {answer.status_code}", retry_after(answer.headers))
        job = self._refusals.body(answer)
        self.status = str(job.get("status", ""))
        return self.status in ENDED_JOB and job.get("lastEventId", 0) <= reading.cursor

    def page(self, job_id: str) -> str:
        """Return the address of the job's page."""
        return self._at(f"/jobs/{job_id}/")

    def link(self, job_id: str, artifact: Artifact) -> str:
        """Return the address that opens an artifact, which was made absolute when its event was read."""
        return artifact.url

    def arguments(self, job_id: str) -> dict[str, dict[str, Any]]:
        """Return the arguments that each planned call of a dry run would send, by step. Raises Trouble."""
        calls = self._ask("GET", f"/api/jobs/{quote(job_id, safe='')}").get("calls", ())
        return {str(one["step"]): one["arguments"] for one in calls if isinstance(one.get("arguments"), dict)}

    def _held(self) -> str:
        """Return what keeps a launched job from starting, according to /readyz, or ""."""
        try:
            answer = self._client.get(self._at("/readyz"))
            data = answer.json() if answer.status_code == 503 else {}
        except (httpx2.HTTPError, ValueError):
            return ""
        why = data.get("detail", "") if isinstance(data, dict) else ""
        return f"{self.server} is not ready: {why}; the campaign starts when it is" if why else ""

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Send a request and return the JSON object of its response. Retry for a while if it may be lost.

        Raises InvalidInput for an invalid body, and Trouble for any other refusal.
        """
        patience = Patience(LOST if self._met else UNMET, sleep=self._sleep)
        while True:
            after = None
            try:
                answer = self._client.request(method, self._at(path), **more)
                self._met, patience.outage = True, LOST
                if answer.status_code not in LATER:
                    return self._refusals.body(answer)
                why, after = f"it returned {answer.status_code}", retry_after(answer.headers)
            except httpx2.TransportError as error:
                if hopeless := self._refusals.hopeless(error):
                    raise hopeless from error
                if not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                    self._met, patience.outage = (
                        True,
                        LOST,
                    )  # it was reached, and may have received the request
                why = self._refusals.why(error)
            if not patience.wait(after):
                raise self._refusals.unreached(why, sent=self._met and method == "POST")

    def _at(self, path: str) -> str:
        return self.server + path

    def _absolute(self, url: str) -> str:
        return urljoin(self.server + "/", url)

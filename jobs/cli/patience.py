"""Retry timing of a client after a lost connection: growing pauses with jitter, up to a maximum outage."""

import random
import time
from collections.abc import Callable

PAUSE = 1.0  # seconds before the first retry, unless the server names another
LONGEST = 15.0
SHORTEST = 0.01
COURTESY = 60.0  # the longest Retry-After that the client follows
OUTAGE = 300.0


class Patience:
    """Counts failed attempts since the last sign of the server."""

    def __init__(
        self,
        outage: float = OUTAGE,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pause, self.outage = PAUSE, outage
        self._sleep, self._clock = sleep, clock
        self.tries, self._heard_at = 0, clock()

    def heard(self) -> None:
        """Note a sign of the server: the next failure starts a new outage."""
        self.tries, self._heard_at = 0, self._clock()

    def wait(self, at_least: float | None = None) -> bool:
        """Pause before the next attempt, for `at_least` this many seconds. Return False once time is up."""
        if self._clock() - self._heard_at >= self.outage:
            return False
        most = min(LONGEST, max(self.pause, SHORTEST) * 2 ** min(self.tries, 10))
        self.tries += 1
        # without jitter, clients that lost the connection together would reconnect together
        self._sleep(max(most * random.uniform(0.5, 1.0), min(at_least or 0.0, COURTESY)))  # noqa: S311
        return True

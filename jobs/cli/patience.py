"""How long a client goes on after it was cut off: pauses that grow, with jitter, up to a bounded outage."""

import random
import time
from collections.abc import Callable

PAUSE = 1.0  # seconds before the first new try, where the server names no other
LONGEST = 15.0
SHORTEST = 0.01
COURTESY = 60.0  # the longest Retry-After that is waited for
OUTAGE = 300.0


class Patience:
    """Counts failed tries since something was last heard."""

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
        """Note that the server is there: the next cut is a new outage."""
        self.tries, self._heard_at = 0, self._clock()

    def wait(self, at_least: float | None = None) -> bool:
        """Pause before the next try, `at_least` as long as the server asked for; False when time is up."""
        if self._clock() - self._heard_at >= self.outage:
            return False
        most = min(LONGEST, max(self.pause, SHORTEST) * 2 ** min(self.tries, 10))
        self.tries += 1
        # without the jitter all who were cut off together come back together
        self._sleep(max(most * random.uniform(0.5, 1.0), min(at_least or 0.0, COURTESY)))  # noqa: S311
        return True

"""The circuit breaker of one server: calls to a failing server are paused, then resumed with one probe."""

from __future__ import annotations

import time
from collections.abc import Callable

# three failed attempts of one call are not yet a pattern, five failures are; a server that restarts is probed
# within seconds, a dead one every five minutes
THRESHOLD = 5  # strikes in a row that open the circuit
COOL_DOWN = 15.0  # seconds until the first probe; doubled after each probe that fails
LONGEST_COOL_DOWN = 300.0


class Circuit:
    """Counts consecutive failures. Closed, it admits all calls; open, none; half-open, one call: the probe.

    Failures of one incident count once: ten calls that fail with one process are one failure. `now` returns
    the seconds of a monotonic clock. Not thread-safe.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.reason = ""  # of the latest failure that counted, for display
        self.until = 0.0  # by `now`: when the cool-down ends; 0 while closed
        self._now = now
        self._incidents: list[object] = []  # of consecutive failures; objects, as an id may be reused
        self._openings = 0  # consecutive
        self._probing = False

    @property
    def open(self) -> bool:
        """Return whether the server counts as failing; still true during a probe."""
        return self._openings > 0

    @property
    def probing(self) -> bool:
        """Return whether a probe is in progress; right after `allow`, whether that caller is the probe."""
        return self._probing

    def allow(self) -> bool:
        """Return whether a call may be sent now. A call admitted by an open circuit is the probe and must end
        with `success`, `strike` or `give_up`; until then no other call is admitted."""
        if not self.open:
            return True
        if self._probing or self._now() < self.until:
            return False
        self._probing = True
        return True

    def success(self) -> None:
        """Close the circuit and reset all counts: the server works."""
        self.reason, self.until = "", 0.0
        self._incidents, self._openings, self._probing = [], 0, False

    def strike(self, incident: object, reason: str = "") -> None:
        """Record a failure. `incident`: what failed, such as the connection; None is a new one each time.

        A strike during a probe opens the circuit again, for longer, whatever its incident. While the circuit
        is open without a probe, strikes are ignored: their calls were sent before it opened.
        """
        if self.open:
            if self._probing:
                self._open(reason)
            return
        if incident is not None and incident in self._incidents:
            return
        self.reason = reason
        self._incidents.append(incident)
        if len(self._incidents) >= THRESHOLD:
            self._open(reason)

    def give_up(self) -> None:
        """Release the probe, which was not sent: the next caller may be the probe."""
        self._probing = False

    def _open(self, reason: str) -> None:
        cool_down = COOL_DOWN * 2 ** min(self._openings, 10)
        self.reason, self.until = reason, self._now() + min(cool_down, LONGEST_COOL_DOWN)
        self._incidents, self._openings, self._probing = [], self._openings + 1, False

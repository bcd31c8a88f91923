"""The circuit of one server: a server that keeps failing is left alone, and then asked by one call only."""

from __future__ import annotations

import time
from collections.abc import Callable

# our own choices, not any server's word: three attempts of one call are not yet a pattern, five failures
# are; a restarted server is asked again within seconds, a dead one every five minutes
THRESHOLD = 5  # strikes in a row that open the circuit
COOL_DOWN = 15.0  # seconds until the first probe; twice that after each probe that fails
LONGEST_COOL_DOWN = 300.0


class Circuit:
    """Counts strikes in a row. Closed it lets all through, open nobody, half-open one caller: the probe.

    Several strikes of one incident count once: ten calls that die with one process are one death. `now`
    gives seconds of a clock that never goes back. Not for use by several threads.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.reason = ""  # of the newest strike that counted, for people
        self.until = 0.0  # by `now`: when the cool-down ends; 0 while closed
        self._now = now
        self._incidents: list[object] = []  # of this row; the objects themselves, for an id may be used again
        self._openings = 0  # in a row
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether the server counts as failing, also while a probe is on its way."""
        return self._openings > 0

    @property
    def probing(self) -> bool:
        """Whether a probe is on its way. Asked right after `allow`: whether that caller is the probe."""
        return self._probing

    def allow(self) -> bool:
        """Whether a call may be sent now. Who is let through while open is the probe, and must end with
        `success`, `strike` or `give_up`: until then no other is."""
        if not self.open:
            return True
        if self._probing or self._now() < self.until:
            return False
        self._probing = True
        return True

    def success(self) -> None:
        """The server did as it was told: all is forgotten."""
        self.reason, self.until = "", 0.0
        self._incidents, self._openings, self._probing = [], 0, False

    def strike(self, incident: object, reason: str = "") -> None:
        """The server failed. `incident`: what failed, such as the connection; None is never the same twice.

        A strike while the probe is on its way opens the circuit again, for longer, whatever its incident. One
        of a call that was sent before the circuit opened changes nothing.
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
        """The probe was not sent: the next caller may be it."""
        self._probing = False

    def _open(self, reason: str) -> None:
        cool_down = COOL_DOWN * 2 ** min(self._openings, 10)
        self.reason, self.until = reason, self._now() + min(cool_down, LONGEST_COOL_DOWN)
        self._incidents, self._openings, self._probing = [], self._openings + 1, False

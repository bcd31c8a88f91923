"""A journal in memory, for tests of the gateway that need no database."""


class MemoryJournal:
    """A journal in a list: `events` holds ("waiting"|"intent"|"result", step, ...) in order."""

    def __init__(self) -> None:
        self.events: list[tuple] = []
        self.stop_before: object = None  # an exception to raise instead of an intent
        self.lease_good = True
        self.processes: list = []  # of each intent

    async def waiting(self, call, in_use: int, limit: int) -> None:
        self.events.append(("waiting", call.step, in_use, limit))

    async def intent(self, call, attempt: int, *, process=None, spends: bool = False) -> None:
        if self.stop_before is not None:
            raise self.stop_before
        self.processes.append(process)
        self.events.append(("intent", call.step, attempt))

    def may_send(self) -> bool:
        return self.lease_good

    async def result(self, call, attempt: int, outcome) -> None:
        self.events.append(("result", call.step, attempt, outcome))

    def outcomes(self, step: str = "") -> list:
        """Return the recorded outcomes of one step or all, in order."""
        return [event[3] for event in self.events if event[0] == "result" and step in ("", event[1])]

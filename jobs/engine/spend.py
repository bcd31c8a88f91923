"""A prepared line that can be set live: what would be spent, and where."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One prepared line that can be set live: what is spent, where, by which call.

    `item` names it in the job's steps, `remote_id` on its server; `budget` is a decimal number in `currency`
    (ISO 4217); `start` and `end` are the first and last day of its flight, ISO 8601, in `timezone`.
    """

    item: str
    name: str
    server: str
    remote_id: str
    budget: str
    currency: str
    start: str
    end: str
    timezone: str
    source: str

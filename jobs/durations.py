"""Learned durations in the database: read when a worker opens its gateway, added to with its beats."""

from collections.abc import Callable, Mapping

from django.db import transaction

from jobs.models import CallDuration
from jobs.workflow.durations import RECENT, Kind
from jobs.workflow.results import Source

SourceOf = Callable[[str], Source]


def stored(source_of: SourceOf, servers: list[str]) -> dict[Kind, list[float]]:
    """Give the last calls of each kind at these servers, as they are played now."""
    rows = CallDuration.objects.filter(server__in=servers)
    return {_kind(row): row.recent for row in rows if row.source == source_of(row.server)}


def add(fresh: Mapping[Kind, list[float]], source_of: SourceOf) -> dict[Kind, list[float]]:
    """Add new calls to those that are stored, other workers' among them, and give what is stored then."""
    known = {}
    with transaction.atomic():
        for kind, seconds in sorted(fresh.items()):  # in one order, so that two workers never wait in a ring
            server, tool, size = kind
            place = {"server": server, "tool": tool, "size": size, "source": source_of(server)}
            CallDuration.objects.get_or_create(**place)
            row = CallDuration.objects.select_for_update().get(**place)
            row.recent = [*row.recent, *(round(one, 3) for one in seconds)][-RECENT:]
            row.save(update_fields=["recent"])
            known[kind] = row.recent
    return known


def _kind(row: CallDuration) -> Kind:
    return (row.server, row.tool, row.size)

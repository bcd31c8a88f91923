"""Learned durations in the database: loaded when a worker opens its gateway, added to as it runs."""

from collections.abc import Callable, Mapping

from django.db import transaction

from jobs.engine.durations import RECENT, Kind
from jobs.engine.results import Source
from jobs.models import CallDuration

SourceOf = Callable[[str], Source]


def stored(source_of: SourceOf, servers: list[str]) -> dict[Kind, list[float]]:
    """Return the seconds of the last calls of each kind at these servers, for their present source only."""
    rows = CallDuration.objects.filter(server__in=servers)
    return {_kind(row): row.recent for row in rows if row.source == source_of(row.server)}


def add(fresh: Mapping[Kind, list[float]], source_of: SourceOf) -> dict[Kind, list[float]]:
    """Add new durations to the stored ones, including other workers', and return the stored result."""
    servers, tools = ({kind[place] for kind in fresh} for place in (0, 1))
    # inserted and locked in the order of their names, so that two workers never deadlock
    places = [dict(zip(("server", "tool", "size"), kind, strict=True)) for kind in sorted(fresh)]
    with transaction.atomic():
        empty = [CallDuration(**place, source=source_of(place["server"])) for place in places]
        CallDuration.objects.bulk_create(empty, ignore_conflicts=True)
        rows = CallDuration.objects.filter(server__in=servers, tool__in=tools).select_for_update()
        mine = {
            _kind(row): row for row in rows if row.source == source_of(row.server) and _kind(row) in fresh
        }
        for kind, row in mine.items():
            row.recent = [*row.recent, *(round(one, 3) for one in fresh[kind])][-RECENT:]
        CallDuration.objects.bulk_update(mine.values(), ["recent"])
    return {kind: row.recent for kind, row in mine.items()}


def _kind(row: CallDuration) -> Kind:
    return (row.server, row.tool, row.size)

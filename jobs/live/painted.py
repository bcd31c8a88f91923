"""The pieces of a job for pages that ask for them: painted once a change and process, whoever asks."""

from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from jobs.engine.results import JobStatus
from jobs.live.pieces import pieces, version
from jobs.models import Job
from jobs.store import feed

MOST = 16  # jobs whose pieces are kept, some 100 kB each; the one that was asked for longest ago goes first

_kept: OrderedDict[UUID, "Painted"] = OrderedDict()


@dataclass(frozen=True)
class Painted:
    """A job's pieces as far as the event `seq`, and what the page's frame says of it; `over` at its end."""

    parts: dict[str, str]
    seq: int
    title: str
    status: JobStatus
    over: bool

    @property
    def tag(self) -> str:
        """Give the entity tag of these pieces."""
        return tag(self.seq)


def tag(seq: int) -> str:
    """Give the entity tag of a job's pieces as far as an event, as this release paints them."""
    return f'"{seq}-{version()}"'


def painted(job: Job) -> Painted:
    """Give the pieces of a job, whose row was just read: those that are kept, unless its log has grown."""
    kept = _kept.get(job.pk)
    if kept is None or kept.seq != job.last_seq:
        progress = feed.progress(job.pk)
        # the log may have grown since the row was read: the tag must never promise more than was painted
        kept = Painted(
            pieces(job, progress),
            progress.last_seq,
            progress.title or job.title,
            progress.status,
            progress.ended,
        )
        _kept[job.pk] = kept
    _kept.move_to_end(job.pk)
    while len(_kept) > MOST:
        _kept.popitem(last=False)
    return kept

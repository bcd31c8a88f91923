"""The pieces of a job for pages that poll, rendered once per change in each process."""

from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from jobs.engine.results import JobStatus
from jobs.live.pieces import pieces, version
from jobs.models import Job
from jobs.store import feed

MOST = 16  # jobs whose pieces are cached, about 100 kB each; the least recently used is dropped first

_kept: OrderedDict[UUID, "Painted"] = OrderedDict()


@dataclass(frozen=True)
class Painted:
    """A job's pieces as of the event `seq`, and what the rest of the page shows; `over` if it has ended."""

    parts: dict[str, str]
    seq: int
    title: str
    status: JobStatus
    over: bool

    @property
    def tag(self) -> str:
        """The entity tag of these pieces."""
        return tag(self.seq)


def tag(seq: int) -> str:
    """Return the entity tag of a job's pieces as of an event, as this release renders them."""
    return f'"{seq}-{version()}"'


def painted(job: Job) -> Painted:
    """Return the pieces of a job whose row was just read, from the cache unless its log has grown."""
    kept = _kept.get(job.pk)
    if kept is None or kept.seq != job.last_seq:
        progress = feed.progress(job.pk)
        # the log may have grown since the row was read: the tag must name the events that were rendered
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

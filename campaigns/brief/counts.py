"""How many of each call the stages of a campaign make, by its brief."""

from collections.abc import Callable

from campaigns.brief.schema import Brief
from campaigns.documents.lines import DSP_SERVERS
from campaigns.documents.search import search_plan
from campaigns.documents.tasks import task_list


def tasks(brief: Brief) -> int:
    """Return the number of tasks of the project."""
    return len(task_list(brief))


def creatives(brief: Brief) -> int:
    """Return the number of creatives."""
    return len(brief.creative_sizes)


def lines_on(server: str) -> Callable[[Brief], int]:
    """Return a function that counts the media plan's lines on this server's DSP."""
    return lambda brief: sum(DSP_SERVERS.get(line.dsp) == server for line in brief.media_plan)


def ad_groups(brief: Brief) -> int:
    """Return the number of ad groups of the search campaign."""
    return len(search_plan(brief).ad_groups) if brief.search else 0


def keywords(brief: Brief) -> int:
    """Return the number of keywords in all ad groups."""
    return sum(len(group.keywords) for group in search_plan(brief).ad_groups) if brief.search else 0


def ads(brief: Brief) -> int:
    """Return the number of ads in all ad groups."""
    return sum(len(group.ads) for group in search_plan(brief).ad_groups) if brief.search else 0

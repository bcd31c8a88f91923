"""How often a campaign's stages make each of their calls, by its brief."""

from collections.abc import Callable

from campaigns.brief.schema import Brief
from campaigns.documents.lines import DSP_SERVERS
from campaigns.documents.search import search_plan
from campaigns.documents.tasks import task_list


def tasks(brief: Brief) -> int:
    """Give how many tasks the project has."""
    return len(task_list(brief))


def creatives(brief: Brief) -> int:
    """Give how many creatives are made."""
    return len(brief.creative_sizes)


def lines_on(server: str) -> Callable[[Brief], int]:
    """Give a function that counts the lines of the media plan on the DSP that this server plays."""
    return lambda brief: sum(DSP_SERVERS.get(line.dsp) == server for line in brief.media_plan)


def ad_groups(brief: Brief) -> int:
    """Give how many ad groups the search campaign has."""
    return len(search_plan(brief).ad_groups) if brief.search else 0


def keywords(brief: Brief) -> int:
    """Give how many keywords its ad groups have."""
    return sum(len(group.keywords) for group in search_plan(brief).ad_groups) if brief.search else 0


def ads(brief: Brief) -> int:
    """Give how many ads its ad groups have."""
    return sum(len(group.ads) for group in search_plan(brief).ad_groups) if brief.search else 0

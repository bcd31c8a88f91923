"""The search campaign in its four steps: keywords, ad copy, build, report."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from campaigns.brief.fields import slug_of
from campaigns.brief.schema import Brief, SearchSettings
from campaigns.documents.copywriting import HEADLINE, Ad, ad_length, check_ad, write_ad
from campaigns.documents.links import tracked
from campaigns.documents.text import DRY_RUN, bullets, day, md, money, number, table, within

__all__ = ["Ad", "AdGroup", "Keyword", "SearchPlan", "check_ad", "render_search", "search_plan"]

Match = Literal["EXACT", "PHRASE", "BROAD"]
KEYWORD_CHARACTERS, KEYWORD_WORDS = 80, 10


@dataclass(frozen=True)
class Keyword:
    """At most 80 characters and 10 words."""

    text: str
    match_type: Match = "PHRASE"
    negative: bool = False

    @property
    def slug(self) -> str:
        """Return the keyword's slug, unique in its ad group."""
        return slug_of(f"{self.match_type} {self.text}")

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the tool that creates it, without the ad group and the key."""
        return {"text": self.text, "match_type": self.match_type, "negative": self.negative}


@dataclass(frozen=True)
class AdGroup:
    name: str
    slug: str
    keywords: tuple[Keyword, ...]
    ads: tuple[Ad, ...]


@dataclass(frozen=True)
class SearchPlan:
    """The plan of a search campaign; `campaign` has the arguments of its tool, without the key."""

    campaign: Mapping[str, Any]
    ad_groups: tuple[AdGroup, ...]
    negative_keywords: tuple[str, ...]

    @property
    def effects(self) -> int:
        """Return the number of parts: the campaign, its ad groups, keywords and ads."""
        return 1 + sum(1 + len(group.keywords) + len(group.ads) for group in self.ad_groups)


def search_plan(brief: Brief) -> SearchPlan:
    """Return the plan of the search campaign. Raises ValueError if the brief has no search settings."""
    if brief.search is None:
        raise ValueError("the brief has no search settings")
    negative = _keywords(brief.search.negative_keywords)
    groups = [_brand(brief), _category(brief, brief.search)]
    if competitors := _keywords(brief.search.competitors):
        rivals = tuple(Keyword(text, "PHRASE") for text in competitors)
        groups.append(_group(brief, "Competitors", rivals, [f"Compare {brief.title}"]))
    return SearchPlan(_campaign(brief, brief.search, negative), tuple(groups), tuple(negative))


def keyword_text(text: str) -> str:
    """Return a text as a keyword: letters, digits and a few signs, at most 80 characters and 10 words."""
    kept = "".join(c if c in "-'&" or unicodedata.category(c)[0] in "LNM" else " " for c in text.casefold())
    words = re.sub(r"(?<!\w)[-'&]+|[-'&]+(?!\w)", " ", kept).split()[:KEYWORD_WORDS]
    return within(" ".join(words), KEYWORD_CHARACTERS)


def _keywords(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, map(keyword_text, texts))))


def _campaign(brief: Brief, search: SearchSettings, negative: Sequence[str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "name": f"{within(brief.title, 80)} | Search",
        "daily_budget": number(search.daily_budget),
        "currency": brief.currency,
        "start_date": day(brief.flight_start),
        "end_date": day(brief.flight_end),
        "bidding_strategy": search.bidding_strategy,
        "contains_eu_political_advertising": False,
        "negative_keywords": list(negative),
        "status": "PAUSED",
    }
    return arguments | ({"target_cpa": number(search.target_cpa)} if search.target_cpa else {})


def _brand(brief: Brief) -> AdGroup:
    named = _keywords([brief.title]) or [slug_of(brief.title).replace("-", " ")]
    exact = tuple(Keyword(text, "EXACT") for text in named)
    phrase = tuple(Keyword(text, "PHRASE") for text in _keywords([*named, brief.brand]))
    return _group(brief, "Brand and product", exact + phrase, [])


def _category(brief: Brief, search: SearchSettings) -> AdGroup:
    """Return the seed keywords, or the usual questions about a product if there are none."""
    seeds = _keywords(search.seed_keywords)
    name = keyword_text(brief.product) or slug_of(brief.product).replace("-", " ")
    asked = seeds or _keywords([f"{name} price", f"{name} reviews", f"buy {name}"])
    keywords = tuple(Keyword(text, "PHRASE") for text in asked)
    lead = [seed for seed in search.seed_keywords if ad_length(seed) <= HEADLINE][:4]
    return _group(brief, "Category", keywords, lead)


def _group(brief: Brief, name: str, keywords: tuple[Keyword, ...], lead: Sequence[str]) -> AdGroup:
    slug = slug_of(name)
    keywords = tuple({keyword.slug: keyword for keyword in reversed(keywords)}.values())[::-1]
    url = tracked(brief.landing_url, source="google", medium="cpc", campaign=brief.slug, content=slug)
    return AdGroup(name, slug, keywords, (write_ad(brief, lead, url),))


def render_search(
    brief: Brief,
    plan: SearchPlan,
    *,
    remote_id: str = "",
    status: str = "",
    source: str = "",
    made: int | None = None,
    why: str = "",
    dry_run: bool = False,
) -> str:
    """Return the page about the search campaign as Markdown; `made` is out of `plan.effects` parts."""
    parts = [f"# {md(str(plan.campaign['name']))}"]
    if dry_run:
        parts.append(f"{DRY_RUN} A launch would create this, paused.")
    parts.append(_summary(brief, plan, remote_id, status, source))
    if made is not None:
        were = "would be" if dry_run else "were"
        parts.append(
            f"{made} of {plan.effects} parts {were} made: the campaign, its ad groups, keywords and ads."
        )
    if why:
        parts.append(f"**What happened:** {md(why)}")
    parts.append("## 1. Keywords")
    for group in plan.ad_groups:
        rows = [[md(keyword.text), keyword.match_type.lower()] for keyword in group.keywords]
        parts += [f"### {md(group.name)}", table(["Keyword", "Match"], rows)]
    parts += ["### Negative keywords", bullets(plan.negative_keywords, "None."), "## 2. Ad copy"]
    parts += [_copy(group) for group in plan.ad_groups]
    parts += ["## 3. Build", _build(plan)]
    spend = f"{md(money(brief.search_spend, brief.currency))} over {brief.flight_days} days"
    parts += [
        "## 4. Report",
        f"At its daily budget the campaign spends at most {spend} on top of the media plan. It is "
        "created paused; nothing is spent until you set it live in Google Ads, because Flightplan cannot "
        "change its status.",
    ]
    return "\n\n".join(parts)


def _summary(brief: Brief, plan: SearchPlan, remote_id: str, status: str, source: str) -> str:
    search = brief.search
    facts = [
        ["Status", md(status) or "not created"],
        ["Source", md(source)],
        ["Identifier", md(remote_id)],
        ["Daily budget", md(money(search.daily_budget, brief.currency)) if search else ""],
        ["Bidding strategy", md(str(plan.campaign["bidding_strategy"]))],
        ["Target CPA", md(money(search.target_cpa, brief.currency)) if search and search.target_cpa else ""],
        ["Flight", f"{day(brief.flight_start)} to {day(brief.flight_end)} ({md(brief.timezone)})"],
        ["EU political advertising", "none contained"],
    ]
    return table(["Item", "Value"], facts)


def _copy(group: AdGroup) -> str:
    parts = [f"### {md(group.name)}"]
    for ad in group.ads:
        rows = [["Headline", md(text), str(ad_length(text))] for text in ad.headlines]
        rows += [["Description", md(text), str(ad_length(text))] for text in ad.descriptions]
        shown = "/".join(filter(None, (ad.path1, ad.path2)))
        rows += [["Path", md(shown), ""], ["Final URL", f"`{ad.final_url}`", ""]]
        parts.append(table(["Part", "Text", "Characters"], rows))
    return "\n\n".join(parts)


def _build(plan: SearchPlan) -> str:
    rows = [[md(group.name), str(len(group.keywords)), str(len(group.ads))] for group in plan.ad_groups]
    return table(["Ad group", "Keywords", "Ads"], rows)

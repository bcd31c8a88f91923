"""Search Campaign: check keywords and ads, create the campaign and its parts, and write its page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from campaigns.documents.search import (
    KEYWORD_CHARACTERS,
    KEYWORD_WORDS,
    Ad,
    AdGroup,
    Keyword,
    SearchPlan,
    check_ad,
    render_search,
    search_plan,
)
from campaigns.documents.text import number, within
from campaigns.stages.outcome import Misses, keep, left_out, place, remark, reported_status
from jobs.engine.context import StageContext
from jobs.engine.results import Artifact, ItemOutcome, Source, StageResult, Status, StepError

ADS = "google-ads"
FILE = "search-campaign.md"


async def run(ctx: StageContext) -> StageResult:
    """Plan, check and create the search campaign and write its page; skip it if it cannot be created."""
    if ctx.brief.search is None:
        return StageResult(
            status=Status.FAILED, made=0, total=0, error="search: the brief has no search settings"
        )
    plan = search_plan(ctx.brief)
    await ctx.progress(0, plan.effects)
    if faults := check_plan(plan):
        return StageResult(status=Status.FAILED, made=0, total=plan.effects, error="; ".join(faults)[:500])
    misses = Misses()
    try:
        campaign = await ctx.call(ADS, "google_ads_create_campaign", dict(plan.campaign), step="campaign")
    except StepError as error:
        return await _skipped(ctx, plan, error, misses)
    build = Build(ctx, plan, misses)
    await build.count("campaign")
    await build.groups(campaign.remote_id)
    return await _built(ctx, plan, build, campaign)


def check_plan(plan: SearchPlan) -> list[str]:
    """Return what the service would refuse in a plan, each fault with its field."""
    faults = [
        f"negative_keywords.{index}: {fault}"
        for index, text in enumerate(plan.negative_keywords)
        for fault in _check_keyword(text)
    ]
    for group in plan.ad_groups:
        where = f"ad_groups.{group.slug}"
        for index, keyword in enumerate(group.keywords):
            faults += [f"{where}.keywords.{index}: {fault}" for fault in _check_keyword(keyword.text)]
        for index, ad in enumerate(group.ads):
            faults += [f"{where}.ads.{index}: {fault}" for fault in check_ad(ad)]
    return faults


def _check_keyword(text: str) -> list[str]:
    fits = 0 < len(text) <= KEYWORD_CHARACTERS and len(text.split()) <= KEYWORD_WORDS
    return (
        []
        if fits
        else [f"a keyword has 1 to {KEYWORD_CHARACTERS} characters and at most {KEYWORD_WORDS} words"]
    )


@dataclass(frozen=True)
class Piece:
    """A keyword or an ad of a group, with the tool that creates it and its name in the job's steps."""

    group: AdGroup
    thing: Keyword | Ad
    key: str

    @property
    def step(self) -> str:
        return "keyword" if isinstance(self.thing, Keyword) else "ad"

    @property
    def tool(self) -> str:
        return f"google_ads_create_{'keyword' if self.step == 'keyword' else 'responsive_search_ad'}"

    @property
    def label(self) -> str:
        text = self.thing.text if isinstance(self.thing, Keyword) else self.thing.headlines[0]
        return f"{self.step} {text} ({self.group.name})"


def pieces(group: AdGroup) -> list[Piece]:
    """Return the keywords and ads of a group, each with a key that is the same in every round."""
    # the number distinguishes equal spellings; it comes first, because a long name is cut at its end
    words = [
        Piece(group, one, f"{group.slug}-{number}-{one.slug}") for number, one in enumerate(group.keywords, 1)
    ]
    return words + [Piece(group, one, f"{group.slug}-{number}") for number, one in enumerate(group.ads, 1)]


class Build:
    """Create the parts of the campaign concurrently and count them."""

    def __init__(self, ctx: StageContext, plan: SearchPlan, misses: Misses) -> None:
        self.ctx, self.plan, self.misses, self.made = ctx, plan, misses, 0

    async def count(self, what: str) -> None:
        """Count one more part and report the progress."""
        self.made += 1
        await self.ctx.progress(self.made, self.plan.effects, what)

    async def groups(self, campaign_id: str) -> None:
        """Create all ad groups with their keywords and ads."""

        async def group(group: AdGroup) -> None:
            args = {"campaign_id": campaign_id, "name": group.name}
            made = await self.ctx.call(
                ADS, "google_ads_create_ad_group", args, step="ad-group", item=group.slug
            )
            await self.count(f"ad group {group.name}")
            await self._side_by_side(pieces(group), self._piece(made.remote_id), lambda piece: piece.label)

        await self._side_by_side(self.plan.ad_groups, group, lambda group: f"ad group {group.name}")

    def _piece(self, group_id: str) -> Callable[[Piece], Awaitable[None]]:
        async def make(piece: Piece) -> None:
            args = {"ad_group_id": group_id, **piece.thing.arguments()}
            await self.ctx.call(ADS, piece.tool, args, step=piece.step, item=piece.key)
            await self.count(piece.label)

        return make

    async def _side_by_side(
        self, things: Any, work: Callable[[Any], Awaitable[None]], name: Callable[[Any], str]
    ) -> None:
        async def guarded(thing: Any) -> None:
            try:
                await work(thing)
            except StepError as error:
                self.misses.add(name(thing), error)
                raise

        async def ended(outcome: ItemOutcome) -> None:
            if not outcome.made:
                detail = f"{name(outcome.thing)}: {outcome.error}"
                await self.ctx.progress(self.made, self.plan.effects, detail)

        self.misses.outcomes(await self.ctx.together(things, guarded, ended=ended), name)


async def _built(ctx: StageContext, plan: SearchPlan, build: Build, campaign: Any) -> StageResult:
    brief, status = ctx.brief, reported_status(campaign)
    ident = "" if campaign.dry_run else campaign.remote_id
    text = render_search(
        brief,
        plan,
        remote_id=ident,
        status=status,
        source=campaign.source,
        made=build.made,
        why=str(build.misses),
        dry_run=ctx.job.dry_run,
    )
    data = {
        "campaign": {
            "id": ident,
            "name": plan.campaign["name"],
            "server": ADS,
            "status": status,
            "source": str(campaign.source),
            "daily_budget": number(brief.search.daily_budget),
            "currency": brief.currency,
        }
    }
    note = remark(campaign, str(build.misses) or status)
    page = await _page(ctx, plan, text, campaign.source, note, place(campaign))
    return build.misses.result(build.made, plan.effects, [page], data)


async def _skipped(ctx: StageContext, plan: SearchPlan, error: StepError, misses: Misses) -> StageResult:
    reason = misses.add("search campaign", error)
    misses.add_fallback("search campaign", FILE)
    await ctx.fallback(ADS, "google_ads_create_campaign", reason, step="campaign")
    why, told = f"Skipped: the campaign could not be created: {reason}", f"skipped: {reason}"
    status = "unknown" if misses.unknown else "not created"
    if misses.unknown:
        why = f"Skipped: it is unknown whether the campaign exists: {reason}"
    elif left_out(error):
        status, why, told = "skipped", f"The campaign was {reason}", reason
    text = render_search(
        ctx.brief, plan, status=status, source=Source.FALLBACK, made=0, why=why, dry_run=ctx.job.dry_run
    )
    page = await _page(ctx, plan, text, Source.FALLBACK, why, {})
    return StageResult(
        status=Status.SKIPPED,
        made=0,
        total=plan.effects,
        artifacts=(page,),
        data=misses.data(),
        error=told,
    )


async def _page(
    ctx: StageContext, plan: SearchPlan, text: str, source: Source, note: str, where: dict[str, Any]
) -> Artifact:
    return Artifact(
        name=FILE,
        title=within(str(plan.campaign["name"]), 200),
        kind="search",
        source=source,
        file=await keep(ctx, FILE, text),
        mime="text/markdown",
        note=note,
        **where,
    )

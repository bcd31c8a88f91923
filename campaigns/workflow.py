"""The campaign lifecycle on one page: its eight stages, their dependencies, and how a launch is parsed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from campaigns.brief import counts
from campaigns.brief.findings import Finding, InvalidBrief
from campaigns.brief.presets import UnknownPreset, load_preset, preset_names
from campaigns.brief.rules import parse_brief
from campaigns.brief.schema import Brief
from campaigns.documents.lines import DSP_SERVERS, LIVE_STAGE, is_live, spend_lines, stays_paused
from campaigns.models import Campaign
from campaigns.stages import activate, brief, creative, landing, live, plan, project, report, search
from jobs.engine.graph import Activation, Hop, Stage, Workflow
from jobs.engine.inputs import Fault, InvalidInput, Request

#: The longest launch, in characters of JSON; the reference campaign has about 9,000.
LARGEST = 500_000
#: The whole input of a launch, as API users name it.
FIELDS = ("campaign", "includeSearch", "dryRun")

STAGES = (
    Stage(
        "brief",
        "Generate Campaign Brief",
        brief.run,
        # all stages that create documents share the folder; its call is reported in this stage
        path=(Hop("google-docs", "createFolder", 5), Hop("google-docs", "createDocument", 25)),
    ),
    Stage(
        "plan",
        "Create Media Plan",
        plan.run,
        path=(Hop("google-docs", "createSpreadsheet", 15), Hop("google-docs", "writeSpreadsheet", 15)),
    ),
    Stage(
        "project",
        "Setup Project Management",
        project.run,
        path=(
            Hop("asana-v2", "asana_list_workspaces", 1),
            Hop("asana-v2", "asana_create_project", 20),
            Hop("asana-v2", "asana_create_task", 20, counts.tasks),
        ),
    ),
    Stage("landing", "Generate Landing Page", landing.run),
    Stage(
        "creative",
        "Generate Creatives",
        creative.run,
        path=(
            Hop("image-gen", "generate_image", 105, counts.creatives),
            Hop("canva", "upload_asset", 20, counts.creatives),
            Hop("canva", "create_design", 25, counts.creatives),
        ),
    ),
    Stage(
        "activate",
        "Activate on DSPs",
        activate.run,
        # a line goes to one of these; the weight of one second does not change the order of calls
        path=tuple(
            Hop(server, "create_campaign", 1, counts.lines_on(server)) for server in DSP_SERVERS.values()
        ),
    ),
    Stage(
        "search",
        "Search Campaign",
        search.run,
        path=(
            Hop("google-ads", "google_ads_create_campaign", 25),
            Hop("google-ads", "google_ads_create_ad_group", 15, counts.ad_groups),
            Hop("google-ads", "google_ads_create_keyword", 8, counts.keywords),
            Hop("google-ads", "google_ads_create_responsive_search_ad", 15, counts.ads),
        ),
        wanted=lambda params: bool(params.get("includeSearch")),
    ),
    Stage(
        "report",
        "Generate Summary Report",
        report.run,
        needs=("brief", "plan", "project", "landing", "creative", "activate", "search"),
        path=(Hop("google-docs", "createDocument", 30),),
    ),
)

#: Setting lines live is no part of the launch and depends on none of its stages, because the user has seen
#: and confirmed every line. Google Ads has no tool for a status, so the search campaign stays paused.
ACTIVATION = Activation(
    Stage(
        LIVE_STAGE,
        "Set Lines Live",
        live.run,
        path=tuple(Hop(server, live.TOOL, 1) for server in DSP_SERVERS.values()),
    ),
    lines=spend_lines,
    stays=stays_paused,
    live=is_live,
)


#: The name of a preset. Its type is str, because mypy does not accept Literal with a call.
PresetName = Annotated[str, WithJsonSchema({"enum": list(preset_names()), "type": "string"})]


class LaunchInput(BaseModel):
    """The input of a launch: a preset's name or a brief, and two options."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"required": ["campaign"], "examples": [{"campaign": "aurora-one"}]}
    )

    campaign: PresetName | Brief = Field(description="The name of a preset, or a brief")
    includeSearch: bool = Field(False, description="Whether to include a search campaign")  # noqa: N815
    dryRun: bool = Field(False, description="Whether to only check and list every call, without sending any")  # noqa: N815


@cache
def schema() -> dict[str, Any]:
    """Return the JSON schema of a launch."""
    return LaunchInput.model_json_schema()


def parse(raw: Any) -> Request:
    """Parse a launch. Raises InvalidInput with every fault, each with its field as it was sent."""
    if not isinstance(raw, Mapping):
        raise InvalidInput([Fault("", "a launch must be a JSON object")])
    _check_size(raw)
    faults = [*_unknown_fields(raw), *_flags(raw)]
    include_search, dry_run = raw.get("includeSearch") is True, raw.get("dryRun") is True
    try:
        source, preset = _brief_of(raw)
        typed, findings = parse_brief(source, today=today_of(source), include_search=include_search)
    except InvalidInput as error:
        raise InvalidInput([*error.faults, *faults])
    except InvalidBrief as error:
        raise InvalidInput([*map(_fault, error.errors), *faults]) from error
    if faults:
        raise InvalidInput(faults)
    params = {
        "brief": typed.model_dump(mode="json"),
        "includeSearch": include_search,
        "dryRun": dry_run,
        "preset": preset,
    }
    return Request(typed.title, params, [_fault(finding) for finding in findings], dry_run=dry_run)


def load(params: Mapping[str, Any]) -> Brief:
    """Return the brief of a stored launch."""
    return Brief.model_validate(params["brief"])


def accepted(job_id: str, owner_id: int, params: Mapping[str, Any]) -> None:
    """Store the launched brief as a Campaign, in the transaction of the launch."""
    typed = load(params)
    Campaign.objects.create(
        job_id=job_id,
        owner_id=owner_id,
        slug=typed.slug,
        brand=typed.brand,
        product=typed.product,
        budget=typed.budget,
        currency=typed.currency,
        flight_start=typed.flight_start,
        flight_end=typed.flight_end,
        brief=params["brief"],
    )


def today_of(source: Any) -> date:
    """Return today's date in a raw brief's time zone, or in UTC if that is missing or unknown."""
    zone = source.get("timezone") if isinstance(source, Mapping) else None
    try:
        return now().astimezone(ZoneInfo(zone.strip()) if isinstance(zone, str) else UTC).date()
    except (KeyError, ValueError, OSError):
        # no such zone, no valid name, or a folder of the zone data; parsing reports it with the other faults
        return now().date()


def now() -> datetime:
    """Return the current time; tests replace it."""
    return datetime.now(UTC)


def _brief_of(raw: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the raw brief and the name of its preset, "" for the client's own. Raises InvalidInput."""
    if "campaign" not in raw:
        raise InvalidInput([Fault("campaign", "is required: the name of a preset, or a brief")])
    campaign = raw["campaign"]
    if isinstance(campaign, Mapping):
        return campaign, ""
    if not isinstance(campaign, str):
        raise InvalidInput([Fault("campaign", "must be the name of a preset, or a brief as an object")])
    try:
        # a preset's dates count from today in its own time zone, so that is read first
        return load_preset(campaign, today_of(load_preset(campaign, now().date()))), campaign
    except UnknownPreset as error:
        raise InvalidInput([Fault("campaign", str(error))])


def _check_size(raw: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(raw, ensure_ascii=False, default=str))
    except RecursionError:
        raise InvalidInput([Fault("", "is nested too deeply")])
    if size > LARGEST:
        raise InvalidInput([Fault("", f"is too large: {size:,} characters of at most {LARGEST:,}")])


def _unknown_fields(raw: Mapping[str, Any]) -> list[Fault]:
    known = ", ".join(FIELDS)
    return [
        Fault(_shown(name), f"is not a known field; the fields are {known}")
        for name in raw
        if name not in FIELDS
    ]


def _shown(name: Any) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in str(name)[:80])


def _flags(raw: Mapping[str, Any]) -> list[Fault]:
    return [
        Fault(name, "must be true or false")
        for name in ("includeSearch", "dryRun")
        if not isinstance(raw.get(name, False), bool)
    ]


def _fault(finding: Finding) -> Fault:
    return Fault(f"campaign.{finding.field}" if finding.field else "campaign", finding.message)


LIFECYCLE = Workflow(
    id="campaign-lifecycle",
    name="Campaign Lifecycle",
    stages=STAGES,
    parse=parse,
    load=load,
    schema=schema,
    accepted=accepted,
    activation=ACTIVATION,
)

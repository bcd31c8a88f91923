"""The campaign brief: its fields, their limits, and the figures calculated from them."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from campaigns.brief.fields import (
    Address,
    Currency,
    Day,
    Days,
    Figure,
    Money,
    Name,
    Paragraph,
    ParagraphItem,
    Pixels,
    Price,
    Short,
    ShortItem,
    Year,
    Zone,
    slug_of,
)

#: The usual spellings of each DSP, and its name in Flightplan.
DSP_NAMES = {
    "ttd": "TTD",
    "the trade desk": "TTD",
    "trade desk": "TTD",
    "dv360": "DV360",
    "dv 360": "DV360",
    "display & video 360": "DV360",
    "display and video 360": "DV360",
    "amazon dsp": "Amazon DSP",
    "amazon-dsp": "Amazon DSP",
    "amazon": "Amazon DSP",
}
#: The usual spellings of each channel, and its key in Flightplan.
CHANNEL_KEYS = {
    "connected tv": "ctv",
    "streaming tv": "ctv",
    "ott": "ctv",
    "online video": "video",
    "olv": "video",
    "digital audio": "audio",
    "streaming audio": "audio",
    "banner": "display",
    "retargeting": "display",
    "retargeting display": "display",
    "display retargeting": "display",
    "digital out of home": "dooh",
}
_T = TypeVar("_T")


def _known_dsp(name: str) -> str:
    return DSP_NAMES.get(name.casefold(), name)


def _sizes(value: Any) -> Any:
    """Read one text "300x250, 728x90" as a list."""
    if isinstance(value, str):
        return [part for part in re.split(r"[,;\n]", value) if part.strip()]
    return value


def _size(text: str) -> str:
    """Write "300 × 250" as "300x250"; leave a creative's name unchanged."""
    match = re.fullmatch(r"(\d{1,5})\s*[xX×*]\s*(\d{1,5})(\s*px)?", text)
    return f"{int(match[1])}x{int(match[2])}" if match else text


def _strategy(text: str) -> str:
    return re.sub(r"[\s_-]+", "_", text).upper()


def _unique(items: tuple[_T, ...], key: Callable[[_T], str], what: str) -> tuple[_T, ...]:
    first: dict[str, int] = {}
    for index, item in enumerate(items, 1):
        if (earlier := first.setdefault(key(item), index)) != index:
            raise ValueError(f"{what}: numbers {earlier} and {index} are the same")
    return items


class Part(BaseModel):
    """A part of a brief: immutable, and without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Line(Part):
    """One row of the media plan: one campaign on one DSP."""

    channel: Name
    dsp: Annotated[Name, AfterValidator(_known_dsp)]
    tactic: Short = ""
    budget: Money
    kpi_target: Short = ""
    sizes: Annotated[
        tuple[Annotated[ShortItem, AfterValidator(_size)], ...], BeforeValidator(_sizes), Field(max_length=50)
    ] = ()

    @property
    def channel_key(self) -> str:
        """Return the channel's key for any spelling: display, video, audio, ctv, ..."""
        words = " ".join(re.split(r"[\s_-]+", self.channel.casefold()))
        return CHANNEL_KEYS.get(words, words)

    @property
    def slug(self) -> str:
        """Return the line's slug, unique in its plan."""
        return slug_of(f"{self.dsp} {self.channel} {self.tactic}")

    @property
    def label(self) -> str:
        """Return the line's display name: "TTD Display, Prospecting"."""
        return f"{self.dsp} {self.channel}" + (f", {self.tactic}" if self.tactic else "")


class CreativeSize(Part):
    """One creative; sizes are in pixels, within the limits of the design tool."""

    name: Name
    width: Pixels
    height: Pixels
    format: Literal["static", "video"] = "static"

    @model_validator(mode="before")
    @classmethod
    def _named_by_its_size(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and "name" not in raw and {"width", "height"} <= set(raw):
            return {**raw, "name": f"{str(raw['width'])[:9]}x{str(raw['height'])[:9]}"}
        return raw

    @model_validator(mode="after")
    def _not_too_large(self) -> Self:
        if self.width * self.height > 25_000_000:
            raise ValueError("width times height must be at most 25,000,000 pixels")
        return self

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def slug(self) -> str:
        """Return the creative's slug, unique in its brief and safe in a file name."""
        return slug_of(self.name)


class SearchSettings(Part):
    """The settings of the search campaign; its daily budget comes on top of the media plan."""

    daily_budget: Money
    bidding_strategy: Annotated[Name, AfterValidator(_strategy)] = "MAXIMIZE_CONVERSIONS"
    target_cpa: Money | None = None
    competitors: Annotated[tuple[ShortItem, ...], Field(max_length=50)] = ()
    seed_keywords: Annotated[tuple[ShortItem, ...], Field(max_length=200)] = ()
    negative_keywords: Annotated[tuple[ShortItem, ...], Field(max_length=200)] = ()


class Audience(Part):
    primary: Paragraph = ""
    secondary: Paragraph = ""
    targeting: Paragraph = ""
    exclusions: Paragraph = ""


class Compliance(Part):
    privacy_stance: Paragraph = ""
    disclosures: Paragraph = ""
    words_to_avoid: Annotated[tuple[ShortItem, ...], Field(max_length=100)] = ()


class BriefText(Part):
    """The written part of a brief."""

    executive_summary: Paragraph = ""
    why_now: Paragraph = ""
    primary_outcome: Paragraph = ""
    message_pillars: Annotated[tuple[ParagraphItem, ...], Field(max_length=50)] = ()
    value_proposition: Paragraph = ""
    reason_to_believe: Paragraph = ""
    audience: Audience = Audience()
    compliance: Compliance = Compliance()


class Task(Part):
    """A task of the project, due on a date, or in days from the flight's start (negative: before it)."""

    name: Name
    notes: Paragraph = ""
    due_on: Day | None = None
    due_offset_days: Days | None = None

    @model_validator(mode="after")
    def _one_due_date(self) -> Self:
        if (self.due_on is None) == (self.due_offset_days is None):
            raise ValueError("must have either due_on or due_offset_days, and not both")
        return self

    def due(self, flight_start: date) -> date:
        """Return the due date in a flight that starts on `start`."""
        if self.due_on is not None:
            return self.due_on
        return date.fromordinal(flight_start.toordinal() + (self.due_offset_days or 0))


class Brief(Part):
    """A whole campaign. `campaigns.brief.rules` decides whether it can be launched."""

    brand: Name
    product: Name
    tagline: Short = ""
    price: Price = ""
    currency: Currency
    year: Year | None = None
    budget: Money
    flight_start: Day
    flight_end: Day
    timezone: Zone
    launch_event: Short = ""
    landing_url: Address
    target_audience: Paragraph = ""
    objectives: Annotated[tuple[ParagraphItem, ...], Field(max_length=50)] = ()
    kpis: Annotated[dict[Name, Figure], Field(max_length=50)] = {}
    channels: Annotated[tuple[ShortItem, ...], Field(max_length=50)] = ()
    media_plan: Annotated[tuple[Line, ...], Field(min_length=1, max_length=50)]
    creative_sizes: Annotated[tuple[CreativeSize, ...], Field(min_length=1, max_length=50)]
    search: SearchSettings | None = None
    brief: BriefText = BriefText()
    tasks: Annotated[tuple[Task, ...], Field(max_length=100)] = ()

    # Names become keys of what is created outside, so two equal names would be treated as one thing.
    @field_validator("media_plan")
    @classmethod
    def _no_line_twice(cls, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        return _unique(lines, lambda line: line.slug, "must not repeat a channel, DSP and tactic")

    @field_validator("creative_sizes")
    @classmethod
    def _no_creative_twice(cls, sizes: tuple[CreativeSize, ...]) -> tuple[CreativeSize, ...]:
        return _unique(sizes, lambda size: size.slug, "must not repeat a name")

    @field_validator("tasks")
    @classmethod
    def _no_task_twice(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        return _unique(tasks, lambda task: slug_of(task.name), "must not repeat a name")

    @property
    def title(self) -> str:
        """Return brand and product, without repeating the brand."""
        doubled = self.product.casefold().startswith(self.brand.casefold())
        return self.product if doubled else f"{self.brand} {self.product}"

    @property
    def slug(self) -> str:
        return slug_of(self.title)

    @property
    def flight_days(self) -> int:
        """Return the days of the flight, including both end dates."""
        return (self.flight_end - self.flight_start).days + 1

    @property
    def lines_total(self) -> Decimal:
        return sum((line.budget for line in self.media_plan), Decimal(0))

    @property
    def search_spend(self) -> Decimal:
        """Return the daily budget times the days of the flight; 0 without search settings."""
        return self.search.daily_budget * max(self.flight_days, 0) if self.search else Decimal(0)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Return the channels in the brief, or those of the plan."""
        return self.channels or tuple(Counter(line.channel for line in self.media_plan))

    def creatives(self, sizes: Iterable[str]) -> list[CreativeSize]:
        """Return the creatives with these sizes ("300x250") or names, in the brief's order, each once."""
        wanted = {size.casefold() for size in sizes}
        return [c for c in self.creative_sizes if c.size in wanted or c.name.casefold() in wanted]

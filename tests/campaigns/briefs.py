"""Briefs for tests: a plain one to vary, the presets as typed briefs, and wild ones that are valid."""

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from campaigns.brief.fields import slug_of
from campaigns.brief.presets import load_preset
from campaigns.brief.rules import parse_brief
from campaigns.brief.schema import Brief

TODAY = date(2027, 3, 1)

NASTY = "a|b <script>alert(1)</script> [x](javascript:alert(1)) `code` *bold* # head"


def raw_brief(**changes: Any) -> dict[str, Any]:
    """The least a launch needs, with changes; a change to `None` leaves the field out."""
    raw: dict[str, Any] = {
        "brand": "Tessel",
        "product": "Desk",
        "currency": "USD",
        "budget": 60000,
        "flight_start": "2027-05-01",
        "flight_end": "2027-05-30",
        "timezone": "Europe/Berlin",
        "landing_url": "https://www.tessel.example/desk",
        "media_plan": [
            {
                "channel": "Display",
                "dsp": "TTD",
                "tactic": "Prospecting",
                "budget": 40000,
                "sizes": ["300x250"],
            },
            {"channel": "CTV", "dsp": "DV360", "tactic": "Reach", "budget": 20000},
        ],
        "creative_sizes": [{"name": "Rectangle", "width": 300, "height": 250, "format": "static"}],
    } | changes
    return {name: value for name, value in raw.items() if value is not None}


def brief_of(**changes: Any) -> Brief:
    """A typed brief, unchecked by the planner's rules."""
    return Brief.model_validate(raw_brief(**changes))


def preset(name: str) -> Brief:
    """A preset as of `TODAY`, checked with search."""
    return parse_brief(load_preset(name, TODAY), today=TODAY, include_search=True)[0]


# Few characters, each of a kind that can break something: marks of Markdown, HTML and sheets, scripts without
# a Latin spelling, wide ones, joiners, digits that are not ASCII.
_CHARS = st.sampled_from(
    "abXY 19 .,:;'\"|`*_<>[](){}=+-@&#!\\%$€~/^?éßðŁ東𫕲ﬁ½٣ςİǅΩж🎉\u200b\u200d\u0301\ufeff\xa0"
)
names = st.text(_CHARS, min_size=1, max_size=40).filter(lambda text: text.strip())
texts = st.text(st.one_of(_CHARS, st.just("\n")), max_size=200)
amounts = st.decimals("0.01", "999999999", places=2).map(str)


def _distinct(items: Any, key: Any) -> Any:
    return st.lists(items, min_size=1, max_size=4, unique_by=key)


_lines = st.fixed_dictionaries(
    {
        "channel": names,
        "dsp": st.one_of(st.sampled_from(["TTD", "DV360", "Amazon DSP"]), names),
        "tactic": names,
        "budget": amounts,
        "kpi_target": names,
        "sizes": st.lists(st.one_of(st.just("300x250"), names), max_size=3),
    }
)
_creatives = st.fixed_dictionaries(
    {
        "name": names,
        "width": st.integers(40, 3000),
        "height": st.integers(40, 3000),
        "format": st.sampled_from(["static", "video"]),
    }
)
_search = st.fixed_dictionaries(
    {
        "daily_budget": amounts,
        "bidding_strategy": names,
        "competitors": st.lists(names, max_size=3),
        "seed_keywords": st.lists(names, max_size=5),
        "negative_keywords": st.lists(names, max_size=3),
    }
)
_words = st.fixed_dictionaries(
    {
        "executive_summary": texts,
        "message_pillars": st.lists(names, max_size=4),
        "value_proposition": texts,
        "reason_to_believe": texts,
        "audience": st.fixed_dictionaries({"primary": texts, "exclusions": texts}),
        "compliance": st.fixed_dictionaries(
            {
                "disclosures": texts,
                "words_to_avoid": st.lists(st.one_of(names, st.just("discover")), max_size=3),
            }
        ),
    }
)
_starts = st.dates(date(2001, 1, 1), date(2099, 1, 1))


def _line_key(line: dict[str, Any]) -> str:
    return Brief.model_fields["media_plan"].annotation.__args__[0].model_validate(line).slug


def _name_key(item: dict[str, Any]) -> str:
    return slug_of(item["name"].strip())


@st.composite
def briefs(draw: st.DrawFn) -> Brief:
    """Any brief that its types allow, whatever a planner would say to it."""
    start = draw(_starts)
    return brief_of(
        brand=draw(names),
        product=draw(names),
        tagline=draw(names),
        price=draw(st.sampled_from(["", "12.50", "from 9 a month, *plus* VAT | <b>"])),
        currency=draw(st.sampled_from(["USD", "EUR", "JPY", "KWD"])),
        budget=draw(amounts),
        flight_start=start.isoformat(),
        flight_end=(start + timedelta(days=draw(st.integers(-5, 300)))).isoformat(),
        landing_url=draw(
            st.sampled_from(["https://a.example/?UTM_Source=X&q=1#top", "https://bücher.example"])
        ),
        objectives=draw(st.lists(names, max_size=3)),
        kpis=draw(st.dictionaries(names.map(str.strip), names, max_size=3)),
        media_plan=draw(_distinct(_lines, _line_key)),
        creative_sizes=draw(_distinct(_creatives, _name_key)),
        search=draw(_search),
        brief=draw(_words),
        tasks=draw(
            st.lists(
                st.fixed_dictionaries({"name": names, "due_offset_days": st.integers(-99, 99)}),
                max_size=3,
                unique_by=_name_key,
            )
        ),
    )

"""What holds for every document: it is made of its own campaign's words, and wild words break none."""

import csv
import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from campaigns.brief.presets import preset_names
from campaigns.brief.schema import Brief
from campaigns.documents.brief import render_brief
from campaigns.documents.landing import render_landing
from campaigns.documents.lines import line_arguments, render_line
from campaigns.documents.plan import plan_csv, plan_table, plan_xlsx
from campaigns.documents.prompts import image_prompt
from campaigns.documents.report import (
    ArtifactFact,
    FailureFact,
    LineFact,
    Moment,
    ReportFacts,
    StageFact,
    render_report,
)
from campaigns.documents.search import render_search, search_plan
from campaigns.documents.tasks import render_tasks, task_list
from jobs.pages.downloads import to_html
from tests.campaigns.briefs import NASTY, brief_of, briefs, preset

_REFUSED_TAGS = {"script", "iframe", "img", "object", "form", "b"}


def facts_of(brief: Brief) -> ReportFacts:
    """Facts that carry the brief's own words into every column of the report."""
    return ReportFacts(
        job="0123abcd",
        stages=[StageFact(brief.product, "completed", 3, 4, 12.5), StageFact("Search", "skipped")],
        artifacts=[
            ArtifactFact(
                brief.title, "live", "Brief", "https://docs.example/a(b) c", "brief.md", brief.tagline
            )
        ],
        lines=[LineFact(line.label, line.dsp, "paused", "simulated", "c-1") for line in brief.media_plan],
        failures=[FailureFact(brief.product, brief.tagline, brief.brand)],
        timeline=[Moment(datetime(2027, 3, 1, 9, tzinfo=UTC), f"Started {brief.title}")],
        seconds=75.0,
        unknown=[brief.product],
    )


def markdown_of(brief: Brief) -> dict[str, str]:
    pages = {
        "brief": render_brief(brief),
        "tasks": render_tasks(brief, {task.slug: "https://p.example/1" for task in task_list(brief)[:1]}),
        "report": render_report(brief, facts_of(brief)),
        "search": render_search(
            brief, search_plan(brief), made=3, why=brief.tagline, remote_id=brief.product
        ),
    }
    lines = (
        render_line(brief, line, "c-1", "paused", "simulated", brief.tagline) for line in brief.media_plan
    )
    return pages | {f"line {number}": text for number, text in enumerate(lines)}


def every_text(brief: Brief) -> str:
    prompts = [image_prompt(brief, creative) for creative in brief.creative_sizes]
    arguments = [str(line_arguments(brief, line)) for line in brief.media_plan]
    tables = [plan_csv(brief), str(search_plan(brief)), render_landing(brief)]
    return "\n".join([*markdown_of(brief).values(), *prompts, *arguments, *tables])


class Tags(HTMLParser):
    """The tags of a page, the addresses it links to, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{4,}", text.casefold()))


def rows_of_words(text: str, length: int = 4) -> set[tuple[str, ...]]:
    words = re.findall(r"[^\W_]+", text.casefold())
    return set(zip(*(words[start:] for start in range(length)), strict=False))


def _strangers(name: str) -> str:
    others = [preset(other) for other in preset_names() if other != name]
    return "\n".join(other.model_dump_json() for other in others)


@pytest.mark.parametrize("name", preset_names())
def test_no_sentence_of_another_brand_is_in_any_document(name: str) -> None:
    own = preset(name)
    strange = rows_of_words(_strangers(name)) - rows_of_words(own.model_dump_json())
    assert len(strange) > 500
    assert strange & rows_of_words(every_text(own)) == set()


@pytest.mark.parametrize("name", preset_names())
def test_no_word_of_another_brand_is_in_any_document(name: str) -> None:
    own = preset(name)
    strange = words_of(_strangers(name)) - words_of(own.model_dump_json()) - _phrases()
    assert len(strange) > 150
    assert strange & words_of(every_text(own)) == set()


def _phrases() -> set[str]:
    """The words of ours: what a brief gets rendered with that says next to nothing itself."""
    shapes = [{"width": 728, "height": 90}, {"width": 160, "height": 600}, {"width": 640, "height": 360}]
    briefs = [
        brief_of(
            search={"daily_budget": 5, "target_cpa": 3, "competitors": ["Rival"]}, creative_sizes=shapes
        ),
        brief_of(
            price="9",
            kpis={"clicks": 9},
            tagline="x",
            launch_event="x",
            target_audience="x",
            search={"daily_budget": 5},
            brief={"message_pillars": ["x"], "value_proposition": "x", "reason_to_believe": "x"},
        ),
    ]
    return words_of("".join(every_text(brief) + brief.model_dump_json() for brief in briefs))


def test_our_own_phrases_are_about_no_product() -> None:
    """What the test above lets pass must itself be free of what the brands are known by."""
    known_by = {"sunrise", "sunrises", "lamp", "aurora", "wake", "sleep", "dawn"}
    known_by |= {"olive", "olmeda", "casa", "harvest", "mill", "picked", "pressed", "bottle", "grove"}
    assert known_by & _phrases() == set()


FILE = re.compile(r"[\w-]+\.(md|html|csv|xlsx|png)")  # one that lies beside the report


@pytest.mark.parametrize("field", ["brand", "product", "tagline", "price", "launch_event"])
def test_markup_in_a_name_shows_as_text_and_makes_no_element(field: str) -> None:
    brief = brief_of(search={"daily_budget": 5}, **{field: NASTY})
    for name, text in markdown_of(brief).items():
        page = Tags(to_html(text))
        assert not page.tags & _REFUSED_TAGS, name
        assert all(link.startswith("https://") or FILE.fullmatch(link) for link in page.links), name
        assert "<script" not in text
    page = Tags(render_landing(brief))
    assert not page.tags & _REFUSED_TAGS
    assert not any(attribute.startswith("on") for attribute in page.attributes)


def test_paragraphs_cannot_open_headings_lists_or_quotes() -> None:
    text = "# big\n- item\n1. first\n> quote\n=====\n```\ncode\n    indented"
    page = Tags(to_html(render_brief(brief_of(brief={"executive_summary": text}))))
    plain = Tags(to_html(render_brief(brief_of(brief={"executive_summary": "calm"}))))
    assert page.tags - plain.tags == set()


def _tables_are_whole(markdown: str) -> bool:
    """Every row of every table has as many cells as its header, as a Markdown reader sees them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    kinds = [token.type for token in tokens]
    separators = sum(bool(re.fullmatch(r"\|( --- \|)+", line)) for line in markdown.splitlines())
    return kinds.count("table_open") == separators


@settings(max_examples=50, deadline=None)
@given(briefs())
def test_every_document_of_any_brief_is_made_and_whole(brief: Brief) -> None:
    for name, text in markdown_of(brief).items():
        assert _tables_are_whole(text), name
        assert not Tags(to_html(text)).tags & _REFUSED_TAGS, name
    page = render_landing(brief)
    assert not Tags(page).tags & _REFUSED_TAGS
    assert len(plan_table(brief)) == len(brief.media_plan) + 2
    assert len(list(csv.reader(io.StringIO(plan_csv(brief))))) == len(brief.media_plan) + 2
    assert all(0 < len(image_prompt(brief, creative)) <= 1800 for creative in brief.creative_sizes)
    assert len({task.slug for task in task_list(brief)}) == len(task_list(brief))


@settings(max_examples=10, deadline=None)
@given(briefs())
def test_the_workbook_of_any_brief_is_written(brief: Brief) -> None:
    assert plan_xlsx(brief).startswith(b"PK")

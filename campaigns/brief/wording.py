"""Rules on words: words to avoid, mandatory disclosures, and the limits of search ads."""

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from campaigns.brief.findings import Finding
from campaigns.brief.schema import Brief
from campaigns.documents.landing import render_landing
from campaigns.documents.prompts import image_prompt
from campaigns.documents.search import check_ad, search_plan
from campaigns.documents.words import found_words

#: Fields that no reader of a document or an ad sees, or that contain the words to avoid.
_UNSEEN = re.compile(
    r"brief\.compliance\.words_to_avoid\.|search\.|currency$|timezone$|landing_url$|creative_sizes\.\d+\.format$"
)
#: A footnote mark after a claim refers to a disclosure, which then must exist.
_FOOTNOTE = re.compile(r"(?<=[\w%.)])(?:\*|†|¹)(?=\s|$|[.,;:])")
_EMPHASIS = re.compile(r"\*\S[^*\n]*\*")


def check_wording(brief: Brief, include_search: bool) -> Iterator[Finding]:
    """Return findings on the brief's own words and on the public texts made from them."""
    yield from _own_words(brief)
    yield from _public_texts(brief, include_search)
    yield from _disclosures(brief)


def _own_words(brief: Brief) -> Iterator[Finding]:
    avoid = brief.brief.compliance.words_to_avoid
    for field, text in _seen(brief):
        for word in found_words(text, avoid):
            yield Finding("error", field, f'contains "{word}", which is one of the words to avoid')


def _public_texts(brief: Brief, include_search: bool) -> Iterator[Finding]:
    """Check the texts that Flightplan adds to the brief's own words."""
    words = brief.brief.compliance.words_to_avoid
    own = {word for _, text in _seen(brief) for word in found_words(text, words)}
    page = re.sub(r"<style>.*?</style>|<[^>]*>", " ", render_landing(brief), flags=re.DOTALL)
    texts = {
        "the landing page": page,
        "an image prompt": " ".join(image_prompt(brief, c) for c in brief.creative_sizes),
    }
    if include_search and brief.search:
        ads = [ad for group in search_plan(brief).ad_groups for ad in group.ads]
        texts["the text of the search ads"] = "\n".join(
            text for ad in ads for text in (*ad.headlines, *ad.descriptions)
        )
        for fault in dict.fromkeys(fault for ad in ads for fault in check_ad(ad)):
            yield Finding("error", "search", f"the ad generated from this brief is invalid: {fault}")
    for where, text in texts.items():
        for word in found_words(text, words):
            if word not in own:
                field = f"brief.compliance.words_to_avoid.{words.index(word)}"
                yield Finding(
                    "error", field, f'{where} always contains "{word}", so remove it from the words to avoid'
                )


def _disclosures(brief: Brief) -> Iterator[Finding]:
    disclosures = brief.brief.compliance.disclosures
    for field, text in _seen(brief):
        if not disclosures and _FOOTNOTE.search(_EMPHASIS.sub("", text)):
            yield Finding(
                "error",
                "brief.compliance.disclosures",
                f"is required: {field} has a claim with a footnote mark",
            )
    page = render_landing(brief) if disclosures else ""
    for line in filter(None, disclosures.split("\n")):
        if escape(" ".join(line.split())) not in page:
            yield Finding("error", "brief.compliance.disclosures", "does not appear on the landing page")


def _seen(brief: Brief) -> Iterator[tuple[str, str]]:
    """Return every text of the brief that a reader sees, with its path, including the names of KPIs."""
    yield from ((f"kpis.{name}", name) for name in brief.kpis)
    yield from (item for item in _texts(brief.model_dump(mode="json"), "") if not _UNSEEN.match(item[0]))


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}.{index}")

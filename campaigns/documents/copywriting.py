"""Search ads from the brief's own words, cut to the limits of a responsive search ad."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from campaigns.brief.fields import slug_of
from campaigns.brief.schema import Brief
from campaigns.documents.text import price
from campaigns.documents.words import is_allowed

HEADLINE, DESCRIPTION, PATH = 30, 90, 15
HEADLINES, DESCRIPTIONS = (3, 15), (2, 4)
#: Words that a line must not end with after it was cut.
_LOOSE = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at by for from in into is it its of on or our so than that the their to we when "
        "with you your",
    )
)
#: Used if the brief has too few texts: invitations that make no claim.
_INVITATIONS = ("Find out more", "See the details", "Take a closer look", "Learn more", "Have a look")


@dataclass(frozen=True)
class Ad:
    """A responsive search ad."""

    headlines: tuple[str, ...]
    descriptions: tuple[str, ...]
    path1: str
    path2: str
    final_url: str

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the tool that creates the ad, without the ad group and the key."""
        paths = {"path1": self.path1, "path2": self.path2}
        return {
            "headlines": list(self.headlines),
            "descriptions": list(self.descriptions),
            "final_url": self.final_url,
        } | {name: path for name, path in paths.items() if path}


def write_ad(brief: Brief, lead: Sequence[str], final_url: str) -> Ad:
    """Return an ad within the limits whose headlines start with those lead texts that fit."""
    headlines = _pick(brief, [*lead, *_headlines(brief)], HEADLINE, HEADLINES)
    descriptions = _pick(brief, _descriptions(brief), DESCRIPTION, DESCRIPTIONS)
    path1 = path(brief.brand)
    path2 = path(brief.product)
    return Ad(headlines, descriptions, path1, path2 if path2 != path1 else "", final_url)


def check_ad(ad: Ad) -> list[str]:
    """Return what breaks the limits of a responsive search ad; empty if nothing does."""
    faults = [
        *_count("headlines", ad.headlines, HEADLINES),
        *_count("descriptions", ad.descriptions, DESCRIPTIONS),
        *_long("headline", ad.headlines, HEADLINE),
        *_long("description", ad.descriptions, DESCRIPTION),
        *_long("path", (ad.path1, ad.path2), PATH),
    ]
    if ad.path2 and not ad.path1:
        faults.append("path2 without path1")
    if not ad.final_url.startswith("https://"):
        faults.append("no https final URL")
    return faults


def _long(what: str, texts: Sequence[str], limit: int) -> Iterator[str]:
    return (f"{what} over {limit} characters: {text}" for text in texts if ad_length(text) > limit)


def _count(what: str, texts: Sequence[str], bounds: tuple[int, int]) -> Iterator[str]:
    low, high = bounds
    if not low <= len(texts) <= high:
        yield f"{len(texts)} {what}, not {low} to {high}"
    if len({text.casefold() for text in texts}) < len(texts):
        yield f"{what} that repeat"
    if not all(text.strip() for text in texts):
        yield f"empty {what}"


def ad_length(text: str) -> int:
    """Return the length as the ads service counts it: double-width characters count twice."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def fit(text: str, limit: int) -> str:
    """Return the longest beginning of a text within the limit, cut between words, not after "the"."""
    words = text.split()
    if words and ad_length(words[0]) > limit:
        return _cut(words[0], limit)
    cut = False
    while words and ad_length(" ".join(words)) > limit:
        words, cut = words[:-1], True
    while cut and len(words) > 1 and words[-1].casefold().strip(",;:") in _LOOSE:
        words = words[:-1]
    return " ".join(words).rstrip(" ,;:–—-(&") if cut else " ".join(words)


def _cut(word: str, limit: int) -> str:
    while ad_length(word) > limit:
        word = word[:-1]
    return word


def path(text: str) -> str:
    """Return a path for the ad's display URL: at most 15 characters, whole words where possible."""
    slug = slug_of(text)
    while len(slug) > PATH and "-" in slug:
        slug = slug.rsplit("-", 1)[0]
    return slug[:PATH]


def clean(text: str) -> str:
    """Return the text without what ads refuse: exclamation marks, emoji, markup, repeated punctuation."""
    kept = "".join(char if _may_stand(char) else " " for char in text)
    return re.sub(r"([.,?:;-])\1+", r"\1", " ".join(kept.split())).strip(" ,;:-–—")


def _may_stand(char: str) -> bool:
    kind = unicodedata.category(char)
    return char in ".,:;'’\"“”-–—&%/+()?°" or kind[0] in "LNM" or kind == "Sc"


def _pick(brief: Brief, texts: Iterable[str], limit: int, bounds: tuple[int, int]) -> tuple[str, ...]:
    """Return the texts that fit whole; cut texts and invitations only fill up to the minimum."""
    low, high = bounds
    tidy = [cleaned for text in texts if (cleaned := _capital(clean(text)))]
    whole = [text for text in tidy if ad_length(text) <= limit and is_allowed(brief, text)]
    cut = [short for text in tidy if (short := clean(fit(text, limit))) and is_allowed(brief, short)]
    plain = [text for text in _INVITATIONS if is_allowed(brief, text)]
    picked: dict[str, str] = {}
    for text in whole:
        picked.setdefault(_sameness(text), text)
    for text in [*cut, *plain, *_INVITATIONS]:
        if len(picked) < low:
            picked.setdefault(_sameness(text), text)
    return tuple(picked.values())[:high]


def _sameness(text: str) -> str:
    return text.casefold().rstrip(".")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<=[.!?;])\s+|\n", text) if part.strip()]


def _clauses(text: str) -> Iterator[str]:
    """Return sentences, and their parts around a colon or a dash, of at least two words each."""
    for sentence in _sentences(text):
        for part in (sentence, *re.split(r":\s+|\s[–—]\s", sentence)):
            if len(part.split()) > 1:
                yield part.rstrip(" .;")


def _headlines(brief: Brief) -> Iterator[str]:
    text = brief.brief
    yield brief.title
    yield from _clauses(brief.tagline)
    for pillar in text.message_pillars:
        yield from _clauses(pillar)
    if brief.price:
        cost = price(brief.price, brief.currency)
        yield f"{brief.title}: {cost}"
        yield from (part for part in re.split(r",\s+", cost) if " " in part)
    yield f"Discover {brief.title}"
    yield f"Discover {brief.product}"
    yield from _clauses(text.value_proposition)
    yield from _clauses(text.reason_to_believe)


def _descriptions(brief: Brief) -> Iterator[str]:
    text = brief.brief
    for source in (text.value_proposition, text.reason_to_believe):
        yield from _packed(_sentences(source), DESCRIPTION)
    yield from _packed([f"{pillar.rstrip('.')}." for pillar in text.message_pillars], DESCRIPTION)
    if brief.tagline:
        yield f"{brief.title}. {brief.tagline}"
        yield brief.tagline
    yield f"Discover {brief.title}"
    yield brief.title


def _packed(sentences: Iterable[str], limit: int) -> Iterator[str]:
    """Join sentences as long as they fit on one line together."""
    line = ""
    for sentence in sentences:
        joined = f"{line} {sentence}".strip()
        if line and ad_length(joined) > limit:
            yield line
            joined = sentence
        line = joined
    if line:
        yield line

"""Words to avoid: where a text holds one, and which of several phrasings does without."""

import re
from collections.abc import Iterable

from campaigns.brief.schema import Brief


def found_words(text: str, words: Iterable[str]) -> list[str]:
    """Those of the words that stand in the text as whole words, in any case."""
    flat = " ".join(text.casefold().split())
    return [word for word in words if _whole(word).search(flat)]


def _whole(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(' '.join(word.casefold().split()))}(?!\w)")


def is_allowed(brief: Brief, text: str) -> bool:
    """Whether the text does without every word to avoid."""
    return not found_words(text, brief.brief.compliance.words_to_avoid)


def choose(brief: Brief, *phrasings: str) -> str:
    """The first phrasing without a word to avoid; the last one when there is none."""
    return next((text for text in phrasings if is_allowed(brief, text)), phrasings[-1])

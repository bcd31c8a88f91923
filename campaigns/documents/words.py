"""Words to avoid: find them in a text, and choose a phrasing without them."""

import re
from collections.abc import Iterable

from campaigns.brief.schema import Brief


def found_words(text: str, words: Iterable[str]) -> list[str]:
    """Return the words that occur in the text as whole words, ignoring case."""
    flat = " ".join(text.casefold().split())
    return [word for word in words if _whole(word).search(flat)]


def _whole(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(' '.join(word.casefold().split()))}(?!\w)")


def is_allowed(brief: Brief, text: str) -> bool:
    """Return whether the text contains no word to avoid."""
    return not found_words(text, brief.brief.compliance.words_to_avoid)


def choose(brief: Brief, *phrasings: str) -> str:
    """Return the first phrasing without a word to avoid, or the last phrasing if all contain one."""
    return next((text for text in phrasings if is_allowed(brief, text)), phrasings[-1])

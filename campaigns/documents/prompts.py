"""Prompts for image generation, from the brief's public texts and the size of the creative."""

from campaigns.brief.schema import Brief, CreativeSize
from campaigns.documents.text import within

_MOST = 1800


def image_prompt(brief: Brief, size: CreativeSize) -> str:
    """Return a prompt of at most 1,800 characters for a picture that is cropped to exactly this size."""
    text = brief.brief
    parts = [
        f"{_subject(size)} for {brief.title}.",
        _said("The idea", brief.tagline),
        _said("What it offers", within(text.value_proposition, 400)),
        _said("The feeling", within("; ".join(text.message_pillars), 400)),
        _said("The audience", within(brief.target_audience or text.audience.primary, 300)),
        f"Composition: {_composition(size)}, to be cropped to {size.width} by {size.height} pixels.",
        "Natural light, one clear subject, room for a headline, high contrast at small size.",
        "No letters, no numbers, no logos, no watermarks, no borders.",
    ]
    return within(" ".join(part for part in parts if part), _MOST)


def _subject(size: CreativeSize) -> str:
    if size.format == "video":
        return "Opening frame of an advertising film"
    return "Photograph for a display advertisement"


def _said(label: str, words: str) -> str:
    flat = " ".join(words.split()).rstrip(".")
    return f"{label}: {flat}." if flat else ""


def _composition(size: CreativeSize) -> str:
    ratio = size.width / size.height
    if ratio >= 3:
        return "a very wide strip with the subject to one side and calm space beside it"
    if ratio >= 1.2:
        return "landscape, the subject off center"
    if ratio > 0.8:
        return "square, the subject in the middle"
    if ratio > 0.4:
        return "portrait, the subject in the lower half"
    return "a tall narrow column with the subject at the foot and calm space above"

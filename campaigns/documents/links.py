"""Click URLs: with lower-case UTM parameters in what is placed outside, without them on the landing page."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from campaigns.brief.fields import slug_of


def untracked(url: str) -> str:
    """Return the URL without UTM parameters."""
    return _with_query(url, [])


def tracked(url: str, *, source: str, medium: str, campaign: str, content: str = "") -> str:
    """Return the URL with UTM parameters in lower case instead of its own; other parameters stay."""
    utm = {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign, "utm_content": content}
    return _with_query(url, [(name, slug_of(value)) for name, value in utm.items() if value])


def _with_query(url: str, extra: list[tuple[str, str]]) -> str:
    parts = urlsplit(url)
    own = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _is_utm(k)]
    return urlunsplit(parts._replace(query=urlencode(own + extra)))


def _is_utm(name: str) -> bool:
    return name.casefold().startswith("utm_")

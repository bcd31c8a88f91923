"""Click addresses: UTM parameters, lower-case, on what is placed outside; none on links of our own."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from campaigns.brief.fields import slug_of


def untracked(url: str) -> str:
    """The address without UTM parameters, as our own pages link to it."""
    return _with_query(url, [])


def tracked(url: str, *, source: str, medium: str, campaign: str, content: str = "") -> str:
    """The address with UTM parameters in lower case; those it had are replaced, its other parameters stay."""
    utm = {"utm_source": source, "utm_medium": medium, "utm_campaign": campaign, "utm_content": content}
    return _with_query(url, [(name, slug_of(value)) for name, value in utm.items() if value])


def _with_query(url: str, extra: list[tuple[str, str]]) -> str:
    parts = urlsplit(url)
    own = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _is_utm(k)]
    return urlunsplit(parts._replace(query=urlencode(own + extra)))


def _is_utm(name: str) -> bool:
    return name.casefold().startswith("utm_")

"""The landing page: one self-contained HTML file without scripts, from the brief's public texts."""

import hashlib
from collections.abc import Iterable
from html import escape

from campaigns.brief.schema import Brief
from campaigns.documents.links import untracked
from campaigns.documents.text import price, within
from campaigns.documents.words import choose

_STYLE = """
:root { --accent: hsl(HUE 62% 34%); --wash: hsl(HUE 60% 95%); }
:root { --deep: hsl(HUE 55% 14%); --glow: hsl(HUE2 80% 62%); }
* { box-sizing: border-box; }
body { margin: 0; color: #20242b; background: #fff; font: 17px/1.6 system-ui, "Segoe UI", sans-serif; }
a { color: inherit; }
h1, h2, p, li, dd { overflow-wrap: anywhere; }
.wrap { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { background: var(--deep); color: #fff; }
header .wrap { display: flex; justify-content: space-between; gap: 1rem; padding: 1rem 1.5rem; }
header nav { display: flex; gap: 1.25rem; font-size: .95rem; }
.brand { font-weight: 700; letter-spacing: .04em; }
.hero { background: linear-gradient(150deg, var(--deep), var(--accent) 58%, var(--glow)); color: #fff; }
.hero .wrap { padding-top: 6rem; padding-bottom: 6.5rem; }
.hero h1 { font-size: clamp(2.3rem, 6vw, 4.2rem); line-height: 1.08; margin: 0 0 1rem; max-width: 18ch; }
.hero p { font-size: 1.2rem; max-width: 46ch; margin: 0 0 2rem; }
.kicker { text-transform: uppercase; letter-spacing: .14em; font-size: .85rem; opacity: .85; }
.button { display: inline-block; background: #fff; color: var(--deep); font-weight: 650;
  text-decoration: none; padding: .85rem 1.7rem; border-radius: 999px; }
.button:focus-visible, a:focus-visible { outline: 3px solid var(--glow); outline-offset: 3px; }
.button.dark { background: var(--accent); color: #fff; }
section { padding: 4.5rem 0; }
section h2 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.5rem; max-width: 28ch; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1.25rem; }
.cards { padding: 0; margin: 0; }
.cards li { list-style: none; background: var(--wash); border-radius: 1rem; padding: 1.6rem; }
.cards strong { display: block; font-size: 1.12rem; line-height: 1.3; }
.proof { background: var(--wash); } .proof p, .offer p { max-width: 62ch; }
.price { font-size: 1.5rem; font-weight: 700; color: var(--accent); }
footer { border-top: 1px solid #e2e5ea; padding: 2rem 0 3rem; font-size: .88rem; color: #545c68; }
@media (max-width: 34rem) { header nav { display: none; } .hero .wrap { padding: 4rem 1.5rem; } }
"""


def render_landing(brief: Brief) -> str:
    """Return the complete page; it contains the disclosures, and its links have no UTM parameters."""
    sections = [_hero(brief), _pillars(brief), _offer(brief), _proof(brief), _event(brief)]
    body = "\n".join(section for section in sections if section)
    summary = brief.tagline or within(brief.brief.value_proposition, 150)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_flat(' – '.join(filter(None, (brief.title, brief.tagline))))}</title>\n"
        f'<meta name="description" content="{_flat(summary)}">\n'
        f"<style>{_style(brief)}</style>\n</head>\n<body>\n"
        f"{_header(brief)}\n<main>\n{body}\n</main>\n{_footer(brief)}\n</body>\n</html>\n"
    )


def _flat(text: str) -> str:
    return escape(" ".join(text.split()))


def _paragraphs(texts: Iterable[str]) -> str:
    lines = [line for text in texts for line in text.split("\n") if line.strip()]
    return "\n".join(f"<p>{_flat(line)}</p>" for line in lines)


def _style(brief: Brief) -> str:
    """Return the style with a color derived from the brand, the same for the same name."""
    hue = int(hashlib.sha256(brief.brand.encode()).hexdigest()[:8], 16) % 360
    return _STYLE.replace("HUE2", str((hue + 40) % 360)).replace("HUE", str(hue))


def _header(brief: Brief) -> str:
    text = brief.brief
    links = [
        ("#pillars", choose(brief, "Highlights", "Details")) if text.message_pillars else None,
        ("#proof", choose(brief, "Proof", "Facts")) if text.reason_to_believe else None,
        ("#offer", choose(brief, "Offer", brief.product)),
    ]
    nav = "".join(f'<a href="{item[0]}">{_flat(item[1])}</a>' for item in links if item)
    name = f'<span class="brand">{_flat(brief.brand)}</span>'
    return f'<header><div class="wrap">{name}<nav>{nav}</nav></div></header>'


def _hero(brief: Brief) -> str:
    lead = within(brief.brief.value_proposition, 220)
    return (
        '<div class="hero"><div class="wrap">'
        f'<p class="kicker">{_flat(brief.title)}</p>\n<h1>{_flat(brief.tagline or brief.title)}</h1>\n'
        + (f"<p>{_flat(lead)}</p>\n" if lead and brief.tagline else "")
        + f'<a class="button" href="#offer">{_flat(_call(brief))}</a></div></div>'
    )


def _call(brief: Brief) -> str:
    return choose(brief, f"Discover {brief.product}", f"See {brief.product}", brief.product)


def _pillars(brief: Brief) -> str:
    cards = "".join(f"<li>{_card(pillar)}</li>" for pillar in brief.brief.message_pillars)
    if not cards:
        return ""
    heading = choose(brief, f"What makes {brief.title} different", f"About {brief.title}", brief.title)
    listed = f'<ul class="cards">{cards}</ul>'
    return f'<section id="pillars"><div class="wrap"><h2>{_flat(heading)}</h2>{listed}</div></section>'


def _card(pillar: str) -> str:
    """Show a pillar such as "Claim: what it means" as a heading with a line of text."""
    claim, colon, meaning = pillar.partition(": ")
    return f"<strong>{_flat(claim)}</strong>" + (f"\n{_flat(meaning)}" if colon else "")


def _offer(brief: Brief) -> str:
    cost = f'<p class="price">{_flat(price(brief.price, brief.currency))}</p>' if brief.price else ""
    href = escape(untracked(brief.landing_url))
    return (
        f'<section id="offer" class="offer"><div class="wrap"><h2>{_flat(brief.title)}</h2>\n'
        f"{_paragraphs([brief.brief.value_proposition])}\n{cost}\n"
        f'<p><a class="button dark" href="{href}">{_flat(_call(brief))}</a></p></div></section>'
    )


def _proof(brief: Brief) -> str:
    if not brief.brief.reason_to_believe:
        return ""
    heading = choose(brief, "Why you can believe it", "The facts", brief.title)
    return (
        f'<section id="proof" class="proof"><div class="wrap"><h2>{_flat(heading)}</h2>\n'
        f"{_paragraphs([brief.brief.reason_to_believe])}</div></section>"
    )


def _event(brief: Brief) -> str:
    if not brief.launch_event:
        return ""
    heading = choose(brief, "Be there", "Come and see", brief.title)
    told = _paragraphs([brief.launch_event])
    return f'<section><div class="wrap"><h2>{_flat(heading)}</h2>\n{told}</div></section>'


def _footer(brief: Brief) -> str:
    year = brief.year or brief.flight_start.year
    return (
        f'<footer><div class="wrap">{_paragraphs([brief.brief.compliance.disclosures])}\n'
        f"<p>© {year} {_flat(brief.brand)}</p></div></footer>"
    )

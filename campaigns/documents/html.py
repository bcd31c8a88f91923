"""Markdown as a complete page that can be read and printed anywhere."""

from html import escape

from markdown_it import MarkdownIt

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --faint: #5b6675; --rule: #d9dee6; }
:root { --link: #1b5fc1; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7ebf0; --paper: #14181e; --faint: #9aa5b4; --rule: #333c48; --link: #8ab8ff; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, sans-serif; }
main { max-width: 58rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; }
h2 { margin-top: 2.4rem; font-size: 1.35rem; } h3 { font-size: 1.08rem; }
a { color: var(--link); } code { font-size: .88em; overflow-wrap: anywhere; }
table { display: block; overflow-x: auto; border-collapse: collapse; font-size: .94rem; }
th, td { padding: .45rem .8rem; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; }
th { color: var(--faint); font-weight: 600; }
@media print { main { max-width: none; padding: 0; } table { display: table; } h2 { break-after: avoid; } }
"""


def to_html(markdown: str, title: str) -> str:
    """A complete HTML page without scripts; HTML in the Markdown shows as text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )

"""Markdown as safe HTML for our own pages: HTML in the text shows as text, script links stay text."""

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_READER = MarkdownIt("commonmark", {"html": False}).enable("table")


def to_html(text: str) -> SafeString:
    """Give the HTML of a Markdown text; wide tables scroll inside their own box."""
    html = _READER.render(text)
    html = html.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    return mark_safe(html)  # noqa: S308 the reader escapes every character that it does not write itself

"""What the admin's classes share: history that nobody edits, values that are easy to read."""

import json
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.live.asks import web_address


class ReadOnly:
    """For admins and inlines of history: everybody who may look may look, nobody may change anything."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Say no."""
        return False

    def has_change_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Say no."""
        return False

    def has_delete_permission(self, request: HttpRequest, *args: Any) -> bool:
        """Say no."""
        return False


def link(url: str, text: object, *, outside: bool = False) -> SafeString | str:
    """Give a link, or its bare text where the address is none that a person may be sent to."""
    url = web_address(url)
    if not url:
        return str(text)
    return format_html('<a href="{}"{}>{}</a>', url, " rel=noopener target=_blank" if outside else "", text)


def as_json(value: Any) -> SafeString:
    """Give a JSON value to read, indented."""
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, default=str))


def seconds(value: float) -> str:
    """Give seconds with one decimal."""
    return f"{value:.1f} s"


def fields_of(model: type[Model], *without: str) -> list[str]:
    """Give the names of a model's fields, without some."""
    return [field.name for field in model._meta.fields if field.name not in without]

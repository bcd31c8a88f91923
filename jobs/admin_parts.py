"""What the admin's classes share: history that nobody edits, pages that stay quick on a million rows."""

import json
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.pieces import web_address

COUNTED = 10_000


class BoundedPaginator(Paginator):
    """Counts no further than 10,000 rows: counting a million at each page would be what takes the time."""

    @cached_property
    def count(self) -> int:
        """Give the number of rows, 10,000 at most."""
        return self.object_list.order_by()[:COUNTED].count()


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


class History(ReadOnly, admin.ModelAdmin):
    """A list of rows that only grow, newest first; the search finds a job's rows by the job's id."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 100
    ordering = ("-id",)
    search_fields = ("job_id",)
    search_help_text = "A job's id"
    job_path = "job_id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Give the rows of the job with this id: an exact match, which an index answers."""
        if not search_term.strip():
            return queryset, False
        try:
            return queryset.filter(**{self.job_path: UUID(search_term.strip())}), False
        except ValueError:
            return queryset.none(), False


class Among(admin.SimpleListFilter):
    """A filter whose choices are known: Django's own would look through all rows for them."""

    field = ""
    choices_of: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Give the choices."""
        return [(one, one) for one in self.choices_of]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows of the choice."""
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset


def among(name: str, values: Any) -> type[Among]:
    """Make a filter of a field by known values."""
    own = {"title": name, "parameter_name": name, "field": name, "choices_of": tuple(map(str, values))}
    return type(f"Among{name.title()}", (Among,), own)


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

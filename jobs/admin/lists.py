"""The admin's lists: newest first, paged by key, so that they stay fast with millions of rows."""

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest

from jobs.admin.parts import M, ModelAdmin, ReadOnly
from jobs.store import keyset

OLDER, NEWER = "older", "newer"


class NewestFirstList(ChangeList):
    """A list in the order of an index, without a total count. The template links older and newer pages."""

    model_admin: "NewestFirst[Any]"

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the filtered rows. The parameters that place the page are not filters."""
        for params in (self.params, self.filter_params):
            for name in (OLDER, NEWER):
                params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str | Combinable]:
        """Return the list's fixed order."""
        return [*self.model_admin.order_of(self.query).names()]

    def get_ordering_field_columns(self) -> dict[int, Literal["desc", "asc"]]:
        """Return no columns: the list cannot be sorted."""
        return {}

    def get_results(self, request: HttpRequest) -> None:
        """Read the page. Raises IncorrectLookupParameters for an invalid cursor."""
        order = self.model_admin.order_of(self.query)
        try:
            places = {
                name: order.place(request.GET[name]) for name in (OLDER, NEWER) if request.GET.get(name)
            }
        except (ValueError, OverflowError) as error:
            raise IncorrectLookupParameters(error) from error
        page = keyset.page(self.queryset, order, self.list_per_page, among=self._among(request), **places)
        self.cut_short, self.looked_through = page.cut_short, keyset.LOOKED_THROUGH
        self.newest = self.get_query_string() if page.newer else ""
        self.newer, self.older = (
            self.get_query_string({name: order.text(place)}) if place else ""
            for name, place in ((NEWER, page.newer), (OLDER, page.older))
        )
        self.result_list = page.rows
        # rows are not counted: the total is the length of the page, and the template does not show it
        self.result_count = self.full_result_count = len(page.rows)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(page.rows)

    def _among(self, request: HttpRequest) -> QuerySet[Any] | None:
        """Return the rows to scan for matches, or None if an index finds the matches."""
        rows, asked = self.root_queryset, set(self.get_filters_params())
        by_search = bool(self.query.strip())
        if by_search and self.model_admin.is_exact(self.query):
            rows, _ = self.model_admin.get_search_results(request, rows, self.query)
            by_search = False
        elif spec := self._indexed(asked):
            kept = spec.queryset(request, rows)
            rows = rows if kept is None else kept
            asked -= set(spec.expected_parameters())
        return rows if asked or by_search else None

    def _indexed(self, asked: set[str]) -> admin.ListFilter | None:
        """Return a filter in use that an index serves in the list's order, or None."""
        for spec in self.filter_specs:
            used = asked.intersection(spec.expected_parameters())
            if used and used <= self.model_admin.indexed:
                return spec
        return None


class NewestFirst(ReadOnly, ModelAdmin[M]):
    """A list of a table that only grows, newest first.

    `order` must be the order of an index. `indexed` has the parameters of the filters that an index serves
    in that order. For other filters, and for text, a page scans a limited number of rows.
    """

    change_list_template = "admin/newest_first.html"
    order: ClassVar[keyset.Order] = keyset.IDS
    indexed: ClassVar[frozenset[str]] = frozenset()
    list_per_page = 100
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet would count the whole table

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NewestFirstList

    def order_of(self, search_term: str) -> keyset.Order:
        """Return the order of the results of a search."""
        return self.order

    def is_exact(self, search_term: str) -> bool:
        """Return whether an index finds the search term. There is none for text."""
        return False


class History(NewestFirst[M]):
    """A list of what happened. The search finds the rows of a job by the job's id."""

    search_fields = ("job_id",)
    search_help_text = "A job's id"
    job_path = "job_id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows of the job with this id, an exact match by index."""
        if not search_term.strip():
            return queryset, False
        id = keyset.id_of(search_term)
        return (queryset.filter(**{self.job_path: id}) if id else queryset.none()), False

    def is_exact(self, search_term: str) -> bool:
        return True


class Among(admin.SimpleListFilter):
    """A filter with known choices. Django's own filter would scan all rows to collect them."""

    field = ""
    choices_of: tuple[str, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one, one) for one in self.choices_of]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset


def among(name: str, values: Iterable[object]) -> type[Among]:
    """Return a filter of the field by these values."""
    own = {"title": name, "parameter_name": name, "field": name, "choices_of": tuple(map(str, values))}
    return type(f"Among{name.title()}", (Among,), own)

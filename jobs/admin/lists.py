"""The admin's lists: newest first, page by page by key, as quick on a million rows as on ten."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs.admin.parts import ReadOnly
from jobs.store import keyset

OLDER, NEWER = "older", "newer"


class NewestFirstList(ChangeList):
    """A list in the one order that an index gives, without a count; the template links the pages beside."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Give the rows that are asked for; the place of the page is no filter of them."""
        for params in (self.params, self.filter_params):
            for name in (OLDER, NEWER):
                params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        """Give the one order, whatever an address asks for."""
        return self.model_admin.order_of(self.query).names()

    def get_ordering_field_columns(self) -> dict[int, str]:
        """Say that no column can be sorted by."""
        return {}

    def get_results(self, request: HttpRequest) -> None:
        """Read the page. Raises IncorrectLookupParameters for a place that no page gave."""
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
        # nobody counts: what Django would print as a total is the page's own length, and is not printed
        self.result_count = self.full_result_count = len(page.rows)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(page.rows)

    def _among(self, request: HttpRequest) -> QuerySet[Any] | None:
        """Give the rows that are looked through for those asked for, None where an index has them."""
        rows, asked = self.root_queryset, set(self.get_filters_params())
        by_search = bool(self.query.strip())
        if by_search and self.model_admin.is_exact(self.query):
            rows, _ = self.model_admin.get_search_results(request, rows, self.query)
            by_search = False
        elif spec := self._indexed(asked):
            rows = spec.queryset(request, rows)
            asked -= set(spec.expected_parameters())
        return rows if asked or by_search else None

    def _indexed(self, asked: set[str]) -> Any:
        """Give a filter in use that an index serves in the list's order, None where there is none."""
        for spec in self.filter_specs:
            used = asked.intersection(spec.expected_parameters())
            if used and used <= self.model_admin.indexed:
                return spec
        return None


class NewestFirst(ReadOnly, admin.ModelAdmin):
    """A list of rows that only grow, newest first.

    `order` is one that an index gives; `indexed` are the parameters of the filters whose rows an index gives
    in that order. For other filters, and for text, a page looks through a bounded number of rows.
    """

    change_list_template = "admin/newest_first.html"
    order: ClassVar[keyset.Order] = keyset.IDS
    indexed: ClassVar[frozenset[str]] = frozenset()
    list_per_page = 100
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each would count the whole table

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Give the list's class."""
        return NewestFirstList

    def order_of(self, search_term: str) -> keyset.Order:
        """Give the order of what a search finds."""
        return self.order

    def is_exact(self, search_term: str) -> bool:
        """Tell whether an index finds what is searched for; text has none."""
        return False


class History(NewestFirst):
    """A list of what happened; the search finds a job's rows by the job's id."""

    search_fields = ("job_id",)
    search_help_text = "A job's id"
    job_path = "job_id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Give the rows of the job with this id: an exact match, which an index answers."""
        if not search_term.strip():
            return queryset, False
        id = keyset.id_of(search_term)
        return (queryset.filter(**{self.job_path: id}) if id else queryset.none()), False

    def is_exact(self, search_term: str) -> bool:
        """Say yes."""
        return True


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

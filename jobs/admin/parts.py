"""What the admin classes share: Django's classes as generic ones, read-only history, readable values."""

import json
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.contrib import admin
from django.db.models import Model
from django.forms import ModelForm as DjangoModelForm
from django.forms.models import BaseInlineFormSet as DjangoInlineFormSet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.live.asks import web_address

M = TypeVar("M", bound=Model)
P = TypeVar("P", bound=Model)
F = TypeVar("F")

# the stubs make these classes generic; Django itself does not
if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
    TabularInline = admin.TabularInline
    ModelForm = DjangoModelForm
    BaseInlineFormSet = DjangoInlineFormSet
else:

    class ModelAdmin(Generic[M], admin.ModelAdmin):
        """Django's ModelAdmin, of a model."""

    class TabularInline(Generic[M, P], admin.TabularInline):
        """Django's TabularInline, of a model and its parent."""

    class ModelForm(Generic[M], DjangoModelForm):
        """Django's ModelForm, of a model."""

    class BaseInlineFormSet(Generic[M, P, F], DjangoInlineFormSet):
        """Django's BaseInlineFormSet, of a model, its parent and a form."""


class ReadOnly:
    """A mixin for admins and inlines of history: no one may add, change or delete rows."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False


def link(url: str, text: object, *, outside: bool = False) -> SafeString | str:
    """Return a link, or only its text if the address is not a safe web address."""
    url = web_address(url)
    if not url:
        return str(text)
    return format_html('<a href="{}"{}>{}</a>', url, " rel=noopener target=_blank" if outside else "", text)


def as_json(value: Any) -> SafeString:
    """Return a JSON value as indented, preformatted text."""
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, default=str))


def seconds(value: float) -> str:
    """Return seconds with one decimal, such as "1.5 s"."""
    return f"{value:.1f} s"


def fields_of(model: type[Model], *without: str) -> tuple[str, ...]:
    """Return the names of the model's fields except `without`."""
    return tuple(field.name for field in model._meta.fields if field.name not in without)

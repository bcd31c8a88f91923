"""The admin of webhooks: who is told of jobs, the secrets of the receivers, and what was sent to them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from jobs.admin.lists import History, among
from jobs.admin.parts import as_json, fields_of
from jobs.models import Delivery, Webhook
from jobs.store import keyset, outbox
from jobs.webhooks import addresses
from jobs.webhooks import signing as webhooks

LATEST = 10


class WebhookForm(forms.ModelForm):
    """A webhook as people set it up: what may stand in its address depends on what a superuser allows."""

    url = forms.CharField(
        label="Address",
        max_length=addresses.LONGEST,
        widget=forms.URLInput(attrs={"class": "vURLField"}),
        help_text="Where the POST goes. It begins with https://; http:// is for addresses inside the house.",
    )
    kinds = forms.MultipleChoiceField(
        label="Told of",
        choices=[(kind.value, f"{kind.value}: {kind.label}") for kind in Webhook.Kind],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one thing that the address is told of."},
    )

    class Meta:
        model = Webhook
        fields = ("name", "url", "kinds", "active", "allow_private")

    def clean(self) -> dict[str, Any]:
        """Check the address against what is allowed. The name is looked up at each sending, not here."""
        data = super().clean() or self.cleaned_data
        allowed = data.get("allow_private", self.instance.allow_private)
        if "url" in data:
            try:
                addresses.target(data["url"], allow_private=allowed)
            except addresses.Refused as refused:
                self.add_error("url", str(refused))
        return data


@admin.register(Webhook)
class WebhookAdmin(admin.ModelAdmin):
    """The addresses that are told of jobs. A secret is shown once, when it is made."""

    form = WebhookForm
    list_display = ("name", "url", "told_of", "active", "allow_private", "latest")
    list_filter = ("active",)
    search_fields = ("name", "url")
    change_form_template = "admin/jobs/webhook/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        """Give the webhooks, each with how its latest delivery stands."""
        newest = Delivery.objects.filter(webhook=OuterRef("pk")).order_by("-created_at").values("state")[:1]
        return super().get_queryset(request).annotate(newest=Subquery(newest))

    def get_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        """Give what is set up, and of a webhook that is there what was sent to it."""
        own = ("name", "url", "kinds", "active", "allow_private")
        return (*own, "deliveries_read", "created_at", "created_by") if obj else own

    def get_readonly_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        """Let only a superuser open the house, or say where inside it a POST goes."""
        fixed: tuple[str, ...] = ("deliveries_read", "created_at", "created_by")
        if not request.user.is_superuser:
            fixed += ("allow_private",)
            fixed += ("url",) if obj and obj.allow_private else ()
        return fixed

    @admin.display(description="told of")
    def told_of(self, hook: Webhook) -> str:
        """Give the kinds in words of one line."""
        return ", ".join(hook.kinds)

    @admin.display(description="latest delivery")
    def latest(self, hook: Any) -> str:
        """Give how the latest delivery stands."""
        return hook.newest or ""

    @admin.display(description="latest deliveries")
    def deliveries_read(self, hook: Webhook) -> SafeString | str:
        """Give the latest deliveries, each with a link to all of it."""
        rows = hook.deliveries.order_by("-created_at")[:LATEST]
        lines = [
            (reverse("admin:jobs_delivery_change", args=[row.pk]), f"{row.created_at:%Y-%m-%d %H:%M:%S}", row)
            for row in rows
        ]
        if not lines:
            return "nothing was sent yet"
        told = format_html_join(
            "",
            '<div><a href="{}">{} {}</a>: {}</div>',
            ((url, at, row.kind, _stands(row)) for url, at, row in lines),
        )
        everything = f"{reverse('admin:jobs_delivery_changelist')}?webhook__id__exact={hook.pk}"
        return format_html('{}<div><a href="{}">all deliveries</a></div>', told, everything)

    # -- what is done to one

    def get_urls(self) -> list[URLPattern]:
        """Give the admin's own addresses and those of the buttons."""
        view = self.admin_site.admin_view
        return [
            path("<int:id>/test/", view(self.test), name="jobs_webhook_test"),
            path("<int:id>/secret/", view(self.renew), name="jobs_webhook_secret"),
            *super().get_urls(),
        ]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        """Let what was sent to a webhook go with it, though nobody may delete a delivery by itself."""
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        return found, counts, set(needed) - {Delivery._meta.verbose_name}, protected

    def save_model(self, request: HttpRequest, obj: Webhook, form: forms.ModelForm, change: bool) -> None:
        """Store it, with who has made it."""
        if not change:
            obj.created_by = request.user
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Webhook, post_url_continue: Any = None) -> HttpResponse:
        """Show the secret of a new webhook, once."""
        return self._show(request, obj)

    @method_decorator(require_POST)
    def test(self, request: HttpRequest, id: int) -> HttpResponse:
        """Put a test into the outbox; the worker sends it like everything else."""
        hook = self._changeable(request, id)
        if hook is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(id))
        if hook.active:
            outbox.write_test(hook)
            messages.success(request, "A test is on its way; load this page again to see what became of it.")
        else:
            messages.error(request, "Nothing is sent to an address that is not active.")
        return HttpResponseRedirect(reverse("admin:jobs_webhook_change", args=[id]))

    def renew(self, request: HttpRequest, id: int) -> HttpResponse:
        """Ask whether a new secret is meant; make it and show it, once."""
        hook = self._changeable(request, id)
        if hook is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(id))
        if request.method != "POST":
            return self._page(request, "confirm_secret.html", hook, "Make a new secret?")
        Webhook.objects.filter(pk=id).update(secret_version=F("secret_version") + 1)
        hook.refresh_from_db()
        self.log_change(request, hook, "Made a new secret.")
        return self._show(request, hook)

    def _changeable(self, request: HttpRequest, id: int) -> Webhook | None:
        hook = Webhook.objects.filter(pk=id).first()
        if not self.has_change_permission(request, hook):
            raise PermissionDenied
        return hook

    def _show(self, request: HttpRequest, hook: Webhook) -> HttpResponse:
        secret = webhooks.secret(hook.pk, hook.secret_version)
        return self._page(request, "secret.html", hook, f"The secret of {hook}", secret=secret)

    def _page(self, request: HttpRequest, name: str, hook: Webhook, title: str, **more: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "webhook": hook,
            "title": title,
        }
        return TemplateResponse(request, f"admin/jobs/webhook/{name}", context | more)


@admin.register(Delivery)
class DeliveryAdmin(History):
    """What was sent to webhooks, or is to be. It is not edited; it can be sent again."""

    list_display = ("created_at", "webhook", "kind", "job_id", "state", "attempts", "status_code", "detail")
    list_filter = (
        among("state", Delivery.State.values),
        among("kind", (*Webhook.Kind.values, "test")),
        "webhook",
    )
    list_select_related = ("webhook",)
    order = keyset.MOMENTS
    indexed = frozenset(("state", "webhook__id__exact"))
    readonly_fields = ("payload_read",)
    fields = (*fields_of(Delivery, "payload"), "payload_read")
    actions = ("send_again",)

    @admin.display(description="payload")
    def payload_read(self, delivery: Delivery) -> SafeString:
        """Give the payload."""
        return as_json(delivery.payload)

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Say yes to those with Django's permission to change deliveries."""
        return bool(request.user.has_perm("jobs.change_delivery"))

    @admin.action(description="Send again", permissions=["send"])
    def send_again(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        """Have deliveries sent as if for the first time, under the ids that they had."""
        afresh = {"state": Delivery.State.PENDING, "attempts": 0, "ended_at": None, "next_at": timezone.now()}
        count = rows.update(**afresh)
        messages.success(request, f"{count} on {'its' if count == 1 else 'their'} way again.")


def _stands(row: Delivery) -> str:
    """Say in one line how a delivery stands."""
    tries = f", {row.attempts} {'attempt' if row.attempts == 1 else 'attempts'}" if row.attempts else ""
    return f"{row.state}{tries}{f': {row.detail}' if row.detail else ''}"

"""The admin of webhooks: the receivers, their secrets, and what was sent to them."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
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
from jobs.admin.parts import ModelAdmin, ModelForm, as_json, fields_of
from jobs.models import Delivery, Webhook
from jobs.store import keyset, outbox
from jobs.webhooks import addresses
from jobs.webhooks import signing as webhooks

LATEST = 10


class WebhookForm(ModelForm[Webhook]):
    """The form of a webhook. Which addresses are valid depends on what a superuser allows."""

    url = forms.CharField(
        label="Address",
        max_length=addresses.LONGEST,
        widget=forms.URLInput(attrs={"class": "vURLField"}),
        help_text="The address that receives the POST. Use https://; http:// is only for private addresses.",
    )
    kinds = forms.MultipleChoiceField(
        label="Notify about",
        choices=[(kind.value, f"{kind.value}: {kind.label}") for kind in Webhook.Kind],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one kind of event."},
    )

    class Meta:
        model = Webhook
        fields = ("name", "url", "kinds", "active", "allow_private")

    def clean(self) -> dict[str, Any]:
        """Check that the address is allowed. Its host name is only resolved at each delivery, not here."""
        data = super().clean() or self.cleaned_data
        allowed = data.get("allow_private", self.instance.allow_private)
        if "url" in data:
            try:
                addresses.target(data["url"], allow_private=allowed)
            except addresses.Refused as refused:
                self.add_error("url", str(refused))
        return data


@admin.register(Webhook)
class WebhookAdmin(ModelAdmin[Webhook]):
    """The webhooks. A secret is shown once, when it is created."""

    form = WebhookForm
    list_display = ("name", "url", "kinds_read", "active", "allow_private", "latest")
    list_filter = ("active",)
    search_fields = ("name", "url")
    change_form_template = "admin/jobs/webhook/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        """Return the webhooks, each with the state of its latest delivery as `newest`."""
        newest = Delivery.objects.filter(webhook=OuterRef("pk")).order_by("-created_at").values("state")[:1]
        return super().get_queryset(request).annotate(newest=Subquery(newest))

    def get_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        """Return the settings, and for an existing webhook also its latest deliveries."""
        own = ("name", "url", "kinds", "active", "allow_private")
        return (*own, "deliveries_read", "created_at", "created_by") if obj else own

    def get_readonly_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        """Return the fields the user cannot change. Only superusers may allow or change private addresses."""
        fixed: tuple[str, ...] = ("deliveries_read", "created_at", "created_by")
        if not request.user.is_superuser:
            fixed += ("allow_private",)
            fixed += ("url",) if obj and obj.allow_private else ()
        return fixed

    @admin.display(description="notify about")
    def kinds_read(self, hook: Webhook) -> str:
        """Return the kinds, separated by commas."""
        return ", ".join(hook.kinds)

    @admin.display(description="latest delivery")
    def latest(self, hook: Webhook) -> str:
        """Return the state of the latest delivery."""
        return getattr(hook, "newest", None) or ""

    @admin.display(description="latest deliveries")
    def deliveries_read(self, hook: Webhook) -> SafeString | str:
        """Return the latest deliveries as links."""
        rows = hook.deliveries.order_by("-created_at")[:LATEST]
        lines = [
            (reverse("admin:jobs_delivery_change", args=[row.pk]), f"{row.created_at:%Y-%m-%d %H:%M:%S}", row)
            for row in rows
        ]
        if not lines:
            return "nothing sent yet"
        latest = format_html_join(
            "",
            '<div><a href="{}">{} {}</a>: {}</div>',
            ((url, at, row.kind, _state(row)) for url, at, row in lines),
        )
        everything = f"{reverse('admin:jobs_delivery_changelist')}?webhook__id__exact={hook.pk}"
        return format_html('{}<div><a href="{}">all deliveries</a></div>', latest, everything)

    # -- actions on one webhook

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses, those of the two buttons included."""
        view = self.admin_site.admin_view
        return [
            path("<int:id>/test/", view(self.test), name="jobs_webhook_test"),
            path("<int:id>/secret/", view(self.renew), name="jobs_webhook_secret"),
            *super().get_urls(),
        ]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        """Return what a deletion includes. A webhook's deliveries need no permission of their own."""
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        return found, counts, set(needed) - {Delivery._meta.verbose_name}, protected

    def save_model(self, request: HttpRequest, obj: Webhook, form: ModelForm[Webhook], change: bool) -> None:
        """Store the webhook, and the user who created it."""
        if not change:
            obj.created_by = cast(User, request.user)
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Webhook, post_url_continue: Any = None) -> HttpResponse:
        """Show the secret of a new webhook."""
        return self._show(request, obj)

    @method_decorator(require_POST)
    def test(self, request: HttpRequest, id: int) -> HttpResponse:
        """Write a test to the outbox; the worker sends it like every other delivery."""
        hook = self._changeable(request, id)
        if hook is None:
            return self._missing(request, id)
        if hook.active:
            outbox.write_test(hook)
            messages.success(request, "The test will be sent now. Reload this page to see the result.")
        else:
            messages.error(request, "This webhook is not active, so nothing is sent.")
        return HttpResponseRedirect(reverse("admin:jobs_webhook_change", args=[id]))

    def renew(self, request: HttpRequest, id: int) -> HttpResponse:
        """Ask for confirmation, then create a new secret and show it."""
        hook = self._changeable(request, id)
        if hook is None:
            return self._missing(request, id)
        if request.method != "POST":
            return self._page(request, "confirm_secret.html", hook, "Create a new secret?")
        Webhook.objects.filter(pk=id).update(secret_version=F("secret_version") + 1)
        hook.refresh_from_db()
        self.log_change(request, hook, "Created a new secret.")
        return self._show(request, hook)

    def _missing(self, request: HttpRequest, id: int) -> HttpResponse:
        missing: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]  # not in the stubs
            request, self.opts, str(id)
        )
        return missing

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
class DeliveryAdmin(History[Delivery]):
    """What was sent, or will be sent, to webhooks. Deliveries cannot be edited, but can be sent again."""

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
        return as_json(delivery.payload)

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Return whether the user has Django's permission to change deliveries."""
        return bool(request.user.has_perm("jobs.change_delivery"))

    @admin.action(description="Send again", permissions=["send"])
    def send_again(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        """Queue the deliveries again as if they were new, with their original ids."""
        pending = {
            "state": Delivery.State.PENDING,
            "attempts": 0,
            "ended_at": None,
            "next_at": timezone.now(),
        }
        count = rows.update(**pending)
        messages.success(request, f"{count} {'delivery' if count == 1 else 'deliveries'} will be sent again.")


def _state(row: Delivery) -> str:
    """Return the state of a delivery, with its attempts and the last error, on one line."""
    tries = f", {row.attempts} {'attempt' if row.attempts == 1 else 'attempts'}" if row.attempts else ""
    return f"{row.state}{tries}{f': {row.detail}' if row.detail else ''}"

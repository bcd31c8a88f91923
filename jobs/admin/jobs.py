"""The admin of jobs: everything that happened, to look at and to search; history is never edited."""

from statistics import median
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from jobs.admin.lists import History, NewestFirst, among
from jobs.admin.parts import ReadOnly, as_json, fields_of, link, seconds
from jobs.engine.events import KINDS
from jobs.engine.results import JobStatus, Source
from jobs.models import (
    ApiToken,
    Artifact,
    AuditEntry,
    CallAttempt,
    CallDuration,
    Delivery,
    Job,
    ToolCall,
    WorkerBeat,
    WorkflowEvent,
)
from jobs.store import keyset

LATEST = 200

admin.site.site_header = admin.site.site_title = "Flightplan"


def _list_url(model: type[Model], job: Job) -> str:
    """Give the address of the whole list of a job's rows of this model."""
    return f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}?q={job.pk}"


class LatestEvents(BaseInlineFormSet):
    """The newest events of the job, as many as a page bears; its log may have thousands."""

    def __init__(self, *args: Any, queryset: QuerySet[WorkflowEvent], instance: Job, **kwargs: Any) -> None:
        latest = queryset.filter(seq__gt=instance.last_seq - LATEST).order_by("-seq")
        super().__init__(*args, queryset=latest, instance=instance, **kwargs)


class EventInline(ReadOnly, admin.TabularInline):
    """The job's latest events."""

    model = WorkflowEvent
    formset = LatestEvents
    fields = readonly_fields = ("seq", "at", "type", "what")
    verbose_name_plural = f"Latest events (at most {LATEST})"

    @admin.display(description="payload")
    def what(self, event: WorkflowEvent) -> SafeString:
        """Give the payload without what every event of a stage repeats."""
        dull = ("stageName", "stageIndex", "totalStages", "data")
        return as_json({key: value for key, value in event.payload.items() if key not in dull})


class CallInline(ReadOnly, admin.TabularInline):
    """The job's calls, each with its attempts."""

    model = ToolCall
    fields = readonly_fields = (
        "step",
        "server",
        "tool",
        "state",
        "tries_made",
        "waited_for",
        "took_time",
        "remote",
        "error",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ToolCall]:
        """Give the calls with their attempts, in two queries."""
        return super().get_queryset(request).prefetch_related("tries")

    @admin.display(description="attempts")
    def tries_made(self, call: ToolCall) -> SafeString:
        """Give each attempt on a line."""
        return format_html_join("", "<div>{}</div>", ((str(one),) for one in call.tries.all()))

    @admin.display(description="waited")
    def waited_for(self, call: ToolCall) -> str:
        """Give the seconds spent waiting for permits."""
        return seconds(call.waited)

    @admin.display(description="took")
    def took_time(self, call: ToolCall) -> str:
        """Give the seconds of the last attempt."""
        return seconds(call.took)

    @admin.display(description="remote")
    def remote(self, call: ToolCall) -> SafeString | str:
        """Give the effect's id, linked where it has an address."""
        return link(call.remote_url, call.remote_id or "open", outside=True) if call.remote_id else ""


class ArtifactInline(ReadOnly, admin.TabularInline):
    """What the job made."""

    model = Artifact
    fields = readonly_fields = ("name", "title", "kind", "stage", "source", "opens", "own_copy", "note")

    @admin.display(description="opens")
    def opens(self, artifact: Artifact) -> SafeString | str:
        """Give the link to where it is outside."""
        return link(artifact.url, "outside", outside=True) if artifact.url else ""

    @admin.display(description="our copy")
    def own_copy(self, artifact: Artifact) -> SafeString | str:
        """Give the link to our own file."""
        return (
            link(reverse("artifact", args=[artifact.job_id, artifact.name]), "file") if artifact.file else ""
        )


class AuditInline(ReadOnly, admin.TabularInline):
    """What people did to the job."""

    model = AuditEntry
    fields = readonly_fields = fields_of(AuditEntry, "id", "job")
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Give the entries with who acted, in one query."""
        return super().get_queryset(request).select_related("by")


@admin.register(Job)
class JobAdmin(NewestFirst):
    """Jobs, newest first."""

    order = keyset.MOMENTS
    indexed = frozenset(("status", "created_at__gte", "created_at__lt"))
    list_display = (
        "title",
        "status",
        "dry_run",
        "owner",
        "created_at",
        "stages",
        "round",
        "crashes",
        "took",
        "page",
    )
    list_filter = (among("status", JobStatus), "dry_run", "created_at")
    list_select_related = ("owner",)
    search_fields = ("title", "owner__username")
    search_help_text = "Part of a title, an owner's name, or a job's id"
    list_per_page = 50
    inlines = (AuditInline, CallInline, ArtifactInline, EventInline)
    fields = readonly_fields = (
        "title",
        "status",
        "dry_run",
        "owner",
        "page",
        "whole_lists",
        "workflow",
        "version",
        "stages",
        "error",
        "created_at",
        "started_at",
        "ended_at",
        "took",
        "last_seq",
        "epoch",
        "leased_by",
        "lease_until",
        "cancel_asked_at",
        "round",
        "crashes",
        "suspects",
        "idempotency_key",
        "params_read",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        """Find a job by its id, or by text."""
        if id := keyset.id_of(search_term):
            return queryset.filter(pk=id), False
        return super().get_search_results(request, queryset, search_term)

    def is_exact(self, search_term: str) -> bool:
        """Tell whether an id is searched for."""
        return keyset.id_of(search_term) is not None

    @admin.display(description="stages ended")
    def stages(self, job: Job) -> str:
        """Give how many stages have ended, of how many."""
        return f"{job.stages_ended} of {len(job.plan)}"

    @admin.display(description="took")
    def took(self, job: Job) -> str:
        """Give the time from start to end."""
        return (
            seconds((job.ended_at - job.started_at).total_seconds())
            if job.started_at and job.ended_at
            else ""
        )

    @admin.display(description="page")
    def page(self, job: Job) -> SafeString | str:
        """Give the link to the job's page."""
        return link(reverse("job", args=[job.pk]), "open")

    @admin.display(description="whole lists")
    def whole_lists(self, job: Job) -> SafeString:
        """Give the links to all rows of the job."""
        lists = (
            (WorkflowEvent, f"events ({job.last_seq})"),
            (ToolCall, "calls"),
            (Artifact, "artifacts"),
            (Delivery, "deliveries"),
        )
        return format_html_join(
            " · ", '<a href="{}">{}</a>', ((_list_url(model, job), text) for model, text in lists)
        )

    @admin.display(description="parameters")
    def params_read(self, job: Job) -> SafeString:
        """Give the launch's parameters."""
        return as_json(job.params)


@admin.register(WorkflowEvent)
class WorkflowEventAdmin(History):
    """The logs of all jobs."""

    list_display = ("job_id", "seq", "type", "at")
    list_filter = (among("type", KINDS),)
    indexed = frozenset(("type",))
    readonly_fields = ("payload_read",)
    fields = ("job", "seq", "type", "at", "payload_read")

    def order_of(self, search_term: str) -> keyset.Order:
        """Give the order of a job's own log, or that of all logs."""
        return keyset.SEQS if search_term.strip() else keyset.IDS

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowEvent]:
        """Leave to the page of one event what only that shows."""
        rows = super().get_queryset(request)
        return rows if request.resolver_match.kwargs.get("object_id") else rows.defer("payload")

    @admin.display(description="payload")
    def payload_read(self, event: WorkflowEvent) -> SafeString:
        """Give the payload."""
        return as_json(event.payload)


class AttemptInline(ReadOnly, admin.TabularInline):
    """The attempts of a call."""

    model = CallAttempt
    fields = readonly_fields = fields_of(CallAttempt, "id", "call")
    show_change_link = False


@admin.register(ToolCall)
class ToolCallAdmin(History):
    """All calls to tool servers."""

    list_display = ("step", "job_id", "server", "tool", "state", "attempts", "waited", "took", "created_at")
    list_filter = (among("state", ToolCall.State.values),)
    indexed = frozenset(("state",))
    readonly_fields = ("args_read", "reply_read")
    fields = (*fields_of(ToolCall, "id", "args", "reply"), "args_read", "reply_read")
    inlines = (AttemptInline,)

    @admin.display(description="arguments")
    def args_read(self, call: ToolCall) -> SafeString:
        """Give the arguments."""
        return as_json(call.args)

    @admin.display(description="reply")
    def reply_read(self, call: ToolCall) -> SafeString:
        """Give the reply."""
        return as_json(call.reply)


@admin.register(CallAttempt)
class CallAttemptAdmin(History):
    """All attempts of all calls."""

    list_display = ("call", "number", "epoch", "sent_at", "ended_at", "outcome", "detail")
    list_select_related = ("call",)
    job_path = "call__job_id"


@admin.register(Artifact)
class ArtifactAdmin(History):
    """All artifacts."""

    list_display = ("name", "title", "kind", "source", "job_id", "opens", "own_copy")
    list_filter = (among("source", Source),)
    indexed = frozenset(("source",))
    opens, own_copy = ArtifactInline.opens, ArtifactInline.own_copy


@admin.register(AuditEntry)
class AuditEntryAdmin(History):
    """What people did to jobs; nobody can change or remove it."""

    list_display = ("at", "by", "act", "job_id", "stage", "step", "outcome", "remote_id", "digest")
    list_filter = (among("act", AuditEntry.Act.values),)
    indexed = frozenset(("act",))
    list_select_related = ("by",)
    readonly_fields = ("details_read",)
    fields = (*fields_of(AuditEntry, "id", "details"), "details_read")

    @admin.display(description="details")
    def details_read(self, entry: AuditEntry) -> SafeString | str:
        """Give what was confirmed."""
        return as_json(entry.details) if entry.details else ""


@admin.register(WorkerBeat)
class WorkerBeatAdmin(ReadOnly, admin.ModelAdmin):
    """The workers and when they were last heard of."""

    list_display = ("worker", "host", "pid", "started_at", "seen_at")
    ordering = ("-seen_at",)


@admin.register(CallDuration)
class CallDurationAdmin(ReadOnly, admin.ModelAdmin):
    """What the worker has learned of how long calls take; it orders those that wait by it."""

    list_display = ("server", "tool", "size", "middle", "calls", "source")
    list_filter = (among("source", Source),)
    ordering = ("server", "tool", "size")

    @admin.display(description="median")
    def middle(self, kind: CallDuration) -> str:
        """Give the median of the last calls."""
        return seconds(median(kind.recent)) if kind.recent else ""

    @admin.display(description="of so many calls")
    def calls(self, kind: CallDuration) -> int:
        """Give how many of them are remembered."""
        return len(kind.recent)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly, admin.ModelAdmin):
    """The API tokens, to revoke by deleting; `manage.py apitoken` makes them. Their hashes are not shown."""

    list_display = ("user", "scopes", "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    fields = readonly_fields = ("user", "scopes", "created_at", "expires_at")

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Say yes to those with Django's permission for it."""
        return request.user.has_perm("jobs.delete_apitoken")

"""The admin of jobs: everything that happened, to view and to search. History cannot be edited."""

from statistics import median
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from jobs.admin.lists import History, NewestFirst, among
from jobs.admin.parts import (
    BaseInlineFormSet,
    ModelAdmin,
    ModelForm,
    ReadOnly,
    TabularInline,
    as_json,
    fields_of,
    link,
    seconds,
)
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
    """Return the address of the list of all the job's rows of this model."""
    return f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}?q={job.pk}"


class LatestEvents(BaseInlineFormSet[WorkflowEvent, Job, ModelForm[WorkflowEvent]]):
    """The latest events of the job. Its log may have thousands, too many for one page."""

    def __init__(self, *, queryset: QuerySet[WorkflowEvent], instance: Job, **kwargs: Any) -> None:
        latest = queryset.filter(seq__gt=instance.last_seq - LATEST).order_by("-seq")
        super().__init__(queryset=latest, instance=instance, **kwargs)


class EventInline(ReadOnly, TabularInline[WorkflowEvent, Job]):
    model = WorkflowEvent
    formset = LatestEvents
    fields = readonly_fields = ("seq", "at", "type", "what")
    verbose_name_plural = f"Latest events (at most {LATEST})"

    @admin.display(description="payload")
    def what(self, event: WorkflowEvent) -> SafeString:
        """Return the payload without the fields that every event of a stage repeats."""
        repeated = ("stageName", "stageIndex", "totalStages", "data")
        return as_json({key: value for key, value in event.payload.items() if key not in repeated})


class CallInline(ReadOnly, TabularInline[ToolCall, Job]):
    """The job's calls with their attempts."""

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
        """Return the calls with their attempts, in two queries."""
        return super().get_queryset(request).prefetch_related("tries")

    @admin.display(description="attempts")
    def tries_made(self, call: ToolCall) -> SafeString:
        """Return the attempts, one per line."""
        return format_html_join("", "<div>{}</div>", ((str(one),) for one in call.tries.all()))

    @admin.display(description="waited")
    def waited_for(self, call: ToolCall) -> str:
        """Return the seconds spent waiting for permits."""
        return seconds(call.waited)

    @admin.display(description="took")
    def took_time(self, call: ToolCall) -> str:
        """Return the seconds of the last attempt."""
        return seconds(call.took)

    @admin.display(description="remote")
    def remote(self, call: ToolCall) -> SafeString | str:
        """Return the effect's id, as a link if its address is known."""
        return link(call.remote_url, call.remote_id or "open", outside=True) if call.remote_id else ""


class ArtifactInline(ReadOnly, TabularInline[Artifact, Job]):
    """The job's artifacts."""

    model = Artifact
    fields = readonly_fields = ("name", "title", "kind", "stage", "source", "opens", "own_copy", "note")

    @admin.display(description="opens")
    def opens(self, artifact: Artifact) -> SafeString | str:
        """Return a link to the artifact at the service."""
        return link(artifact.url, "outside", outside=True) if artifact.url else ""

    @admin.display(description="our copy")
    def own_copy(self, artifact: Artifact) -> SafeString | str:
        """Return a link to Flightplan's own file."""
        return (
            link(reverse("artifact", args=[artifact.job_id, artifact.name]), "file") if artifact.file else ""
        )


class AuditInline(ReadOnly, TabularInline[AuditEntry, Job]):
    """What users did to the job."""

    model = AuditEntry
    fields = readonly_fields = fields_of(AuditEntry, "id", "job")
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Return the entries with their users, in one query."""
        return super().get_queryset(request).select_related("by")


@admin.register(Job)
class JobAdmin(NewestFirst[Job]):
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
        """Return the job with this id, or the jobs that match the text."""
        if id := keyset.id_of(search_term):
            return queryset.filter(pk=id), False
        return super().get_search_results(request, queryset, search_term)

    def is_exact(self, search_term: str) -> bool:
        """Return whether the search term is an id."""
        return keyset.id_of(search_term) is not None

    @admin.display(description="stages ended")
    def stages(self, job: Job) -> str:
        """Return how many of the stages have ended."""
        return f"{job.stages_ended} of {len(job.plan)}"

    @admin.display(description="took")
    def took(self, job: Job) -> str:
        """Return the time from start to end."""
        return (
            seconds((job.ended_at - job.started_at).total_seconds())
            if job.started_at and job.ended_at
            else ""
        )

    @admin.display(description="page")
    def page(self, job: Job) -> SafeString | str:
        """Return a link to the job's page."""
        return link(reverse("job", args=[job.pk]), "open")

    @admin.display(description="whole lists")
    def whole_lists(self, job: Job) -> SafeString:
        """Return links to the lists of all the job's rows."""
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
        """Return the parameters of the launch."""
        return as_json(job.params)


@admin.register(WorkflowEvent)
class WorkflowEventAdmin(History[WorkflowEvent]):
    """The logs of all jobs."""

    list_display = ("job_id", "seq", "type", "at")
    list_filter = (among("type", KINDS),)
    indexed = frozenset(("type",))
    readonly_fields = ("payload_read",)
    fields = ("job", "seq", "type", "at", "payload_read")

    def order_of(self, search_term: str) -> keyset.Order:
        """Return the order of one job's log, or that of all logs."""
        return keyset.SEQS if search_term.strip() else keyset.IDS

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowEvent]:
        """Return the events. Only the page of one event loads the payload."""
        rows = super().get_queryset(request)
        match = request.resolver_match
        return rows if match and match.kwargs.get("object_id") else rows.defer("payload")

    @admin.display(description="payload")
    def payload_read(self, event: WorkflowEvent) -> SafeString:
        return as_json(event.payload)


class AttemptInline(ReadOnly, TabularInline[CallAttempt, ToolCall]):
    """The attempts of a call."""

    model = CallAttempt
    fields = readonly_fields = fields_of(CallAttempt, "id", "call")
    show_change_link = False


@admin.register(ToolCall)
class ToolCallAdmin(History[ToolCall]):
    """All calls to tool servers."""

    list_display = ("step", "job_id", "server", "tool", "state", "attempts", "waited", "took", "created_at")
    list_filter = (among("state", ToolCall.State.values),)
    indexed = frozenset(("state",))
    readonly_fields = ("args_read", "reply_read")
    fields = (*fields_of(ToolCall, "id", "args", "reply"), "args_read", "reply_read")
    inlines = (AttemptInline,)

    @admin.display(description="arguments")
    def args_read(self, call: ToolCall) -> SafeString:
        return as_json(call.args)

    @admin.display(description="reply")
    def reply_read(self, call: ToolCall) -> SafeString:
        return as_json(call.reply)


@admin.register(CallAttempt)
class CallAttemptAdmin(History[CallAttempt]):
    """All attempts of all calls."""

    list_display = ("call", "number", "epoch", "sent_at", "ended_at", "outcome", "detail")
    list_select_related = ("call",)
    job_path = "call__job_id"


@admin.register(Artifact)
class ArtifactAdmin(History[Artifact]):
    """All artifacts."""

    list_display = ("name", "title", "kind", "source", "job_id", "opens", "own_copy")
    list_filter = (among("source", Source),)
    indexed = frozenset(("source",))
    opens, own_copy = ArtifactInline.opens, ArtifactInline.own_copy


@admin.register(AuditEntry)
class AuditEntryAdmin(History[AuditEntry]):
    """What users did to jobs. Entries cannot be changed or removed."""

    list_display = ("at", "by", "act", "job_id", "stage", "step", "outcome", "remote_id", "digest")
    list_filter = (among("act", AuditEntry.Act.values),)
    indexed = frozenset(("act",))
    list_select_related = ("by",)
    readonly_fields = ("details_read",)
    fields = (*fields_of(AuditEntry, "id", "details"), "details_read")

    @admin.display(description="details")
    def details_read(self, entry: AuditEntry) -> SafeString | str:
        """Return what the user confirmed."""
        return as_json(entry.details) if entry.details else ""


@admin.register(WorkerBeat)
class WorkerBeatAdmin(ReadOnly, ModelAdmin[WorkerBeat]):
    """The workers and when each last reported."""

    list_display = ("worker", "host", "pid", "started_at", "seen_at")
    ordering = ("-seen_at",)


@admin.register(CallDuration)
class CallDurationAdmin(ReadOnly, ModelAdmin[CallDuration]):
    """How long calls take, as the worker has measured it. It orders waiting calls by these durations."""

    list_display = ("server", "tool", "size", "middle", "calls", "source")
    list_filter = (among("source", Source),)
    ordering = ("server", "tool", "size")

    @admin.display(description="median")
    def middle(self, kind: CallDuration) -> str:
        """Return the median of the last calls."""
        return seconds(median(kind.recent)) if kind.recent else ""

    @admin.display(description="number of calls")
    def calls(self, kind: CallDuration) -> int:
        """Return the number of calls that the median is taken over."""
        return len(kind.recent)


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnly, ModelAdmin[ApiToken]):
    """API tokens. Delete a token to revoke it; create one with `manage.py apitoken`. Hashes are not shown."""

    list_display = ("user", "scopes", "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    fields = readonly_fields = ("user", "scopes", "created_at", "expires_at")

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Return whether the user has Django's permission to delete tokens."""
        return request.user.has_perm("jobs.delete_apitoken")

"""The launch form's page: choose a sample or write a brief, see what to mind, launch it once."""

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from campaigns.brief.findings import Finding, InvalidBrief
from campaigns.brief.presets import UnknownPreset, load_preset, preset_names
from campaigns.brief.rules import DSP_CHANNELS, parse_brief
from campaigns.brief.schema import Brief
from campaigns.documents.text import money
from campaigns.form.forms import LaunchForm
from campaigns.workflow import LIFECYCLE, now, today_of
from jobs.acts import actions
from jobs.engine.inputs import InvalidInput


@dataclass(frozen=True)
class Preset:
    """A sample brief to start from."""

    name: str
    title: str
    about: str


@dataclass(frozen=True)
class Notice:
    """`templates/campaigns/_notice.html`: what to mind before launching; it never blocks.

    `checked` is false while the brief has errors, so that nothing can be reckoned yet.
    """

    checked: bool = False
    title: str = ""
    figures: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True)
class LaunchPage:
    """`templates/campaigns/new.html`. `token` makes one job of any number of clicks on one form."""

    form: LaunchForm
    notice: Notice
    token: str
    presets: list[Preset]
    preset: str
    zones: list[str]
    channel_names: list[str]
    again: str = ""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_new(request: HttpRequest) -> HttpResponse:
    """Show the form, empty or filled with `?preset=`; a POST adds or removes rows, checks, or launches."""
    if request.method != "POST":
        return _first(request)
    form, token = LaunchForm.typed(request.POST), _token(request.POST.get("token", ""))
    if _changed(form, request.POST):
        return _show(request, form, token)
    notice = _notice(form)
    if notice.checked and "check" not in request.POST:
        return _launch(request, form, notice, token)
    if not notice.checked:
        _place(form)
    return _show(request, form, token, notice, status=422 if form.errors else 200)


@never_cache
@require_POST
def campaign_check(request: HttpRequest) -> HttpResponse:
    """Give the notice anew for what is typed so far; nothing is launched."""
    notice = _notice(LaunchForm.typed(request.POST))
    return render(request, "campaigns/_notice.html", {"notice": notice})


def _first(request: HttpRequest) -> HttpResponse:
    name = request.GET.get("preset", "")
    if not name:
        return _show(request, LaunchForm.empty(), _token(""))
    try:
        # as a launch by name does: a preset's dates count from its own today
        raw = load_preset(name, today_of(load_preset(name, now().date())))
    except UnknownPreset:
        raise Http404("there is no such preset") from None
    form = LaunchForm.of_brief(raw)
    return _show(request, form, _token(""), _notice(form), preset=name)


def _launch(request: HttpRequest, form: LaunchForm, notice: Notice, token: str) -> HttpResponse:
    raw = {"campaign": form.raw(), "includeSearch": form.include_search, "dryRun": form.dry_run}
    # after a dry run, the form may be launched after it, without being asked whether that is meant
    key = f"form-{token}{'-dry' if form.dry_run else ''}"
    try:
        launched = actions.launch(LIFECYCLE.id, raw, request.user, idempotency_key=key)
    except InvalidInput as invalid:
        for fault in invalid.faults:
            form.place(fault.field, fault.message)
        return _show(request, form, token, notice, status=422)
    except actions.KeyReused:
        # the form was sent, changed and sent again: that is another launch, and wants a yes of its own
        return _show(request, form, _token(""), notice, status=409, again="yes")
    return redirect("job", launched.job.pk)


def _changed(form: LaunchForm, post: Any) -> bool:
    """Add or remove a row where that was asked for, and tell whether it was."""
    if (name := post.get("add", "")) in form.rows:
        form.rows[name].change(add=True)
        return True
    name, _, number = post.get("remove", "").partition(".")
    if name in form.rows and number.isdecimal():
        form.rows[name].change(remove=int(number))
        return True
    return False


def _read(form: LaunchForm) -> tuple[Brief, list[Finding]]:
    """Give the brief of a form and what to mind. Raises InvalidBrief."""
    if doubles := form.doubles():
        raise InvalidBrief([Finding("error", "kpis", f"{name} stands twice") for name in doubles])
    raw = form.raw()
    return parse_brief(raw, today=today_of(raw), include_search=form.include_search)


def _place(form: LaunchForm) -> None:
    try:
        _read(form)
    except InvalidBrief as invalid:
        for finding in invalid.errors:
            form.place(finding.field, finding.message)


def _notice(form: LaunchForm) -> Notice:
    try:
        brief, findings = _read(form)
    except InvalidBrief as invalid:
        warnings = [finding for finding in invalid.findings if finding.level == "warning"]
        return Notice(warnings=warnings, errors=len(invalid.errors))
    return Notice(True, brief.title, _figures(brief, form.include_search), findings)


def _figures(brief: Brief, search: bool) -> list[tuple[str, str]]:
    figures = [
        ("Media plan", f"{money(brief.lines_total, brief.currency)} on {len(brief.media_plan)} lines"),
        ("Flight", f"{brief.flight_start} to {brief.flight_end}, {brief.flight_days} days, {brief.timezone}"),
        ("Creatives", ", ".join(creative.size for creative in brief.creative_sizes)),
        ("Tasks", str(len(brief.tasks))),
    ]
    spend = money(brief.search_spend, brief.currency) if search else "not included"
    return [*figures[:1], ("Search", spend), *figures[1:]]


def _show(
    request: HttpRequest,
    form: LaunchForm,
    token: str,
    notice: Notice | None = None,
    *,
    preset: str = "",
    again: str = "",
    status: int = 200,
) -> HttpResponse:
    page = LaunchPage(
        form=form,
        notice=notice or _notice(form),
        token=token,
        presets=_presets(),
        preset=preset,
        zones=sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")),
        channel_names=sorted({name for names in DSP_CHANNELS.values() for name in names}),
        again=again,
    )
    return render(request, "campaigns/new.html", vars(page), status=status)


def _presets() -> list[Preset]:
    found = []
    for name in preset_names():
        raw = load_preset(name, now().date())
        budget = money(Decimal(str(raw["budget"])), raw["currency"])
        about = f"{budget}, {len(raw['media_plan'])} lines, {len(raw['creative_sizes'])} creatives"
        found.append(Preset(name, f"{raw['brand']} {raw['product']}", about))
    return found


def _token(sent: str) -> str:
    """Give the token of a form: the one it was sent with, or a new one."""
    try:
        return str(uuid.UUID(sent))
    except ValueError:
        return str(uuid.uuid4())

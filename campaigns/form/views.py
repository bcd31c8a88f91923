"""The page of the launch form: start from a sample or write a brief, see the warnings, launch it once."""

import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import available_timezones

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
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
from jobs.pages.act_views import user_of


@dataclass(frozen=True)
class Preset:
    """A sample brief to start from."""

    name: str
    title: str
    about: str


@dataclass(frozen=True)
class Notice:
    """The data of `templates/campaigns/_notice.html`: figures and warnings to read before launching.

    Warnings never block a launch. `checked` is false while the brief has errors; then there are no figures.
    """

    checked: bool = False
    title: str = ""
    figures: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True)
class LaunchPage:
    """The data of `templates/campaigns/new.html`. Every launch with the same `token` is the same job."""

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
    """Show the form, empty or filled from `?preset=`. A POST adds or removes rows, checks, or launches."""
    if request.method != "POST":
        return _first(request)
    form, token = LaunchForm.typed(request.POST), _token(request.POST.get("token", ""))
    if _changed(form, request.POST):
        return _show(request, form, token)
    if "check" not in request.POST and not form.doubles():
        return _launch(request, form, token)
    notice = _notice(form, place=True)
    return _show(request, form, token, notice, status=422 if form.errors else 200)


@never_cache
@require_POST
def campaign_check(request: HttpRequest) -> HttpResponse:
    """Return the notice for the current input; nothing is launched."""
    notice = _notice(LaunchForm.typed(request.POST))
    return render(request, "campaigns/_notice.html", {"notice": notice})


def _first(request: HttpRequest) -> HttpResponse:
    name = request.GET.get("preset", "")
    if not name:
        return _show(request, LaunchForm.empty(), _token(""))
    try:
        # as in a launch by name, the preset's dates count from today in its own time zone
        raw = load_preset(name, today_of(load_preset(name, now().date())))
    except UnknownPreset:
        raise Http404("no such preset") from None
    form = LaunchForm.of_brief(raw)
    return _show(request, form, _token(""), _notice(form), preset=name)


def _launch(request: HttpRequest, form: LaunchForm, token: str) -> HttpResponse:
    """Launch what the form holds; the launch itself checks the brief, so that it is parsed only once."""
    raw = {"campaign": form.raw(), "includeSearch": form.include_search, "dryRun": form.dry_run}
    # a launch after a dry run of the same form is expected and needs no confirmation
    key = f"form-{token}{'-dry' if form.dry_run else ''}"
    try:
        launched = actions.launch(LIFECYCLE.id, raw, user_of(request), idempotency_key=key)
    except InvalidInput as invalid:
        brief_faults = invalid.__cause__
        if isinstance(brief_faults, InvalidBrief):
            notice = _not_ready(brief_faults)
        else:  # refused for another reason, such as a broken servers file, before the brief was read
            notice = _notice(form, place=True)
        for fault in invalid.faults:
            form.place(fault.field, fault.message)
        return _show(request, form, token, notice, status=422)
    except actions.KeyReused:
        # the form was launched, changed and sent again: a second campaign, which needs a confirmation
        return _show(request, form, _token(""), _notice(form), status=409, again="yes")
    return redirect("job", launched.job.pk)


def _changed(form: LaunchForm, post: QueryDict) -> bool:
    """Add or remove a row if a button for that was pressed; return whether it was."""
    if (name := post.get("add", "")) in form.rows:
        form.rows[name].change(add=True)
        return True
    name, _, number = post.get("remove", "").partition(".")
    if name in form.rows and number.isdecimal():
        form.rows[name].change(remove=int(number))
        return True
    return False


def _read(form: LaunchForm) -> tuple[Brief, list[Finding]]:
    """Return the brief of a form and its warnings. Raises InvalidBrief."""
    if doubles := form.doubles():
        raise InvalidBrief([Finding("error", "kpis", f"{name} is listed twice") for name in doubles])
    raw = form.raw()
    return parse_brief(raw, today=today_of(raw), include_search=form.include_search)


def _notice(form: LaunchForm, *, place: bool = False) -> Notice:
    """Return the notice for a form; with `place` also put the errors of its brief at their inputs."""
    try:
        brief, findings = _read(form)
    except InvalidBrief as invalid:
        for finding in invalid.errors if place else ():
            form.place(finding.field, finding.message)
        return _not_ready(invalid)
    return Notice(True, brief.title, _figures(brief, form.include_search), findings)


def _not_ready(invalid: InvalidBrief) -> Notice:
    warnings = [finding for finding in invalid.findings if finding.level == "warning"]
    return Notice(warnings=warnings, errors=len(invalid.errors))


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
    """Return the token that the form was sent with, or a new one."""
    try:
        return str(uuid.UUID(sent))
    except ValueError:
        return str(uuid.uuid4())

"""The page for setting lines live, for users with permission to spend: lines, total, confirmation."""

import uuid
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache

from jobs.acts import actions
from jobs.acts.spending import Offer, counted, totals
from jobs.engine.inputs import InvalidInput
from jobs.engine.results import SpendLine
from jobs.models import Job
from jobs.pages.act_views import page, user_of

UNCHECKED = "Check the lines and the total, then tick the box. Nothing was set live."


@dataclass(frozen=True)
class Row:
    """A line as the page shows it. `live`: it is already live; `doubtful`: its status is unknown."""

    line: SpendLine
    live: bool
    doubtful: bool

    @property
    def budget(self) -> str:
        """The budget with its currency."""
        return " ".join(map(str, totals([self.line])))

    @property
    def simulated(self) -> bool:
        """Whether no money moves, whatever the line's status."""
        return self.line.source == "simulated"


@dataclass(frozen=True)
class ActivatePage:
    """`templates/jobs/activate.html`.

    `refused`: why there is no form. `error`: the message at the checkbox. `changed`: why the lines that were
    shown before are out of date. `act`: the label of the button.
    """

    job: Job
    offer: Offer
    rows: list[Row]
    act: str
    may: bool
    refused: str = ""
    error: str = ""
    changed: str = ""


@never_cache
@page
def activate(request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
    """Show every line and the total, and set the lines live.

    Returns 403 without permission to spend, 422 if the box is not ticked, and 409 with the reason if it is
    refused or the lines have changed.
    """
    user = user_of(request)
    job = get_object_or_404(Job.objects.visible_to(user), pk=job_id)
    if request.method != "POST":
        return _shown(request, job)
    given = request.POST.get("hash", "")
    if actions.may_spend(user) and request.POST.get("checked") != "yes":
        return _shown(request, job, 422, error=UNCHECKED)
    try:
        job = actions.activate(job, user, given)
    except actions.MayNotSpend:
        return _shown(request, job, 403)
    except InvalidInput as invalid:
        return _shown(request, job, 422, error=invalid.faults[0].message)
    except actions.Changed as changed:
        return _shown(request, job, 409, changed=str(changed))
    except actions.ActionRefused as refusal:
        return _shown(request, job, 409, refused=str(refusal))
    messages.success(request, "The lines are already live." if job.ended else "The lines are being set live.")
    return redirect("job", job.pk)


def _shown(
    request: HttpRequest,
    job: Job,
    status: int = 200,
    *,
    refused: str = "",
    error: str = "",
    changed: str = "",
) -> HttpResponse:
    job.refresh_from_db()
    offer = actions.activation(job)
    page = ActivatePage(
        job=job,
        offer=offer,
        rows=[Row(line, line.item in offer.live, line.item in offer.doubtful) for line in offer.lines],
        act=_act(offer),
        may=actions.may_spend(user_of(request)),
        refused=refused or offer.reason,
        error=error,
        changed=changed,
    )
    return render(request, "jobs/activate.html", vars(page), status=status)


def _act(offer: Offer) -> str:
    """Return the button's label: the number of lines that are not live yet, and their total."""
    sums = " and ".join(map(str, totals(offer.todo)))
    return f"Set {counted(len(offer.todo))} live: {sums}"

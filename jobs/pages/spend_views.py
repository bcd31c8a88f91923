"""The page on which somebody with the right to spend sets lines live: every line, the sum, the act."""

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
from jobs.pages.act_views import page

UNCHECKED = "Tick the box when you have checked the lines and the sum; nothing was set live."


@dataclass(frozen=True)
class Row:
    """A line as the page shows it; `live`: already, `doubtful`: nobody knows."""

    line: SpendLine
    live: bool
    doubtful: bool

    @property
    def budget(self) -> str:
        """Give the budget with its currency."""
        return " ".join(map(str, totals([self.line])))

    @property
    def simulated(self) -> bool:
        """Tell whether no money moves, whatever its status."""
        return self.line.source == "simulated"


@dataclass(frozen=True)
class ActivatePage:
    """`templates/jobs/activate.html`. `refused` says why there is no form; `error` stands at the box.

    `changed`: why what was shown before does not count. `act` is what the button does, in words.
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
    """Show every line and the sum, and set them live; 403 without the right, 422 where the box is not ticked,
    409 with the reason, and with the new lines where they have changed."""
    job = get_object_or_404(Job.objects.visible_to(request.user), pk=job_id)
    if request.method != "POST":
        return _shown(request, job)
    given = request.POST.get("hash", "")
    if actions.may_spend(request.user) and request.POST.get("checked") != "yes":
        return _shown(request, job, 422, error=UNCHECKED)
    try:
        job = actions.activate(job, request.user, given)
    except actions.MayNotSpend:
        return _shown(request, job, 403)
    except InvalidInput as invalid:
        return _shown(request, job, 422, error=invalid.faults[0].message)
    except actions.Changed as changed:
        return _shown(request, job, 409, changed=str(changed))
    except actions.ActionRefused as refusal:
        return _shown(request, job, 409, refused=str(refusal))
    again = "They are live already." if job.ended else "The lines are being set live."
    messages.success(request, again)
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
        may=actions.may_spend(request.user),
        refused=refused or offer.reason,
        error=error,
        changed=changed,
    )
    return render(request, "jobs/activate.html", vars(page), status=status)


def _act(offer: Offer) -> str:
    """Say what the button does: the lines that are not live yet, and what they come to."""
    sums = " and ".join(map(str, totals(offer.todo)))
    return f"Set {counted(len(offer.todo))} live: {sums}"

"""The read-only admin of campaigns, the briefs that were launched."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns.models import Campaign
from jobs.admin.lists import NewestFirst
from jobs.admin.parts import as_json, fields_of


@admin.register(Campaign)
class CampaignAdmin(NewestFirst[Campaign]):
    """Campaigns, newest first."""

    list_display = (
        "product",
        "brand",
        "dry_run",
        "owner",
        "budget",
        "currency",
        "flight_start",
        "flight_end",
        "page",
    )
    list_filter = ("job__dry_run", "flight_start")
    list_select_related = ("owner", "job")
    search_fields = ("brand", "product", "slug", "owner__username")
    readonly_fields = ("dry_run", "page", "brief_read")
    fields = (*fields_of(Campaign, "id", "brief"), "dry_run", "page", "brief_read")

    @admin.display(description="dry run", boolean=True)
    def dry_run(self, campaign: Campaign) -> bool:
        """Return whether it was a dry run."""
        return campaign.job.dry_run

    @admin.display(description="job's page")
    def page(self, campaign: Campaign) -> SafeString:
        """Return the link to the job's page."""
        return format_html('<a href="{}">open</a>', reverse("job", args=[campaign.job_id]))

    @admin.display(description="brief")
    def brief_read(self, campaign: Campaign) -> SafeString:
        """Return the brief as it was launched."""
        return as_json(campaign.brief)

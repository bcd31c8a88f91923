"""The app's name and label."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """What a campaign is: its brief, its stages, its documents and its bundled servers."""

    name = "campaigns"
    verbose_name = "Campaigns"
    default_auto_field = "django.db.models.BigAutoField"

"""The URLs of campaigns: the launch form and its check."""

from django.urls import path

from campaigns.form import views

urlpatterns = [
    path("campaigns/new", views.campaign_new, name="campaign-new"),
    path("campaigns/check", views.campaign_check, name="campaign-check"),
]

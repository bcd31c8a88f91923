"""Liveness and readiness checks."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from jobs.models import WorkerBeat

pytestmark = pytest.mark.django_db


def beat(seconds_ago: float) -> None:
    seen = timezone.now() - timedelta(seconds=seconds_ago)
    WorkerBeat.objects.create(worker=f"w{seconds_ago}", host="here", pid=1, seen_at=seen)


def not_ready() -> str:
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    return answer.json()["detail"]


def test_the_liveness_check_makes_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = Client().get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-store" in answer.headers["Cache-Control"]


def test_ready_while_a_worker_reports():
    beat(3600)
    beat(1)
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_not_ready_before_any_worker_has_started():
    assert "no worker" in not_ready()


def test_not_ready_when_the_last_worker_is_silent():
    beat(40)
    assert "40 s ago" in not_ready()


def test_not_ready_when_the_database_does_not_respond(monkeypatch):
    def fails(*args):
        raise OperationalError("password of admin wrong")

    monkeypatch.setattr(WorkerBeat.objects, "order_by", fails)
    assert not_ready() == "the database does not respond: OperationalError"

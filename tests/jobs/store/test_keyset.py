"""Keyset pages: every row once, newest first, in both directions, even with equal times or few matches."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.store import keyset
from tests.jobs import story

pytestmark = pytest.mark.django_db
MOMENTS = keyset.MOMENTS


@pytest.fixture
def jobs() -> list[Job]:
    """Return 23 jobs, newest first, three at each moment; every fifth has the title to search for."""
    now = timezone.now()
    made = [
        story.job(created_at=now - timedelta(seconds=n // 3), title="rare" if n % 5 == 4 else "common")
        for n in range(23)
    ]
    return sorted(made, key=MOMENTS.key, reverse=True)


def all_pages(rows, size, *, among=None) -> list[keyset.Page]:
    """Return all pages from the newest to the oldest."""
    pages = [keyset.page(rows, MOMENTS, size, among=among)]
    while pages[-1].older is not None:
        pages.append(keyset.page(rows, MOMENTS, size, older=pages[-1].older, among=among))
    return pages


@pytest.mark.storage
@pytest.mark.parametrize("size", [1, 2, 4, 22, 23, 24])
def test_the_pages_contain_every_row_once_and_newest_first(jobs, size):
    pages = all_pages(Job.objects.all(), size)
    assert [job for page in pages for job in page.rows] == jobs
    assert all(len(page.rows) == size for page in pages[:-1])
    assert not any(page.cut_short for page in pages)


@pytest.mark.storage
def test_paging_back_shows_the_same_pages(jobs):
    rows = Job.objects.all()
    down = all_pages(rows, 4)
    page, seen = down[-1], [down[-1].rows]
    while page.newer is not None:
        page = keyset.page(rows, MOMENTS, 4, newer=page.newer)
        seen.insert(0, page.rows)
    assert seen == [page.rows for page in down]
    assert page.newer is None


def test_within_a_page_of_the_newest_row_the_full_newest_page_is_returned(jobs):
    page = keyset.page(Job.objects.all(), MOMENTS, 4, newer=MOMENTS.key(jobs[2]))
    assert page.rows == jobs[:4]
    assert page.newer is None


@pytest.mark.storage
@pytest.mark.parametrize("looked", [1, 3, 7, 22, 23, 50])
def test_a_search_reads_a_limited_number_of_rows_per_page_and_finds_every_match(jobs, looked, monkeypatch):
    monkeypatch.setattr(keyset, "LOOKED_THROUGH", looked)
    rows = Job.objects.filter(title="rare")
    pages = all_pages(rows, 2, among=Job.objects.all())
    assert [job for page in pages for job in page.rows] == [job for job in jobs if job.title == "rare"]
    assert [page.cut_short for page in pages] == [
        len(page.rows) < 2 and page.older is not None for page in pages
    ]


def test_a_search_pages_back_across_pages_without_matches(jobs, monkeypatch):
    monkeypatch.setattr(keyset, "LOOKED_THROUGH", 2)
    rows, among = Job.objects.filter(title="rare"), Job.objects.all()
    page, found = all_pages(rows, 2, among=among)[-1], []
    while page.newer is not None:
        page = keyset.page(rows, MOMENTS, 2, newer=page.newer, among=among)
        found = [*page.rows, *found]
    assert [job.pk for job in found] == [job.pk for job in jobs if job.title == "rare"][: len(found)]
    assert len(found) >= 3


def test_a_search_that_ends_at_the_last_row_has_no_further_page(jobs, monkeypatch):
    monkeypatch.setattr(keyset, "LOOKED_THROUGH", len(jobs))
    page = keyset.page(Job.objects.filter(title="none"), MOMENTS, 2, among=Job.objects.all())
    assert (page.rows, page.older, page.cut_short) == ([], None, False)


def test_a_place_can_be_written_to_a_url_and_read_back(jobs):
    key = MOMENTS.key(jobs[5])
    assert MOMENTS.place(MOMENTS.text(key)) == key
    assert keyset.IDS.place(keyset.IDS.text((17,))) == (17,)


@pytest.mark.parametrize("text", ["", "x", "-1", "1-2", "9" * 19, "٣", "1\n"])
@pytest.mark.parametrize("order", [keyset.IDS, MOMENTS])
def test_text_that_no_page_produced_is_not_a_place(order, text):
    with pytest.raises(ValueError, match="not a place"):
        order.place(text)


def test_an_id_is_found_with_or_without_its_dashes():
    id = uuid.uuid4()
    assert keyset.id_of(f" {id} ") == keyset.id_of(id.hex) == id
    assert keyset.id_of("olmeda") is None

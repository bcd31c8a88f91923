"""The page that tells the API to people: every operation, its fields, its answers and a command line."""

import re

import pytest
from django.test import Client

from jobs.api.reference import prose, typed
from tests.jobs import calling, story

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(monkeypatch) -> str:
    calling.use_flow(monkeypatch)
    client = Client()
    client.force_login(story.user())
    answer = client.get("/api/docs")
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_operation_of_the_document_stands_there_with_its_address_and_an_example(page):
    for path, methods in Client().get("/api/openapi.json").json()["paths"].items():
        for told in methods.values():
            section = page.split(f'id="{told["operationId"]}"')[1].split("</section>")[0]
            assert f"<code>{path}</code>" in section
            assert "curl " in section
            for code in told["responses"]:
                assert f'<td class="num">{code}</td>' in section


def test_every_link_within_the_page_leads_somewhere(page):
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_it_has_no_script_and_no_style_of_its_own(page):
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"\s(?:style|on\w+)=", page) == []


def test_an_example_can_be_typed_as_it_stands(page):
    assert (
        "curl -N -H &quot;Authorization: Bearer $TOKEN&quot; http://testserver/api/jobs/$JOB/events" in page
    )
    assert "-X POST http://testserver/api/jobs/$JOB/cancel" in page
    assert "http://testserver/api/workflows/campaign-lifecycle/start" in page
    assert "&quot;outcome&quot;: &quot;exists&quot;, &quot;remoteId&quot;: &quot;1209&quot;" in page


def test_it_is_behind_the_sign_in_and_every_page_leads_there(page):
    answer = Client().get("/api/docs")
    assert (answer.status_code, answer.url) == (302, "/sign-in/?next=/api/docs")
    client = Client()
    client.force_login(story.user())
    assert 'href="/api/docs"' in client.get("/").content.decode()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/A.b"}, '<a href="#schema-A.b">A.b</a>'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"enum": ["a", "<b>"]}, "<code>&quot;a&quot;</code> or <code>&quot;&lt;b&gt;&quot;</code>"),
        ({"const": "x"}, "<code>&quot;x&quot;</code>"),
        (
            {"type": "array", "items": {"type": "integer"}, "maxItems": 5},
            "list of integer, at most 5 of them",
        ),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string"),
        ({"type": "string", "format": "uuid"}, "string (uuid)"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer, at least 1, at most 9"),
        ({}, "anything"),
    ],
)
def test_a_type_is_said_in_words(schema, words):
    assert typed(schema) == words


def test_what_stands_between_backticks_is_code():
    assert prose("wins over `<after>` & all") == "wins over <code>&lt;after&gt;</code> &amp; all"

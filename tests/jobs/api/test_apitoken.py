"""manage.py apitoken: the token it prints, and its error messages."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from jobs.models import ApiToken
from tests.jobs import spend, story

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("apitoken", *words, stdout=out)
    return out.getvalue()


def test_the_last_word_is_a_working_token_stored_only_as_a_hash():
    story.user()
    plain = run("mara", "--scope", "launch", "--scope", "read", "--days", "7").split()[-1]
    token = ApiToken.find(plain)
    assert (token.user, token.scopes) == (story.user(), ["read", "launch"])
    assert timedelta(days=6) < token.expires_at - timezone.now() < timedelta(days=7, seconds=1)
    assert plain not in str(ApiToken.objects.values())


def test_a_user_with_permission_to_spend_gets_a_token_with_that_scope():
    spend.spender()
    assert ApiToken.find(run("sol", "--scope", "spend").split()[-1]).scopes == ["spend"]


def test_a_repeated_scope_is_stored_once():
    story.user()
    run("mara", "--scope", "read", "--scope", "read")
    assert ApiToken.objects.get().scopes == ["read"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["nobody", "--scope", "read"], "USER: there is no user nobody"),
        (["gone", "--scope", "read"], "USER: gone is not active"),
        (["mara", "--scope", "write"], "--scope: there is no scope write"),
        (["mara"], "--scope: needs at least one"),
        (["mara", "--scope", "read", "--scope", "spend"], "--scope: mara doesn't have permission to spend"),
        (["mara", "--scope", "read", "--days", "0"], "--days: must be"),
        (["mara", "--scope", "read", "--days", "99999999"], "--days: must be"),
    ],
)
def test_an_error_names_its_argument_and_creates_nothing(words, names):
    story.user()
    story.user("gone", is_active=False)
    with pytest.raises(CommandError, match=names):
        run(*words)
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("words", [["apitoken", "mara", "--scope", "read"], ["web"], ["worker"]])
def test_without_tables_the_error_says_how_to_create_them(words, monkeypatch):
    monkeypatch.setattr(connection.introspection, "table_names", list)
    with pytest.raises(CommandError, match="no tables yet; create"):
        call_command(*words)

"""The tool servers file: read as other clients read it; each error names its field and a solution."""

import logging

import pytest

from jobs.engine.results import Source
from jobs.tools.contract.config import BrokenServersFile, load_servers
from tests.jobs.tools.conftest import ROLES

BUNDLED = {name: {"command": "python", "args": ["-m", "local", name]} for name in ROLES}
TOKEN = "sk-0123456789abcdef"


def load(tmp_path, text: str, **environ: str):
    """Return the servers of a file with this text."""
    path = tmp_path / "servers.json"
    path.write_text(text)
    return load_servers(path, ROLES, BUNDLED, environ)


def problems(tmp_path, text: str, **environ: str) -> dict[str, str]:
    """Return the errors of a file with this text, by field."""
    with pytest.raises(BrokenServersFile) as broken:
        load(tmp_path, text, **environ)
    for field, message in broken.value.problems:
        assert field in str(broken.value)
        assert message in str(broken.value)
    return dict(broken.value.problems)


def entry(tmp_path, fields: str, name: str = "ttd", **environ: str):
    """Return the server of an entry with these fields."""
    return load(tmp_path, '{"mcpServers": {"%s": {%s}}}' % (name, fields), **environ)[name]  # noqa: UP031


def fault(tmp_path, fields: str, **environ: str) -> tuple[str, str]:
    """Return the only error of an entry with these fields."""
    [found] = problems(tmp_path, '{"mcpServers": {"ttd": {%s}}}' % fields, **environ).items()  # noqa: UP031
    return found


def test_without_a_file_the_bundled_servers_play_all_roles():
    servers = load_servers(None, ROLES, BUNDLED)
    assert set(servers) == set(ROLES)
    assert servers["ttd"].bundled
    assert servers["ttd"].source is Source.SIMULATED
    assert servers["asana-v2"].source is Source.LOCAL
    assert (servers["asana-v2"].concurrency, servers["asana-v2"].per_minute) == (5, None)


def test_a_role_that_is_not_in_the_file_uses_its_bundled_server(tmp_path):
    servers = load(tmp_path, '{"mcpServers": {"asana-v2": {"command": "npx"}}}')
    assert (servers["asana-v2"].bundled, servers["asana-v2"].source) == (False, Source.LIVE)
    assert servers["asana-v2"].per_minute == 150
    assert servers["ttd"].bundled


def test_comments_and_trailing_commas_are_allowed_and_unknown_keys_are_ignored(tmp_path):
    servers = load(
        tmp_path,
        """{ // ours
          "mcpServers": {
            "ttd": {"type": "stdio", "command": "ttd", "args": ["-v",], "autoApprove": [], "x-team": 1},
            "canva-old": {"command": "x", "disabled": true},
            /* retired */
          },
        }""",
    )
    assert servers["ttd"].args == ("-v",)
    assert servers.warnings == []


def test_flightplans_own_fields_set_limits_deadline_and_source(tmp_path):
    spec = entry(
        tmp_path, '"command": "x", "concurrency": 7, "perMinute": 30, "timeout": 1.5, "source": "local"'
    )
    assert (spec.concurrency, spec.per_minute, spec.timeout, spec.source) == (7, 30, 1.5, Source.LOCAL)
    spec = entry(tmp_path, '"command": "x", "perMinute": {"create_campaign": 3}')
    assert spec.per_minute == {"create_campaign": 3}


def test_variables_are_expanded_everywhere_and_may_have_a_default(tmp_path):
    spec = entry(
        tmp_path,
        '"command": "${BIN}", "args": ["--t=${env:TOKEN}"], "cwd": "${DIR:-sub}",'
        '"env": {"A": "${NONE:-x y}", "N": 5}',
        BIN="serve",
        TOKEN=TOKEN,
    )
    assert (spec.command, spec.args) == ("serve", (f"--t={TOKEN}",))
    assert spec.env == {"A": "x y", "N": "5"}
    assert spec.cwd == str(tmp_path / "sub")


@pytest.mark.parametrize("key", ["url", "baseUrl"])
def test_an_http_server_accepts_headers_and_a_bearer_token(tmp_path, key):
    spec = entry(
        tmp_path,
        f'"{key}": "https://x.example/mcp", "bearerTokenEnv": "T", "headers": {{"X-A": "b"}}',
        T=TOKEN,
    )
    assert (spec.transport, spec.url) == ("http", "https://x.example/mcp")
    assert spec.headers == {"X-A": "b", "Authorization": f"Bearer {TOKEN}"}


def test_an_authorization_header_takes_precedence_over_the_token(tmp_path):
    fields = '"url": "https://x.example", "bearerToken": "other", "headers": {"authorization": "Basic abc"}'
    assert entry(tmp_path, fields).headers == {"authorization": "Basic abc"}


def test_no_secret_appears_in_a_spec_or_in_redacted_text(tmp_path):
    fields = (
        '"url": "https://x.example/mcp?key=${T}", "bearerToken": "${T}", "env": {"PASSWORD": "hunter-hunter"}'
    )
    spec = entry(tmp_path, fields, T=TOKEN)
    assert TOKEN not in repr(spec)
    assert "hunter" not in repr(spec)
    assert spec.redact(f"cannot use {TOKEN} and hunter-hunter") == "cannot use *** and ***"


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ('"command": "x", "concurrency": 0', "concurrency", "must be a whole number of at least 1"),
        ('"command": "x", "concurrency": true', "concurrency", "must be a whole number of at least 1"),
        ('"command": "x", "perMinute": "60"', "perMinute", "must be a whole number of at least 1"),
        ('"command": "x", "perMinute": {"a": 0}', "perMinute", "for a: must be a whole number of at least 1"),
        ('"command": "x", "timeout": -1', "timeout", "must be a number of seconds above 0"),
        ('"command": "x", "source": "real"', "source", "must be one of live, local, simulated"),
        ('"command": "x", "args": "-v"', "args", "must be a list of strings"),
        ('"command": "x", "args": ["-v", 3]', "args.1", "must be text in quotes"),
        ('"command": "x", "env": {"A": null}', "env.A", "must be text in quotes"),
        ('"command": 5', "command", "must be text in quotes"),
        ('"url": "ftp://x"', "url", "must be an http or https address"),
        ('"args": []', "", "must name a command, or a url"),
        ('"command": "x", "url": "https://x"', "", "either a command or a url, not both"),
        ('"url": "https://x", "type": "sse"', "", "streamable HTTP"),
        ('"command": "x", "args": ["${NOPE}"]', "args.0", "needs the environment variable NOPE"),
        ('"url": "https://x", "headers": {"K": "${NOPE}"}', "headers.K", "environment variable NOPE"),
        ('"url": "https://x", "bearerTokenEnv": "NOPE"', "bearerTokenEnv", "environment variable NOPE"),
    ],
)
def test_an_error_names_its_field_and_the_allowed_values(tmp_path, fields, field, message):
    where, said = fault(tmp_path, fields)
    assert where == f"mcpServers.ttd.{field}".rstrip(".")
    assert message in said


def test_all_errors_are_reported_together(tmp_path):
    text = (
        '{"mcpServers": {"ttd": {"command": "x", "timeout": 0}, "asana-v2": {"url": "x"}, "google-docs": 5}}'
    )
    assert set(problems(tmp_path, text)) == {
        "mcpServers.ttd.timeout",
        "mcpServers.asana-v2.url",
        "mcpServers.google-docs",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object of servers"),
        ('{"servers": {}}', "must be an object of servers"),
        ('{"mcpServers": {"ttd": {"command": "a"}, "ttd": {"command": "b"}}}', "is not JSON"),
        ("[" * 5000, "is"),
    ],
)
def test_a_file_that_is_not_a_servers_file_is_refused_as_such(tmp_path, text, message):
    assert message in next(iter(problems(tmp_path, text).values()))


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(BrokenServersFile, match="cannot be read"):
        load_servers(tmp_path / "none.json", ROLES, BUNDLED)


def test_unknown_roles_are_ignored_and_misspelled_fields_are_reported(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    text = '{"mcpServers": {"asana": {"command": "a"}, "ttd": {"command": "b", "concurency": 3}}}'
    servers = load(tmp_path, text)
    assert set(servers.unused) == {"asana"}
    assert servers["asana-v2"].bundled
    assert servers.warnings == [
        "mcpServers.asana matches no role and is not used; did you mean asana-v2?",
        "mcpServers.ttd.concurency is not known; did you mean concurrency?",
    ]
    assert "did you mean concurrency" in caplog.text

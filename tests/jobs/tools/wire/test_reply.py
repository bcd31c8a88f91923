"""How an answer is interpreted: replies, the wording of failures, and ids wherever servers put them."""

import json

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from jobs.engine.results import Source
from jobs.tools.contract import errors, wording
from jobs.tools.contract.policy import ToolPolicy, marker
from jobs.tools.contract.spec import ServerSpec
from jobs.tools.contract.tool import Tool
from jobs.tools.wire.reading import protocol_error, read_result
from jobs.tools.wire.trace import Trace

SECRET = "sk-secret-9876543210"
SPEC = ServerSpec("asana-v2", "stdio", 1, 5.0, Source.LIVE, secrets=frozenset({SECRET}))
TOOL = Tool("asana-v2", "make", {"type": "object"})
WRITES = ToolPolicy()
READS = ToolPolicy(writes=False)


def read(text: str = "", policy: ToolPolicy = WRITES, tool: Tool = TOOL, error: bool = False, **fields):
    """Return the reply that a result with this text becomes."""
    content = [types.TextContent(type="text", text=text)] if text else []
    return read_result(types.CallToolResult(content=content, is_error=error, **fields), tool, policy, SPEC)


@pytest.mark.parametrize(
    ("text", "structured"),
    [
        ('{"id": "7", "url": "u"}', None),
        ('{"gid": 7, "permalink_url": "u"}', None),
        ('{"data": {"gid": "7", "permalink_url": "u"}}', None),
        ("made", {"id": "7", "url": "u"}),
        ("", {"result": {"id": "7", "url": "u"}}),
        ("", {"result": '{"id": "7", "url": "u"}'}),
    ],
)
def test_id_and_url_are_found_in_every_form_of_answer(text, structured):
    reply = read(text, structured_content=structured)
    assert (reply.remote_id, reply.remote_url, reply.source) == ("7", "u", Source.LIVE)


@pytest.mark.parametrize("form", ["text", "structured"])
def test_an_answer_can_be_stored_in_every_database(form):
    answer = '{"id": "7\\u0000", "name": "\\ud800x", "score": NaN, "rows": [["\\u0000", -Infinity]]}'
    reply = read(answer) if form == "text" else read("a\0b\ud800", structured_content=json.loads(answer))
    assert reply.data == {"id": "7", "name": "?x", "score": None, "rows": [["", None]]}
    assert reply.remote_id == "7"
    assert "\0" not in reply.text
    assert reply.text.encode()


def test_a_read_may_return_a_list_or_plain_text():
    assert read("[1, 2]", READS).data == {"items": [1, 2]}
    assert (read("hello", READS).data, read("hello", READS).text) == ({}, "hello")
    assert read("{broken", READS).data == {}


@pytest.mark.parametrize("text", ["", "done", "{}", '{"id": ""}', '{"id": null}', '{"name": "x"}', "[]"])
def test_a_write_whose_answer_has_no_id_is_ambiguous(text):
    with pytest.raises(errors.BadReply, match="does not name what was made"):
        read(text)


def test_a_policy_may_accept_plain_text_or_an_image_as_success():
    assert read("Successfully wrote", ToolPolicy(plain_text=True)).text == "Successfully wrote"
    assert read('{"path": "/a.png"}', ToolPolicy(image=True)).data == {"path": "/a.png"}
    with pytest.raises(errors.BadReply):
        read('{"width": 5}', ToolPolicy(image=True))


def test_an_image_that_cannot_be_decoded_is_ambiguous():
    broken = types.ImageContent(type="image", data="%%%", mime_type="image/png")
    with pytest.raises(errors.BadReply, match="decoded"):
        read_result(types.CallToolResult(content=[broken]), TOOL, ToolPolicy(image=True), SPEC)


@pytest.mark.parametrize(
    ("text", "is_error", "seconds"),
    [
        ("429 Too Many Requests", True, None),
        ("Error: Too Many Requests. Retry-After: 12", True, 12.0),
        ("Rate limit exceeded, retry after 2.5 seconds", True, 2.5),
        ("rate_limit_error: try again in 1500 ms", True, 1.5),
        ("Quota exceeded for quota metric, please wait 2 minutes", True, 120.0),
        ('{"error": {"code": 429, "retry_after": 3}}', False, 3.0),
        ('{"error": {"code": 429, "retry_after": 3}}', True, 3.0),
        ('{"error": {"code": 429}}', False, None),
        ('{"error": "Rate limit. Retry-After: 4"}', False, 4.0),
    ],
)
def test_a_rate_limit_is_recognized_in_every_wording(text, is_error, seconds):
    with pytest.raises(errors.RateLimited) as limited:
        read(text, error=is_error)
    assert limited.value.retry_after == seconds
    assert limited.value.retryable


def test_words_about_limits_in_a_success_are_not_a_rate_limit():
    reply = read('{"id": "429", "name": "Quota rate limit 429 Too Many Requests"}')
    assert reply.remote_id == "429"


@pytest.mark.parametrize("text", ["id 14290 not found", "budget is 1.429", "no such project 4291"])
def test_a_number_that_only_contains_429_is_not_a_rate_limit(text):
    with pytest.raises(errors.ToolFailed):
        read(text, error=True)


def test_an_error_key_means_failure_without_is_error_unless_it_is_empty():
    with pytest.raises(errors.ToolFailed, match="asana-v2 make: Not a project"):
        read('{"error": "Not a project", "id": "5"}')
    assert read('{"error": null, "id": "5"}').remote_id == "5"


@pytest.mark.parametrize(
    "text",
    [
        'Document created but content failed: {"id": "doc_1", "url": "https://d/doc_1"} 429 quota',
        "Created document (ID: doc_1) https://d/doc_1 but markdown could not be applied",
    ],
)
def test_an_error_that_names_an_existing_item_keeps_its_id_and_is_not_retried(text):
    with pytest.raises(errors.ToolFailed) as failed:
        read(text, ToolPolicy(error_may_name_effect=True), error=True)
    assert failed.value.reply.remote_id == "doc_1"
    assert failed.value.reply.remote_url == "https://d/doc_1"
    assert not failed.value.retryable


def test_an_unknown_tool_is_distinguished_from_a_failure():
    for text in ("Unknown tool: make", "MCP error -32602: Tool make not found"):
        with pytest.raises(errors.UnknownTool):
            read(text, error=True)


def test_messages_hide_secrets_and_fit_on_one_line():
    with pytest.raises(errors.ToolFailed) as failed:
        read(f"bad token {SECRET}\n\nTraceback\x1b[31m " + "x" * 5000, error=True)
    assert SECRET not in failed.value.message
    assert "\n" not in failed.value.message
    assert "\x1b" not in failed.value.message
    assert len(failed.value.message) <= 300


def test_answers_are_checked_by_the_tools_schema_unless_that_is_broken():
    promise = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
    strict = Tool("s", "make", {}, promise)
    assert read(tool=strict, structured_content={"id": "5"}).remote_id == "5"
    for structured in (None, {"id": 5}):
        with pytest.raises(errors.BadReply, match="own schema"):
            read('{"id": "5"}', tool=strict, structured_content=structured)
    nonsense = Tool("s", "make", {"properties": 5}, {"type": "no such type"})
    assert read(tool=nonsense, structured_content={"id": "5"}).remote_id == "5"


@pytest.mark.parametrize(
    ("code", "message", "trace", "expected"),
    [
        (-32000, "Connection closed", Trace(sent=True), errors.ConnectionLost),
        (-32000, "Connection closed", Trace(sent=False), errors.ServerUnavailable),
        (-32001, "timed out", Trace(sent=True), errors.TimedOut),
        (-32602, "name is wrong", Trace(sent=True), errors.InvalidArguments),
        (-32602, "Unknown tool: x", Trace(sent=True), errors.UnknownTool),
        (-32601, "Method not found", Trace(sent=True), errors.UnknownTool),
        (-32603, "internal", Trace(sent=True), errors.ServerFault),
        (-32603, "rate limit, retry after 3 s", Trace(sent=True), errors.RateLimited),
        (0, "anything", Trace(sent=True), errors.ServerFault),
        (-32603, "x", Trace(sent=True, status=429, retry_after=3.0), errors.RateLimited),
        (-32603, "x", Trace(sent=True, status=503), errors.ServerFault),
        (-32603, "x", Trace(sent=True, status=401), errors.ToolFailed),
        (-32600, "Session terminated", Trace(sent=True, status=404), errors.ServerUnavailable),
        (-32000, "Bad Request: No valid session ID", Trace(sent=True, status=400), errors.ServerUnavailable),
        (-32600, "Unexpected content type: text/html", Trace(sent=True, status=200), errors.BadReply),
        (-32600, "Redirect to https://x not followed", Trace(sent=True, status=302), errors.ToolFailed),
        (-32602, "name is wrong", Trace(sent=True, status=400), errors.InvalidArguments),
    ],
)
def test_the_class_of_a_protocol_error_shows_whether_the_effect_may_exist(code, message, trace, expected):
    assert type(protocol_error(SPEC, "make", MCPError(code, message), trace)) is expected


@pytest.mark.parametrize(
    ("status", "over"), [(500, True), (501, True), (502, False), (503, False), (504, False), (524, False)]
)
def test_a_status_that_proxies_also_send_does_not_prove_that_the_server_is_done(status, over):
    trace = Trace(sent=True, status=status)
    assert protocol_error(SPEC, "make", MCPError(-32603, "x"), trace).over is over


def test_the_waiting_time_is_found_anywhere_in_an_answer():
    assert wording.seconds_to_wait({"retryAfter": "9"}) == 9.0
    assert wording.seconds_to_wait({"message": "retry after 4 seconds"}) == 4.0
    assert wording.seconds_to_wait("no time is given") is None


def test_the_marker_of_a_key_is_short_and_stable():
    assert marker("0123456789abcdef" * 2) == "fp-0123456789ab"


@pytest.mark.parametrize(
    ("text", "outage"),
    [
        ("503 Service Unavailable", True),
        ("Request failed with status code 502", True),
        ("HTTP 500: try again", True),
        ("Internal Server Error", True),
        ("The service is temporarily unavailable", True),
        ("budget 500 is above the limit", False),
        ("name has more than 512 characters", False),
        ("no advertiser 5033", False),
        ("invalid keyword", False),
    ],
)
def test_an_outage_is_distinguished_from_a_refusal(text, outage):
    assert wording.is_outage(text) is outage

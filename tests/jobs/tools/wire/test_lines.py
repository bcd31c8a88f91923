"""Lines of stdout: cut in linear time, bounded in memory, answerable when broken."""

import json
import random
import time

import mcp_types as types
import pytest

from jobs.tools.wire.lines import Broken, Endless, LineSplitter, read_line

ANSWER = b'{"jsonrpc":"2.0","id":5,"result":{"content":[]}}'


def test_lines_are_complete_for_any_split_into_chunks():
    lines = [json.dumps({"n": n, "text": "é" * n}, ensure_ascii=False).encode() for n in range(60)]
    stream = b"\n".join(lines) + b"\n"
    dice = random.Random(1)
    splitter, found = LineSplitter(), []
    while stream:
        cut = dice.randrange(1, 40)
        found += splitter.feed(stream[:cut])
        stream = stream[cut:]
    assert found == [(line, True) for line in lines]


def test_a_long_line_in_small_chunks_is_read_in_linear_time():
    def seconds(megabytes: int) -> float:
        splitter, began = LineSplitter(), time.thread_time()
        for _ in range(megabytes * 16):
            assert list(splitter.feed(b"x" * 65536)) == []
        assert [len(line) for line, _ in splitter.feed(b"\n")] == [megabytes << 20]
        return time.thread_time() - began

    def least(megabytes: int) -> float:
        return min(seconds(megabytes) for _ in range(3))

    assert least(12) < 60 * max(least(1), 0.001)


def test_an_oversized_line_keeps_only_its_ends_and_the_next_line_is_complete():
    splitter = LineSplitter(largest=100)
    found = [*splitter.feed(b"a" * 90), *splitter.feed(b"b" * 90_000), *splitter.feed(b"\nnext\n")]
    assert [whole for _, whole in found] == [False, True]
    assert len(found[0][0]) < 20_000
    assert found[1][0] == b"next"


def test_reading_an_endless_line_is_given_up():
    splitter = LineSplitter(largest=10)
    with pytest.raises(Endless):
        for _ in range(200):
            list(splitter.feed(b"x" * 1_000_000))


def test_answers_are_read_and_noise_is_ignored():
    assert isinstance(read_line(ANSWER), types.JSONRPCResponse)
    notice = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"id":5}}'
    for noise in (b"", b"Server started", b"\xff\xfe", b"{not json", notice, b'"id"', b'["id"]'):
        assert read_line(noise) is None
    ping = read_line(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert isinstance(ping, types.JSONRPCRequest)


@pytest.mark.parametrize(
    "line",
    [
        ANSWER[:-4],
        ANSWER.replace(b"[]", b'["\xff"]'),
        b'{"jsonrpc":"2.0","id":5}',
        b'{"id":5,"result":7}',
        b'{"result":{"content":["\xff"]},"jsonrpc":"2.0","id":5}',
        b'{"result":{"content":["\xff"]},"id":"5","jsonrpc":"2.0"}',
    ],
)
def test_a_broken_answer_is_an_error_for_the_request_it_names(line):
    error = read_line(line)
    assert isinstance(error, types.JSONRPCError)
    assert error.id == 5
    assert isinstance(error.error.data, Broken)


def test_an_id_inside_a_broken_answer_belongs_to_no_request():
    assert read_line(b'{"result":{"id":7,"name":"\xff"},"jsonrpc":"2.0","id":') is None


def test_an_oversized_answer_is_an_error_for_its_request():
    splitter = LineSplitter(largest=1000)
    [(line, whole)] = splitter.feed(ANSWER.replace(b"[]", b'["' + b"x" * 5000 + b'"]') + b"\n")
    error = read_line(line, whole=whole)
    assert error.id == 5
    assert error.error.message == "the answer is too large"


@pytest.mark.parametrize("item", [b"[]", b'{"a":1}', b'"aa"', b'{"type":"text","text":""}'])
def test_a_line_with_too_many_values_is_not_parsed_although_it_is_short_enough(item: bytes):
    line = b'{"jsonrpc":"2.0","id":5,"result":{"content":[' + b",".join([item] * 600_000) + b"]}}"
    began = time.thread_time()
    message = read_line(line)
    assert time.thread_time() - began < 0.5
    assert isinstance(message, types.JSONRPCError) and message.id == 5
    assert "too large" in message.error.message


def test_a_long_look_up_result_is_read():
    items = b",".join([b'{"gid":"1","name":"a, b","notes":"[x] {y}"}'] * 10_000)
    message = read_line(b'{"jsonrpc":"2.0","id":5,"result":{"items":[' + items + b"]}}")
    assert isinstance(message, types.JSONRPCResponse)

"""Forwarded headers: the client's address and scheme, as told by trusted proxies only."""

from ipaddress import ip_network

import pytest

from config.proxies import ProxyHeaders

PROXY = "10.0.0.1"


async def seen(trusted, peer, headers=(), kind="http", **more):
    """Return the scope that the application gets for a request from this peer."""
    found = []

    async def app(scope, receive, send):
        found.append(scope)

    networks = [word if word == "unix" else ip_network(word) for word in trusted]
    client = [peer, 4711] if peer else None
    raw = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": kind, "headers": raw, "client": client, "root_path": "", **more}
    if kind == "http":
        scope.setdefault("scheme", "http")
    await ProxyHeaders(app, networks)(scope, None, None)
    return found[0]


FORWARDED = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https")]


@pytest.mark.parametrize(
    ("kind", "scheme", "secure"), [("http", "http", "https"), ("websocket", "ws", "wss")]
)
async def test_headers_count_from_a_trusted_proxy_only(kind, scheme, secure):
    scope = await seen([PROXY], PROXY, FORWARDED, kind)
    assert (scope["client"], scope["scheme"]) == (["203.0.113.7", 0], secure)
    scope = await seen([PROXY], "10.0.0.2", FORWARDED, kind)
    assert (scope["client"], scope["scheme"]) == (["10.0.0.2", 4711], scheme)
    scope = await seen([], PROXY, FORWARDED, kind)
    assert (scope["client"], scope["scheme"]) == ([PROXY, 4711], scheme)


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        (["10.0.0.0/8"], "10.9.9.9", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.1"], "::ffff:10.0.0.1", True),
        (["::1"], "::1", True),
        (["fd00::/8"], "fd12::3", True),
        (["0.0.0.0/0"], "::1", False),
        (["unix"], None, True),
        (["unix"], "127.0.0.1", False),
        (["127.0.0.1"], None, False),
        (["unix"], "not an address", False),
    ],
)
async def test_a_peer_is_trusted_by_its_address_or_as_a_unix_socket(trusted, peer, believed):
    scope = await seen(trusted, peer, FORWARDED)
    assert (scope["scheme"] == "https") == believed
    assert (scope["client"] == ["203.0.113.7", 0]) == believed


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["198.51.100.1, 203.0.113.7"], "203.0.113.7"),  # the client wrote the first
        (["203.0.113.7, 10.0.0.3"], "203.0.113.7"),  # two proxies in a row
        (["203.0.113.7", "10.0.0.3"], "203.0.113.7"),  # in two headers
        (["10.0.0.4, 10.0.0.3"], "10.0.0.4"),  # the client is inside
        (["203.0.113.7:5678"], "203.0.113.7"),
        (["[2001:db8::1]:5678"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["203.0.113.7, unknown, 10.0.0.3"], "10.0.0.3"),
        (["unknown"], PROXY),
        ([" , "], PROXY),
        ([], PROXY),
    ],
)
async def test_the_client_is_the_nearest_hop_that_is_no_trusted_proxy(hops, client):
    scope = await seen(["10.0.0.0/24"], PROXY, [("x-forwarded-for", hop) for hop in hops])
    assert scope["client"][0] == client


@pytest.mark.parametrize(
    ("hops", "protocols", "scheme"),
    [
        ("203.0.113.7", "https", "https"),
        ("203.0.113.7", "HTTPS", "https"),
        ("203.0.113.7", "http", "http"),
        ("203.0.113.7", "gopher", "http"),
        ("203.0.113.7, 10.0.0.3", "https, http", "https"),  # TLS ends at the outer proxy
        ("198.51.100.1, 203.0.113.7, 10.0.0.3", "http, https, http", "https"),
        ("203.0.113.7", "http, https", "https"),  # the client wrote the first
        ("", "https", "https"),
    ],
)
async def test_the_scheme_is_that_of_the_clients_own_connection(hops, protocols, scheme):
    headers = [("x-forwarded-for", hops), ("x-forwarded-proto", protocols)]
    assert (await seen(["10.0.0.0/24"], PROXY, headers))["scheme"] == scheme


@pytest.mark.parametrize("trusted", [[], [PROXY]])
async def test_no_forwarded_header_reaches_the_application(trusted):
    others = [("X-Forwarded-Host", "evil.example"), ("forwarded", "for=1.2.3.4"), ("x-real-ip", "1.2.3.4")]
    scope = await seen(trusted, PROXY, [*FORWARDED, *others, ("host", "here")])
    assert scope["headers"] == [(b"host", b"here")]


async def test_a_root_path_from_a_header_of_the_client_is_ignored():
    assert (await seen([], PROXY, root_path="/evil"))["root_path"] == ""


async def test_a_scope_of_another_type_passes_unchanged():
    passed = []

    async def app(scope, receive, send):
        passed.append(scope)

    scope = {"type": "lifespan"}
    await ProxyHeaders(app, [])(scope, None, None)
    assert passed == [scope] and passed[0] is scope

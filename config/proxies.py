"""Behind a proxy: which forwarded headers are believed, and the page for a form that is refused."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from config.environment import UNIX, Network

Address = IPv4Address | IPv6Address
FOR, PROTO = b"x-forwarded-for", b"x-forwarded-proto"
FORWARDED = {FOR, PROTO, b"x-forwarded-host", b"x-forwarded-port", b"forwarded", b"x-real-ip"}
SCHEMES = {"http": ("http", "https"), "websocket": ("ws", "wss")}


class ProxyHeaders:
    """ASGI middleware that puts the client's address and scheme into the scope.

    X-Forwarded-For and X-Forwarded-Proto count only if the peer is one of `trusted`; "unix" in it stands
    for peers of a Unix socket, which have no address. No forwarded header reaches the application. The
    scope's root path is emptied, because Daphne takes it from a header of the client.
    """

    def __init__(self, app: Any, trusted: Iterable[Network | str]) -> None:
        self.app = app
        trusted = list(trusted)
        self._unix = UNIX in trusted
        self._networks = [network for network in trusted if not isinstance(network, str)]

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Call the application with the scope as the client, not the proxy, connected."""
        if scope["type"] in SCHEMES:
            scope = self._seen(scope)
        return await self.app(scope, receive, send)

    def _seen(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        kept = [(name, value) for name, value in headers if name not in FORWARDED]
        plain, secure = SCHEMES[scope["type"]]
        seen = dict(scope, headers=kept, root_path="", scheme=scope.get("scheme") or plain)
        peer = _address(scope["client"][0]) if scope.get("client") else None
        if not (self._trusts(peer) if peer else self._unix and not scope.get("client")):
            return seen
        hops, protocols = _values(headers, FOR), _values(headers, PROTO)
        client, at = self._client(hops)
        if client:
            seen["client"] = [str(client), 0]
        if protocols:
            # with an entry for each hop, the entry of the client's own connection counts
            protocol = protocols[at if len(protocols) == len(hops) else -1].lower()
            seen["scheme"] = {"http": plain, "https": secure, "ws": plain, "wss": secure}.get(
                protocol, seen["scheme"]
            )
        return seen

    def _client(self, hops: list[str]) -> tuple[Address | None, int]:
        """Return the nearest address that is no trusted proxy, with its index.

        Each proxy appends its peer, so what is left of an untrusted address was written by that client.
        """
        client, at = None, -1
        for index in reversed(range(len(hops))):
            address = _address(hops[index])
            if address is None:
                break
            client, at = address, index
            if not self._trusts(address):
                break
        return client, at

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return the page for a form that failed the CSRF check; for a foreign origin it names the settings."""
    foreign = reason.startswith(("Origin checking failed", "Referer checking failed"))
    return render(request, "403_csrf.html", {"foreign": foreign}, status=403)


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Return the items of a header that is a comma-separated list and may occur several times."""
    text = ",".join(value.decode("latin1") for key, value in headers if key == name)
    return [item.strip() for item in text.split(",") if item.strip()]


def _address(text: str) -> Address | None:
    """Return the address of `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`, or None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

"""The origin check of WebSockets. Browsers send cookies with any page's socket, so only ours may connect."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host

PORTS = {"http": 80, "https": 443}
FITTING = {("http", "ws"), ("https", "ws"), ("https", "wss")}


class OwnOriginOnly:
    """ASGI middleware for sockets: refuses the handshake (403) unless a page of this site opened it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Pass the connection on, or refuse it."""
        app = self.inner if is_own_origin(scope) else WebsocketDenier()
        return await app(scope, receive, send)


def is_own_origin(scope: dict[str, Any]) -> bool:
    """Return whether the connection's Origin is the host and port it was sent to, or a trusted origin.

    A missing Origin, "null" and another port of the same host are refused. The host itself must be in
    ALLOWED_HOSTS, so that a foreign name that resolves to this machine is refused too.
    """
    headers = dict(scope.get("headers", ()))
    host = headers.get(b"host", b"").decode("latin1").lower()
    try:
        origin = urlsplit(headers.get(b"origin", b"").decode("latin1").lower())
        here = urlsplit(f"{scope.get('scheme') or 'ws'}://{host}")
        return (_allowed(host) and _same(origin, here)) or _trusted(origin, settings.CSRF_TRUSTED_ORIGINS)
    except ValueError:  # an invalid port or address
        return False


def _allowed(host: str) -> bool:
    allowed = settings.ALLOWED_HOSTS
    if settings.DEBUG and not allowed:
        allowed = [".localhost", "127.0.0.1", "[::1]"]
    name, _ = split_domain_port(host)
    return bool(name) and validate_host(name, allowed)


def _same(origin: SplitResult, here: SplitResult) -> bool:
    """Compare hosts and ports. A TLS proxy passes on plain ws, so the page's scheme sets the default port."""
    if (origin.scheme, here.scheme) not in FITTING:
        return False
    default = PORTS[origin.scheme]
    return origin.hostname == here.hostname and (origin.port or default) == (here.port or default)


def _trusted(origin: SplitResult, patterns: Iterable[str]) -> bool:
    """Look the origin up in CSRF_TRUSTED_ORIGINS, which may hold "https://*.example.com"."""
    for pattern in map(urlsplit, patterns):
        host, name = pattern.hostname or "", origin.hostname or ""
        fits = name.endswith(host[1:]) if host.startswith("*.") else name == host
        if name and fits and (pattern.scheme, pattern.port) == (origin.scheme, origin.port):
            return True
    return False

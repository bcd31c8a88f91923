"""Where deliveries may go: which URLs are allowed, and which IP addresses their names may resolve to."""

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import httpx2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LONGEST = 500
PORTS = {"https": 443, "http": 80}


def _networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(one) for one in text.split()]


# what a superuser can allow: private networks, this machine, carrier-grade NAT
INSIDE = _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.0/8 100.64.0.0/10 ::1/128 fc00::/7")
# cloud metadata services outside the link-local networks, which may reveal keys: never allowed
METADATA = _networks("100.100.100.200/32 168.63.129.16/32 fd00:ec2::254/128 fd20:ce::254/128")
# some versions of Python call these global; they are for protocols, relays and examples
SPECIAL = _networks(
    "192.0.0.0/24 192.88.99.0/24 224.0.0.0/4 240.0.0.0/4 2001::/23 2001:db8::/32 3fff::/20 5f00::/16"
)
UNICAST = ipaddress.ip_network("2000::/3")  # all that is assigned on the public internet
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(ValueError):
    """The URL is not allowed; the message says why, without any IP address found by a look-up."""


@dataclass(frozen=True)
class Target:
    """A URL parsed once, so that what is checked is what is reached.

    `host` is in ASCII, without brackets and final dot; `authority` is the value of the Host header.
    """

    url: httpx2.URL
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Return the host, with the port unless it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.url.scheme] else f"{host}:{self.port}"

    def at(self, address: str) -> httpx2.URL:
        """Return the URL with this IP address instead of the host name."""
        return self.url.copy_with(host=address)


def target(url: str, *, allow_private: bool) -> Target:
    """Parse a URL. Raises Refused if it is not allowed. Does not query DNS."""
    if len(url) > LONGEST:
        raise Refused(f"Enter at most {LONGEST} characters.")
    if re.search(r"[\s\\\x00-\x20\x7f]", url):
        raise Refused("A web address cannot contain spaces, line breaks or backslashes.")
    try:
        parsed = httpx2.URL(url)
        host = parsed.raw_host.decode("ascii").strip("[]").rstrip(".").lower()
    except (httpx2.InvalidURL, UnicodeError):
        raise Refused("Enter a valid web address.") from None
    if parsed.scheme not in PORTS or not host:
        raise Refused("A web address starts with https:// and a host.")
    if parsed.scheme == "http" and not allow_private:
        raise Refused("A web address starts with https://; http is only for addresses on a private network.")
    if re.match(r"[^/?#]*//[^/?#]*@", url):
        raise Refused("A web address cannot contain a user name or password.")
    if parsed.fragment:
        raise Refused("Remove the part after the #: it would not be sent.")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise Refused("A port is a number from 1 to 65535.")
    _check_host(host, allow_private)
    return Target(parsed, host, parsed.port or PORTS[parsed.scheme])


def _check_host(host: str, allow_private: bool) -> None:
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        if re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*", host):
            raise Refused("An IP address is written as four decimal numbers.") from None
        if not re.fullmatch(r"[a-z0-9_.-]+", host):
            raise Refused("A host is a name of letters, digits, dots and dashes, or an IP address.") from None
        if re.fullmatch(r"(.+\.)?localhost", host) and not allow_private:
            raise Refused(OUTSIDE_ONLY) from None
        return
    if not may_reach(str(literal), allow_private=allow_private):
        raise Refused(OUTSIDE_ONLY if not allow_private else NEVER)


OUTSIDE_ONLY = "This is not on the public internet. A superuser can allow addresses on a private network."
NEVER = "This is neither on the public internet nor a usual address on a private network."


def may_reach(address: str, *, allow_private: bool) -> bool:
    """Return whether deliveries may go to an IP address: a public one, or a private one if that is allowed.

    Link-local, multicast, reserved and metadata addresses are never allowed.
    """
    try:
        ip = _unwrapped(ipaddress.ip_address(address))
    except ValueError:
        return False
    if _in(ip, METADATA):
        return False
    return _public(ip) or (allow_private and _in(ip, INSIDE))


def _unwrapped(ip: Address) -> Address:
    """Return the IPv4 address inside an IPv6 address (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _public(ip: Address) -> bool:
    if _in(ip, SPECIAL) or ip.is_multicast:
        return False
    return ip.is_global and (ip.version == 4 or ip in UNICAST)


def _in(ip: Address, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(ip in network for network in networks)


def resolve(host: str, port: int) -> list[str]:
    """Return a host's IP addresses from DNS, in the order to try them. Blocks; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def check(addresses: list[str], *, allow_private: bool) -> None:
    """Raise Refused unless a name has IP addresses and all of them are allowed."""
    if not addresses:
        raise Refused("The name has no IP address.")
    if not all(may_reach(one, allow_private=allow_private) for one in addresses):
        raise Refused(NEVER if allow_private else OUTSIDE_ONLY)

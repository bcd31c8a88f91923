"""Where a POST of ours may go: what a URL may say, and which IP addresses are reached under its name."""

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


# what an admin may open: a house's own networks, this machine, carrier-grade NAT
INSIDE = _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.0/8 100.64.0.0/10 ::1/128 fc00::/7")
# what clouds tell a machine about itself, keys too, outside of the link-local networks: never
METADATA = _networks("100.100.100.200/32 168.63.129.16/32 fd00:ec2::254/128 fd20:ce::254/128")
# Python calls these global, or did in some versions; they are protocols' own, relays and examples
SPECIAL = _networks(
    "192.0.0.0/24 192.88.99.0/24 224.0.0.0/4 240.0.0.0/4 2001::/23 2001:db8::/32 3fff::/20 5f00::/16"
)
UNICAST = ipaddress.ip_network("2000::/3")  # all that is given out on the public internet
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(ValueError):
    """Nothing is sent there; the message says why and names no address that a look-up has found."""


@dataclass(frozen=True)
class Target:
    """A URL taken apart once, so that what is checked is what is reached.

    `host` is in ASCII, without brackets and final dot; `authority` is what stands in the Host header.
    """

    url: httpx2.URL
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Give the host and, where it is not the scheme's own, the port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.url.scheme] else f"{host}:{self.port}"

    def at(self, address: str) -> httpx2.URL:
        """Give the URL with this IP address in the place of the name."""
        return self.url.copy_with(host=address)


def target(url: str, *, allow_private: bool) -> Target:
    """Take a URL apart. Raises Refused for one that may not be; asks no name server."""
    if len(url) > LONGEST:
        raise Refused(f"An address has at most {LONGEST} characters.")
    if re.search(r"[\s\\\x00-\x20\x7f]", url):
        raise Refused("An address holds no spaces, no line breaks and no backslashes.")
    try:
        parsed = httpx2.URL(url)
        host = parsed.raw_host.decode("ascii").strip("[]").rstrip(".").lower()
    except (httpx2.InvalidURL, UnicodeError):
        raise Refused("This is no address of a web server.") from None
    if parsed.scheme not in PORTS or not host:
        raise Refused("An address begins with https:// and a host.")
    if parsed.scheme == "http" and not allow_private:
        raise Refused("An address begins with https://; http is for addresses inside the house.")
    if re.match(r"[^/?#]*//[^/?#]*@", url):
        raise Refused("An address holds no user name and no password.")
    if parsed.fragment:
        raise Refused("An address has no part after a #: it would not be sent.")
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


OUTSIDE_ONLY = "This is not on the public internet: a superuser can allow addresses inside the house."
NEVER = "This is neither on the public internet nor a usual address inside a house."


def may_reach(address: str, *, allow_private: bool) -> bool:
    """Tell whether an IP address is on the public internet, or inside the house where that is allowed.

    Link-local, multicast, reserved and metadata addresses are reached in no case.
    """
    try:
        ip = _unwrapped(ipaddress.ip_address(address))
    except ValueError:
        return False
    if _in(ip, METADATA):
        return False
    return _public(ip) or (allow_private and _in(ip, INSIDE))


def _unwrapped(ip: Address) -> Address:
    """Give the IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4), else the address itself."""
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
    """Ask the name servers for a host's IP addresses, in the order to try them. Blocks; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def check(addresses: list[str], *, allow_private: bool) -> None:
    """Raise Refused unless every one of a name's IP addresses may be reached, and there is one."""
    if not addresses:
        raise Refused("The name has no IP address.")
    if not all(may_reach(one, allow_private=allow_private) for one in addresses):
        raise Refused(NEVER if allow_private else OUTSIDE_ONLY)

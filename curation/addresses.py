"""Addresses that this server may call: how they are written, and where they may lead.

Whoever names an address (an endpoint of a model, a webhook) could have this server ask machines
that only it can reach. So an address is read in one strict way, its name is looked up once, every
answer is judged, and the connection goes to an address that was judged.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

PORTS = {"http": 80, "https": 443}
NAT64 = ipaddress.ip_network("64:ff9b::/96")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Space, controls, DEL, backslash and everything beyond ASCII: other readers see other hosts there.
UNSAFE = re.compile(r"[^!-~]|\\")
MAX_NAME = 253
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressError(ValueError):
    """An address that is not called; the text says why, and never what stands behind it."""


class LookUpError(AddressError):
    """A name that the resolver does not know, perhaps only now."""


@dataclass(frozen=True)
class Address:
    """What a grant names: ``host`` is a lower-case name or an IP address in its one spelling."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address itself, so that there is nothing to look up."""
        return literal(self.host) is not None


def parse_address(url: str, *, query: bool = False) -> Address:
    """Scheme, host and port of an http(s) URL; AddressError for any but the plainest spelling.

    ``query`` lets the URL hold one. The port is the scheme's own where the URL names none.
    """
    if UNSAFE.search(url):
        raise AddressError("an address is plain ASCII without spaces, controls or backslashes")
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in PORTS:
        raise AddressError("an address starts with http:// or https://")
    if "#" in rest or ("?" in rest and not query):
        raise AddressError("an address for this holds neither ? nor #")
    netloc = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in netloc or "%" in netloc:
        raise AddressError("an address without a user name, password or % in its host is needed")
    return Address(scheme.lower(), *split_netloc(netloc, PORTS[scheme.lower()]))


def split_netloc(netloc: str, default: int) -> tuple[str, int]:
    """(host, port) of ``host``, ``host:port`` or ``[v6]:port``; AddressError."""
    if netloc.startswith("["):
        host, closed, after = netloc[1:].partition("]")
        if not closed or (after and not after.startswith(":")):
            raise AddressError("an IPv6 address stands in [ ]")
        return plain_v6(host), read_port(after[1:] if after else None, default)
    host, colon, port = netloc.partition(":")
    return plain_host(host), read_port(port if colon else None, default)


def read_port(given: str | None, default: int) -> int:
    """The port as a number; AddressError for one that is none."""
    if given is None:
        return default
    if not re.fullmatch(r"[1-9][0-9]{0,4}", given) or int(given) > 65_535:
        raise AddressError("a port is a number from 1 to 65535")
    return int(given)


def plain_v6(host: str) -> str:
    try:
        ip = ipaddress.IPv6Address(host)
    except ValueError:
        raise AddressError("the IPv6 address cannot be read") from None
    if ip.ipv4_mapped is not None or ip.scope_id:
        raise AddressError("write the IPv4 address itself, and no zone")
    return ip.compressed


def plain_host(host: str) -> str:
    """A name of ASCII labels or a dotted quad, in lower case; AddressError.

    A last label that is a number makes the whole an IPv4 address for a browser or the C library
    (``127.1``, ``0x7f000001``): only the four plain decimals are taken.
    """
    host = host.lower()
    labels = host.split(".")
    if NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise AddressError("an IPv4 address is four plain decimal numbers") from None
    if len(host) > MAX_NAME or not all(LABEL.fullmatch(label) for label in labels):
        raise AddressError("the host's name cannot be read")
    return host


def literal(host: str) -> Ip | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def bracketed(host: str) -> str:
    """A host as a URL writes it."""
    return f"[{host}]" if ":" in host else host


def inner_ip(ip: Ip) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, 6to4, NAT64."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return None
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def is_public(address: str) -> bool:
    """Whether an address stands in the public internet; so must an IPv4 address inside it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if (inner := inner_ip(ip)) is not None:
        return is_public(str(inner))
    if isinstance(ip, ipaddress.IPv6Address) and not 0x20 <= ip.packed[0] < 0x40:
        return False  # only 2000::/3 is handed out
    return ip.is_global and not ip.is_multicast


def is_special(address: str) -> bool:
    """Whether no name should lead there even in a private network: link-local (where clouds keep
    their credentials), multicast, reserved, unspecified."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = inner_ip(ip) or ip
    reserved = ip.is_reserved and not ip.is_loopback  # ::1 is both
    return ip.is_link_local or ip.is_multicast or ip.is_unspecified or reserved


def look_up(address: Address) -> list[str]:
    """The IP addresses of the host, in the resolver's order; AddressError."""
    if address.is_literal:
        return [address.host]
    try:
        answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise LookUpError(f"{address.host} cannot be looked up") from None
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def look_up_checked(address: Address, *, private: bool) -> list[str]:
    """The IP addresses to connect to; AddressError if one of them may not be called.

    With ``private`` a name may lead into a private network or to this machine, and an IP address
    may be any.
    """
    answers = look_up(address)
    if not answers:
        raise LookUpError(f"{address.host} cannot be looked up")
    for ip in answers:
        if is_public(ip) or (private and (address.is_literal or not is_special(ip))):
            continue
        raise AddressError(f"{address.host}: private and local addresses are not called")
    return answers

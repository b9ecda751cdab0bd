"""Keeps outgoing requests away from our own network: which URLs may be called, and at which address.

A name is resolved here once; every answer has to be an address of the public internet, and the connection goes to
the very address that was looked at, so that a second resolution cannot lead elsewhere. Source: ADR-0026.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from domain.errors import Invalid, Unavailable

PRINTABLE = re.compile(r"[!-~]{1,2000}")
NAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE
)
LOOPBACK = re.compile(r"http://127\.0\.0\.1:[0-9]{1,5}(/[!-~]*)?")
NOT_OUTSIDE = tuple(
    ip_network(one)
    for one in (
        "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/23", "::/96", "::ffff:0:0/96", "fec0::/10", "5f00::/16",
        "192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "224.0.0.0/4", "ff00::/8",
    )
)  # fmt: skip
"""Networks that translate to others, or are not for everybody, whatever `is_global` of this Python says of them."""

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Iterable[str]]


class Target(NamedTuple):
    """What may be called. Shapes: `loopback` only where it was allowed by a setting, without TLS."""

    host: str
    port: int
    path: str
    loopback: bool = False


def target(url: str, loopback: bool = False) -> Target:
    """What a URL names: https at port 443 of a named host, and nothing else.

    Shapes: `loopback` also lets http://127.0.0.1:PORT through: for tests and trials only. Raises: Invalid.
    """
    if not PRINTABLE.fullmatch(url) or "\\" in url:
        raise Invalid("a URL is 1 to 2000 printable characters of ASCII without a backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Invalid(f"{url!r} is not a URL") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if loopback and LOOPBACK.fullmatch(url) and port:
        return Target("127.0.0.1", port, path, loopback=True)
    if parts.scheme != "https" or port not in (None, 443) or "@" in parts.netloc or parts.fragment:
        raise Invalid("an endpoint is https://HOST/PATH at port 443, without a user, a password or a fragment")
    if not NAME.fullmatch(parts.hostname or ""):
        raise Invalid("an endpoint is named by a full host name, not by an address or a short name")
    return Target(parts.hostname or "", 443, path)


def outside(address: Address) -> bool:
    """Whether an address is one of the public internet, and no way to another network."""
    return address.is_global and not any(address in one for one in NOT_OUTSIDE if one.version == address.version)


def resolved(host: str, port: int) -> list[str]:
    """Every address of a name, as the system's resolver tells. Raises: Unavailable."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unavailable("the host's name cannot be resolved") from None
    return [str(address[0]) for *_, address in found]


def address_of(wanted: Target, resolve: Resolve = resolved) -> str:
    """The address to connect to. Raises: Invalid when any answer is not outside; Unavailable without an answer."""
    if wanted.loopback:
        return wanted.host
    answers = list(resolve(wanted.host, wanted.port))
    if not answers:
        raise Unavailable("the host's name cannot be resolved")
    for answer in answers:
        if "%" in answer or not outside(ip_address(answer)):
            raise Invalid("the host's name leads to an address that is not of the public internet")
    return answers[0]

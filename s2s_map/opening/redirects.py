"""Where a server may send us: the rule, as functions of hosts and addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

HTTPS = 443
_PORTS = {"http": 80, "https": HTTPS}
_NUMBER = re.compile(r"(?i)0x[0-9a-f]*|\d+")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, order=True)
class Host:
    """A host and port that are asked.

    Attributes:
        name: In lower case, without brackets.
        port: The port.
    """

    name: str
    port: int

    @classmethod
    def of(cls, address: str) -> Host:
        """Return the host of an address of HTTP.

        Raises:
            ValueError: For another address.
        """
        parts = urlsplit(address)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("no address of HTTP")
        return cls(canonical(parts.hostname), parts.port or _PORTS[parts.scheme])

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port in _PORTS.values() else f"{name}:{self.port}"


@dataclass(frozen=True)
class Route:
    """Which hosts may be asked on behalf of one address.

    Attributes:
        origin: The host that the address names.
        others: Further hosts, as the entry has them: HOST (on 80 and 443) or HOST:PORT; a leading
            dot stands for all hosts below.
        named_by: The host of whoever named the address, if that was not the user: a STAC API.
        trusted: Hosts that this machine's own settings name, such as where a cloud gives its
            machines credentials; they may be of a local network.
        is_open: Whether any host may be asked, as by a client that follows no redirects.
    """

    origin: Host
    others: tuple[str, ...] = ()
    named_by: Host | None = None
    trusted: tuple[Host, ...] = ()
    is_open: bool = False

    def names(self, host: Host) -> bool:
        """Return whether a host is the origin, the same on HTTPS, or one of the others."""
        upgraded = Host(self.origin.name, HTTPS) if self.origin.port == 80 else self.origin
        if self.is_open or host in (self.origin, upgraded, *self.trusted):
            return True
        return any(_matches(host, other) for other in self.others)


def _matches(host: Host, other: str) -> bool:
    parts = urlsplit(f"//{other.removeprefix('.')}")
    ports = (80, 443) if parts.port is None else (parts.port,)
    name = canonical(parts.hostname or "")
    same = host.name == name or (other.startswith(".") and host.name.endswith(f".{name}"))
    return same and host.port in ports


def canonical(name: str) -> str:
    """Return a host's name as libraries hand it on: addresses in their usual form."""
    own = literal(name)
    return name.lower().rstrip(".") if own is None else str(own)


def literal(name: str) -> IpAddress | None:
    """Return the IP address that a host's name is, in any form that resolvers take; None if none.

    Examples:
        >>> str(literal("2130706433")), str(literal("0177.0.0.1")), literal("a.test")
        ('127.0.0.1', '127.0.0.1', None)
    """
    try:
        return ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        pass
    parts = name.rstrip(".").split(".")
    if not 1 <= len(parts) <= 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    # As inet_aton has it: hexadecimal and octal parts, the last one fills what is left.
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    last = 256 ** (5 - len(numbers))
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= last:
        return None
    value = numbers[-1] + sum(n * 256 ** (3 - i) for i, n in enumerate(numbers[:-1]))
    return ipaddress.IPv4Address(value)


def _number(text: str) -> int:
    if text.lower().startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") and len(text) > 1 else 10)


def is_public(address: IpAddress) -> bool:
    """Return whether an address is one of the Internet, not of this machine or a local network.

    IPv6 addresses that stand for IPv4 ones (mapped, 6to4, NAT64, Teredo) are judged by those.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and address.teredo is not None:
            inner = address.teredo[1]
        if inner is None and int(address) >> 32 == 0:
            inner = ipaddress.IPv4Address(int(address))
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def is_refused(origin: Iterable[IpAddress], target: Iterable[IpAddress]) -> bool:
    """Return whether a step leads from a public host to a machine or network of ours.

    Args:
        origin: Addresses of the host that sends us; none known counts as public.
        target: Addresses of the host that is to be asked.
    """
    return all(map(is_public, origin)) and not all(map(is_public, target))

"""The way out for libraries that follow redirects by themselves: a proxy of this process.

GDAL and obstore have no setting that forbids redirects. They are set to connect through this
proxy, which opens a connection for a `Route` only to the hosts that it names, and to none of a
local network if the origin is of the Internet. It tunnels HTTPS as it is, without looking inside.
A proxy that the environment names is asked in turn.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import os
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from urllib.parse import SplitResult

from s2s_map.errors import ImageryError
from s2s_map.opening.carrying import Streams, authority, passed_on, pump_both, refuse
from s2s_map.opening.proxies import environment_proxy, proxy_login, take_over_no_proxy
from s2s_map.opening.redirects import (
    Host,
    IpAddress,
    Route,
    is_public,
    is_refused,
    literal,
)
from s2s_map.opening.signs import Connection, SignBook, waits
from s2s_map.redaction.logs import redact_logs

_UNREACHABLE = "cannot reach"


async def resolve(name: str) -> list[IpAddress]:
    """Return the addresses of a host; none if it is not known here."""
    own = literal(name)
    if own is not None:
        return [own]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(ipaddress.ip_address(str(i[4][0]).partition("%")[0]) for i in found))


async def connect(address: IpAddress, port: int) -> Streams:
    """Open a connection."""
    return await asyncio.open_connection(str(address), port)


@dataclass(frozen=True)
class Network:
    """How names become addresses and addresses connections.

    Attributes:
        resolve: Returns the addresses of a host.
        connect: Opens a connection to one of them.
    """

    resolve: Callable[[str], Awaitable[list[IpAddress]]] = resolve
    connect: Callable[[IpAddress, int], Awaitable[Streams]] = connect


class EgressError(Exception):
    """A host that may not be asked, or cannot; its text says why."""

    status = "403 Forbidden"


class UnreachableError(EgressError):
    """A host that cannot be reached."""

    status = "502 Bad Gateway"


class Egress:
    """A proxy on loopback ports, one for each route, for as long as the process lives.

    Args:
        network: How hosts are reached.
    """

    def __init__(self, network: Network | None = None) -> None:
        redact_logs()
        self._network = network or Network()
        self._word = secrets.token_hex(16)
        self._ports: dict[Route, int] = {}
        self._servers: list[object] = []
        self._refusals: dict[Route, str] = {}
        self.signs = SignBook()
        self._was_public: set[str] = set()
        self._tasks: set[object] = set()
        self._lock, self._listening = threading.Lock(), threading.Lock()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="egress", daemon=True).start()

    def proxy(self, route: Route) -> str:
        """Return the address of the proxy for a route, with the word that opens it."""
        take_over_no_proxy(self.proxy)
        # Not the lock that the loop takes: it is waited for in here.
        with self._listening:
            port = self._ports.get(route)
            if port is None:
                port = self._ports[route] = self._listen(route)
        return f"http://route:{self._word}@127.0.0.1:{port}"

    def _listen(self, route: Route) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.start_server(partial(self._handle, route), sock=listening)
        self._servers.append(asyncio.run_coroutine_threadsafe(serving, self._loop).result())
        return int(listening.getsockname()[1])

    def refusal(self, route: Route) -> str | None:
        """Return why a connection of a route was refused last, and forget it."""
        with self._lock:
            return self._refusals.pop(route, None)

    def check(self, route: Route, host: Host) -> None:
        """Check a redirect that another client is about to follow.

        Raises:
            EgressError: For a host that the route does not lead to.
        """
        asyncio.run_coroutine_threadsafe(self._judge(host, route), self._loop).result()

    async def _handle(
        self, route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # The loop itself holds its tasks weakly.
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._answer(route, reader, writer)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(
        self, route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        tunnel = method == "CONNECT"
        host = authority(target) if tunnel else Host.of(target)
        # obstore does not say the word again when it is led to another host. Whoever else asks on
        # this machine gets no further than to such a host, by no proxy that needs a password.
        led = host != route.origin and not route.is_open and environment_proxy(host) is None
        if not self._has_word(lines) and (tunnel or not led):
            await refuse(
                (reader, writer), "407 Proxy Authentication Required", "the word is missing"
            )
            return
        connection = self.signs.begin(route)
        try:
            await self._carry((reader, writer), connection, host, first, lines)
        finally:
            self.signs.end(connection)

    async def _carry(
        self,
        here: Streams,
        connection: Connection,
        host: Host,
        first: str,
        lines: Iterable[str],
    ) -> None:
        method, target, version = first.split(" ")
        route, tunnel = connection[0], method == "CONNECT"
        try:
            there, passed = await self._open(host, route, tunnel=tunnel)
        except EgressError as error:
            with self._lock:
                self._refusals[route] = str(error)
            if isinstance(error, UnreachableError) and not tunnel:
                # As if there were no proxy: an answer would be tried again for long.
                return
            await refuse(here, error.status, str(error))
            return
        if tunnel:
            here[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            there[1].write(passed_on(method, target, version, lines, passed))
        await pump_both(here, there, partial(self.signs.hear, connection, tunnel=tunnel))

    def _has_word(self, lines: Iterable[str]) -> bool:
        for line in lines:
            name, _, value = line.partition(":")
            scheme, _, coded = value.strip().partition(" ")
            if name.lower() == "proxy-authorization" and scheme.lower() == "basic":
                said = base64.b64decode(coded).partition(b":")[2]
                return secrets.compare_digest(said, self._word.encode())
        return False

    async def _open(
        self, host: Host, route: Route, *, tunnel: bool
    ) -> tuple[Streams, SplitResult | None]:
        """Connect to a host if it may be asked; also returns the proxy that was connected to."""
        proxy = environment_proxy(host)
        addresses = await self._judge(host, route)
        if proxy is not None:
            return await self._through(proxy, host, tunnel=tunnel), proxy
        if not addresses:
            raise UnreachableError(f"{_UNREACHABLE} {host}: no such host is known")
        for address in addresses:
            try:
                return await asyncio.wait_for(
                    self._network.connect(address, host.port), waits("GDAL_HTTP_CONNECTTIMEOUT")
                ), None
            except (OSError, TimeoutError):
                continue
        raise UnreachableError(f"{_UNREACHABLE} {host}")

    async def _judge(self, host: Host, route: Route) -> list[IpAddress]:
        """Return the addresses of a host that may be asked.

        Raises:
            EgressError: For another host, or a step from the Internet into a local network.
        """
        if not route.names(host):
            raise EgressError(f"its server leads to {host}, another host")
        addresses = await self._network.resolve(host.name)
        if route.is_open or host in route.trusted:
            return addresses
        public = bool(addresses) and all(map(is_public, addresses))
        if host.name == route.origin.name:
            # The user named it, whatever it is; but a name that was public stays so.
            moved = host.name in self._was_public and addresses and not public
            origin: list[IpAddress] | None = None
        else:
            moved, origin = False, await self._network.resolve(route.origin.name)
        if public:
            self._was_public.add(host.name)
        inward = origin is not None and is_refused(origin, addresses)
        if route.named_by is not None and host.name != route.named_by.name:
            inward |= is_refused(await self._network.resolve(route.named_by.name), addresses)
        if moved or inward:
            raise EgressError(f"its server leads to {host}, on this machine or a local network")
        return addresses

    async def _through(self, proxy: SplitResult, host: Host, *, tunnel: bool) -> Streams:
        """Connect to another proxy, and through it to a host if that is to be a tunnel."""
        where = Host(proxy.hostname or "", proxy.port or 8080)
        for address in await self._network.resolve(where.name):
            try:
                there = await asyncio.wait_for(
                    self._network.connect(address, where.port), waits("GDAL_HTTP_CONNECTTIMEOUT")
                )
                break
            except (OSError, TimeoutError):
                continue
        else:
            raise UnreachableError(f"{_UNREACHABLE} the proxy {where} of the environment")
        if tunnel:
            name = f"[{host.name}]" if ":" in host.name else host.name
            there[1].write(
                f"CONNECT {name}:{host.port} HTTP/1.1\r\nHost: {name}:{host.port}\r\n"
                f"{proxy_login(proxy)}\r\n".encode("latin-1")
            )
            answer = (await there[0].readuntil(b"\r\n\r\n")).split(b" ", 2)
            if len(answer) < 2 or answer[1] != b"200":
                there[1].close()
                status = answer[1].decode("latin-1")[:3] if len(answer) > 1 else "nothing"
                raise UnreachableError(
                    f"{_UNREACHABLE} {host}: the proxy {where} of the environment answers {status}"
                )
        return there


def egress() -> Egress:
    """Return the proxy of this process, started when first asked for."""
    return _egress(os.getpid())


@lru_cache(maxsize=1)
def _egress(_process: int) -> Egress:
    return Egress()


def refused(name: str, route: Route) -> str | None:
    """Say why what has just failed was not fetched.

    Returns:
        Why the host could not be reached; None if it was.

    Raises:
        ImageryError: If its server led to where it may not.
    """
    why = egress().refusal(route)
    if why is None or why.startswith(_UNREACHABLE):
        return why
    inward = "local network" in why
    raise ImageryError(
        f"{name} cannot be fetched: {why}",
        remedy="name that address itself in the entry if you trust it"
        if inward
        else "list that host in redirects_to: of the entry if you trust it",
    )

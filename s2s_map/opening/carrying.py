"""What the proxy of this process carries: heads of requests, and bytes both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from s2s_map.opening.proxies import proxy_login
from s2s_map.opening.redirects import HTTPS, Host, canonical

type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_PIECE = 1 << 16
_LINGER_S = 2.0


def authority(target: str) -> Host:
    """Return the host that a request for a tunnel names."""
    parts = urlsplit(f"//{target}")
    return Host(canonical(parts.hostname or ""), parts.port or HTTPS)


def passed_on(
    method: str, target: str, version: str, lines: Iterable[str], proxy: SplitResult | None
) -> bytes:
    """Return the head of a request as it goes on: one to a connection, without what is ours."""
    parts = urlsplit(target)
    path = target if proxy else (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = ("proxy-authorization", "proxy-connection", "connection", "keep-alive")
    kept = [line for line in lines if line.partition(":")[0].lower() not in own]
    head = "\r\n".join([f"{method} {path} {version}", *kept, "Connection: close"])
    return f"{head}\r\n{proxy_login(proxy) if proxy else ''}\r\n".encode("latin-1")


async def refuse(here: Streams, status: str, why: str) -> None:
    """Answer a request with an error, and see to it that the answer arrives.

    What the client still sends, such as the body of a POST, is read: a connection that is closed
    over unread bytes is reset, and the client may lose the answer.
    """
    reader, writer = here
    body = why.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode("latin-1") + body)
    await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while await reader.read(_PIECE):
                pass


async def pump_both(here: Streams, there: Streams, hear: Callable[[int], None]) -> None:
    """Carry bytes both ways until a side ends: who has enough closes, and no more is fetched.

    `hear` is called with how many have come from there.
    """
    ways = [
        asyncio.create_task(_pump(here[0], there[1])),
        asyncio.create_task(_pump(there[0], here[1], hear)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        there[1].close()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    hear: Callable[[int], None] | None = None,
) -> None:
    count = 0
    while data := await reader.read(_PIECE):
        count += len(data)
        if hear is not None:
            hear(count)
        writer.write(data)
        await writer.drain()

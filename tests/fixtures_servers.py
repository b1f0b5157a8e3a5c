"""Real servers on loopback: files over HTTP with ranges, a STAC API."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fixtures_waiting import free_port, wait_until
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles


@dataclass
class FileServer:
    """Where a folder is served, and what went over the wire.

    Attributes:
        url: Root address.
        sent: Bytes of bodies sent.
        requests: Paths with queries, in order.
        refuse: Decides from path and query which requests are answered 403.
    """

    url: str
    sent: int = 0
    requests: list[str] = field(default_factory=list)
    refuse: Callable[[str, str], bool] = lambda path, query: False


@contextmanager
def serve_app(app: Any) -> Iterator[str]:
    """Serve an ASGI app on a free loopback port; yields its root address."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10.0)
        listening.close()


def answers(url: str) -> bool:
    """Whether there is a server that is well."""
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def serve_folder(folder: Path) -> Iterator[FileServer]:
    """Serve a folder with range requests."""
    inner = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    state = FileServer("")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path, query = scope["path"], scope["query_string"].decode()
        state.requests.append(f"{path}?{query}" if query else path)
        if state.refuse(path, query):
            await PlainTextResponse("expired", 403)(scope, receive, send)
            return

        async def counted(message: Any) -> None:
            state.sent += len(message.get("body", b""))
            await send(message)

        await inner(scope, receive, counted)

    with serve_app(app) as url:
        state.url = url
        yield state


@contextmanager
def serve_stac(items: Path) -> Iterator[str]:
    """Serve an item collection with rustac's API; yields its root address."""
    port = free_port()
    command = Path(sys.executable).parent / "rustac"
    process = subprocess.Popen(
        [command, "serve", str(items), "--create-collections", "--addr", f"127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url), process)
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serve_nothing() -> Iterator[str]:
    """Accept connections and never answer; yields the root address."""
    listening = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def accept() -> None:
        try:
            while True:
                held.append(listening.accept()[0])
        except OSError:
            return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in held:
            connection.close()
        thread.join(5.0)

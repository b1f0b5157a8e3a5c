"""A server in a process of its own, so that it takes no time from what is measured."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable
from typing import Any, Self

import httpx

CONTEXT = multiprocessing.get_context("spawn")


class LoopbackServer:
    """Runs ``serve(port, *arguments)`` until the context ends.

    Args:
        serve: Serves on a port of 127.0.0.1 until terminated.
        arguments: Its further arguments.
    """

    def __init__(self, serve: Callable[..., None], *arguments: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = CONTEXT.Process(target=serve, args=(port, *arguments), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        for _ in range(300):
            try:
                httpx.get(self.url, timeout=5.0)
                return self
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError("the server does not start")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join(10)

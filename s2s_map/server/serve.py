"""Serving a map on this machine until Ctrl-C."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from s2s_map.errors import OutputError
from s2s_map.server.app import make_app
from s2s_map.server.security import LOOPBACK, new_token

if TYPE_CHECKING:
    from s2s_map.server.site import Site

STOP_S = 1
"""How long requests at work may go on after Ctrl-C, seconds."""


@dataclass(eq=False)
class Serving:
    """A server in a thread of its own.

    Attributes:
        url: Its address, with the token that asking needs.
        stopped: Set once it has ended.
    """

    url: str
    server: uvicorn.Server
    thread: threading.Thread
    listening: socket.socket

    def stop(self) -> None:
        """End it: requests at work have a second."""
        self.server.should_exit = True
        self.thread.join(STOP_S + 0.5)
        self.listening.close()


def start(
    site: Callable[[], Site],
    port: int,
    host: str = "127.0.0.1",
    also: tuple[str, ...] = (),
    elsewhere: str = "",
) -> Serving:
    """Begin to serve a map.

    Args:
        site: Gives what is served, always the same; called when it is first needed.
        port: Where; 0 for any that is free.
        host: Address to bind to.
        also: Further names that it may be called by.
        elsewhere: Origin of a basemap that the user named; empty for none.

    Raises:
        OutputError: If the port is taken.
    """
    listening = _listen(host, port)
    port = int(listening.getsockname()[1])
    token = new_token()
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    shown = f"[{shown}]" if ":" in shown else shown
    names = (*LOOPBACK, *also, shown)
    config = uvicorn.Config(
        make_app(site, port, token, names, elsewhere),
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=STOP_S,
        h11_max_incomplete_event_size=64_000,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="map-server", daemon=True
    )
    thread.start()
    return Serving(f"http://{shown}:{port}/#ask={token}", server, thread, listening)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise OutputError(
            f"cannot listen at {host}:{port}: {os.strerror(error.errno or 0)}",
            remedy="choose another one with --port, or 0 for any that is free",
        ) from None
    except OverflowError:
        raise OutputError(f"the port {port}", expected="0 to 65535") from None

"""Waiting for what happens elsewhere: however long it takes, as machines are shared."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

HANG_S = 900.0
"""For threads and libraries that need some limit: longer than a test may take, so that pytest's
own timeout speaks first, and they end after it."""


def wait_until(reached: Callable[[], object], process: subprocess.Popen[Any] | None = None) -> None:
    """Return as soon as something is reached; what hangs is found by pytest's own timeout.

    Args:
        reached: Asked again and again.
        process: What is waited for is its doing: once it has ended, no more can come.

    Raises:
        AssertionError: If the process ends before.
    """
    while not reached():
        ended = process is not None and process.poll() is not None
        assert not ended or reached(), f"it ended before, with {process and process.returncode}"
        time.sleep(0.02)


def free_port() -> int:
    """Return a port of loopback for a server that cannot be given a socket.

    Not one that the system hands out by itself to whoever connects or listens meanwhile: those
    begin at 32768. Each process of the tests has a range of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    ports = range(16_000 + worker * 1000, 17_000 + worker * 1000)
    for port in random.sample(ports, len(ports)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")

"""Searches that are killed, and connections that are reset: both go on."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fixtures_stac_api import Asked, StacServer, scene, serve_synthetic
from starlette.responses import Response

from s2s_map.config.stac import StacEntry
from s2s_map.imagery.sources.stac.search.parts import parts_of, region_of
from s2s_map.imagery.sources.stac.search.walking import Found, search

pytestmark = pytest.mark.usefixtures("forked_processes")

AREA = (34.2, -3.8, 39.9, 1.7)
START = datetime(2023, 1, 1, 8, tzinfo=UTC)
SCENES = [
    scene(f"37{col}{row}", (34.0 + col, -4.0 + row, 35.0 + col, -3.0 + row), day, (col * 7) % 20)
    for col in range(6)
    for row in range(6)
    for day in (START + timedelta(days=30 * visit) for visit in range(6))
]
FIELDS = {
    "type": "stac",
    "title": "t",
    "collection": "sentinel-2-l2a",
    "time": "2023-01-01/2023-06-30",
    "sensor": "sentinel",
    "licence": "l",
    "attribution": "a",
    "manners": {"per_second": 10_000, "first_wait_s": 1e-3, "connections": 1},
}
# Ends before it could print: it is killed.
SEARCH = """
import json, sys
from s2s_map.config.stac import StacEntry
from s2s_map.imagery.sources.stac.search.walking import search
search(StacEntry.model_validate(json.loads(sys.argv[1])), json.loads(sys.argv[2]))
print("whole")
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StacServer]:
    monkeypatch.setenv("S2S_MAP_CACHE", str(tmp_path))
    with serve_synthetic(StacServer(SCENES)) as server:
        yield server


def entry(url: str) -> StacEntry:
    return StacEntry.model_validate(FIELDS | {"url": url})


def names(found: Found) -> list[str]:
    return [item["id"] for item in found.items]


def parts_kept(cache: Path) -> int:
    return len(list(cache.glob("searches/*/*.part.json")))


def kill_after(server: StacServer, requests: int, tmp_path: Path) -> None:
    """Search in a process that is killed while it waits for an answer."""
    victim: list[subprocess.Popen[str]] = []
    known = threading.Event()

    def kill(asked: Asked) -> Response | None:
        if asked.count == requests:
            known.wait()
            os.kill(victim[0].pid, signal.SIGKILL)
        return None

    server.misbehave = kill
    words = [sys.executable, "-c", SEARCH, json.dumps(FIELDS | {"url": server.url})]
    victim.append(
        subprocess.Popen(
            [*words, json.dumps(AREA)],
            env={**os.environ, "S2S_MAP_CACHE": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    known.set()
    said, _ = victim[0].communicate()
    assert victim[0].returncode == -signal.SIGKILL
    assert said == ""
    server.misbehave = lambda asked: None


def test_a_search_whose_process_is_killed_goes_on(server: StacServer, tmp_path: Path) -> None:
    kill_after(server, 9, tmp_path)
    total = len(parts_of(region_of(AREA, None), FIELDS["time"]))  # type: ignore[arg-type]
    kept = parts_kept(tmp_path)
    # The last answer may not have been written yet.
    assert 8 <= kept <= 9 < total
    before = {(asked.box, asked.days) for asked in server.asked[:kept]}
    server.asked.clear()
    found = search(entry(server.url), AREA)
    assert len(server.asked) == total - kept
    assert before.isdisjoint({(asked.box, asked.days) for asked in server.asked})
    found.parts.forget()
    server.asked.clear()
    assert names(search(entry(server.url), AREA)) == names(found)
    assert len(server.asked) == total


@pytest.mark.parametrize("form", [None, 999])
def test_what_another_version_kept_is_searched_again(
    server: StacServer, tmp_path: Path, form: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    whole = search(entry(server.url), AREA)
    (begun,) = tmp_path.glob("searches/*/search.json")
    record = json.loads(begun.read_text())
    assert record.pop("schema") == 1
    begun.write_text(json.dumps(record | ({} if form is None else {"schema": form})))
    asked = len(server.asked)
    with caplog.at_level(logging.WARNING):
        again = search(entry(server.url), AREA)
    assert len(server.asked) == 2 * asked
    assert names(again) == names(whole)
    assert "all of it is searched again" in caplog.text


@contextmanager
def resetting(url: str, broken: set[int]) -> Iterator[tuple[str, list[bytes]]]:
    """Pass connections on to a server; those of these numbers are reset when they have asked.

    Yields the address, and what those had asked.
    """
    reset: list[bytes] = []
    there = urlsplit(url)
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def serve(connection: socket.socket, number: int) -> None:
        with connection:
            if number in broken:
                reset.append(connection.recv(65_536))
                # Closed without lingering: the other side is sent a reset.
                off = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, off)
                return
            with socket.create_connection((there.hostname or "", there.port or 0)) as target:
                back = threading.Thread(target=pass_on, args=(target, connection))
                back.start()
                pass_on(connection, target)
                back.join()

    def accept() -> None:
        for number in range(10_000):
            try:
                connection = listening.accept()[0]
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection, number)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", reset
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for thread in (accepting, *threads):
            thread.join()


def test_connections_that_are_reset_lose_nothing(server: StacServer) -> None:
    whole = search(entry(server.url), AREA)
    whole.parts.forget()
    with resetting(server.url, {3, 4, 9}) as (url, reset):
        # Where the API says that it is: behind what resets.
        server.url, there = url, server.url
        found = search(entry(url), AREA)
        server.url = there
    assert len(reset) == 3
    assert all(asked.startswith(b"POST /search") for asked in reset)
    assert names(found) == names(whole)
    assert not found.holes

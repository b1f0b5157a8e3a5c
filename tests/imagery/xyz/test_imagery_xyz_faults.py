"""Servers of web tiles that misbehave: holes with a reason, never black ground, no key anywhere."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures_sentinel import pattern_at
from fixtures_servers import serve_nothing
from fixtures_waiting import HANG_S
from fixtures_webtiles import WebTileServer, make_entry, pattern_png, png
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from s2s_map.arrays import ImageBlock
from s2s_map.errors import ImageryError
from s2s_map.imagery.checking import check_source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.xyz.fetcher import close_fetchers
from s2s_map.imagery.sources.xyz.webtile import WebTile
from s2s_map.imagery.stopping import ReadStoppedError, stoppable

pytestmark = pytest.mark.usefixtures("webtile_cache")

AREA = (6.0, 46.47, 6.06, 46.5)
BOUNDS = (270_000.0, 5_150_000.0, 274_000.0, 5_153_000.0)
SHAPE = (150, 200)
UTM = "EPSG:32632"
KEY = "s3cret-key-0123456789"


def read(url: str, **fields: Any) -> ImageBlock:
    return open_source(make_entry(url, **fields)).over(AREA).read(BOUNDS, SHAPE, UTM)


def check_holes(block: ImageBlock, *reasons: str) -> None:
    """Check that there are holes for these reasons, no data there, and the truth elsewhere."""
    assert block.holes
    for reason in reasons:
        assert any(reason in hole.reason for hole in block.holes), block.holes
    assert not block.valid.all()
    assert not block.pixels[:, ~block.valid].any()
    error = np.abs(block.pixels - 255.0 * pattern_at(BOUNDS, SHAPE, UTM))
    if block.valid.any():
        # Beside a hole the kernel has less to go by.
        assert error[:, block.valid].max() <= 12.0


def odd(tile: WebTile) -> bool:
    return (tile.x + tile.y) % 2 == 1


def truncated(tile: WebTile, request: Request) -> Response | None:
    body = pattern_png(tile.z, tile.x, tile.y)
    return Response(body[: len(body) // 2]) if odd(tile) else None


def html(tile: WebTile, request: Request) -> Response | None:
    return HTMLResponse("<!doctype html><title>Sign in</title>") if odd(tile) else None


def other_size(tile: WebTile, request: Request) -> Response | None:
    return Response(png(np.zeros((3, 64, 64), dtype=np.uint8))) if odd(tile) else None


def elsewhere(tile: WebTile, request: Request) -> Response | None:
    return RedirectResponse("file:///etc/passwd") if odd(tile) else None


def always_500(tile: WebTile, request: Request) -> Response | None:
    return Response("boom", 500) if odd(tile) else None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (truncated, "a broken image"),
        (html, "an HTML page instead of an image"),
        (other_size, "64 x 64 px instead of 256"),
        (elsewhere, "not followed"),
        (always_500, "status 500"),
    ],
)
def test_what_is_no_imagery_is_a_hole_or_stops_the_run(
    server: WebTileServer, answer: Any, reason: str
) -> None:
    server.answer = answer
    block = read(server.template, manners={"breaker_failures": 1000})
    check_holes(block, reason)
    # A reason, where, and how many.
    (hole,) = block.holes
    assert hole.uri == server.template
    assert hole.count > 1
    with pytest.raises(ImageryError, match="on_missing: nodata to go on with holes"):
        read(server.template, on_missing="fail", manners={"breaker_failures": 1000})
    # What was bad is not kept: repaired, it is read.
    server.answer = lambda tile, request: None
    assert read(server.template).valid.all()


def test_a_passing_trouble_is_retried(server: WebTileServer) -> None:
    seen: dict[WebTile, int] = {}

    def answer(tile: WebTile, request: Request) -> Response | None:
        seen[tile] = seen.get(tile, 0) + 1
        return Response("boom", 503) if seen[tile] == 1 else None

    server.answer = answer
    block = read(server.template, manners={"breaker_failures": 1000})
    assert block.valid.all()
    assert set(server.asked.values()) == {2}


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "HTTP date"])
def test_retry_after_is_honoured(server: WebTileServer, as_date: bool) -> None:
    times: list[float] = []
    refused: list[float] = []

    def answer(tile: WebTile, request: Request) -> Response | None:
        now = time.monotonic()
        times.append(now)
        if refused:
            return None
        refused.append(now)
        # An HTTP date is in whole seconds.
        said = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        return Response("slow down", 429, headers={"retry-after": said if as_date else "1"})

    server.answer = answer
    block = read(server.template, manners={"connections": 1, "longest_wait_s": 10.0})
    assert block.valid.all()
    # Nobody asks the host in between, not even for other web tiles.
    assert times[1] - refused[0] >= 0.9


def test_who_asks_for_too_long_a_wait_is_not_asked_again(server: WebTileServer) -> None:
    server.answer = lambda tile, request: Response("later", 429, headers={"retry-after": "3600"})
    one = {"connections": 1, "breaker_failures": 3}
    block = read(server.template, manners=one | {"longest_wait_s": 0.2})
    check_holes(block, "left alone after", "429")
    # Had it waited for the hour that it was told, this test would have hung.
    assert set(server.asked.values()) == {1}


def test_a_hung_connection_ends() -> None:
    with serve_nothing() as url:
        block = read(
            f"{url}/{{z}}/{{x}}/{{y}}.png",
            manners={"timeout_s": 0.3, "attempts": 2, "breaker_failures": 4},
        )
        check_holes(block, "no answer within 0.3 s")
        assert not block.valid.any()


def test_a_host_that_is_not_there_is_said_and_left_alone() -> None:
    manners = {"breaker_failures": 4, "connections": 1}
    block = read("http://no-such-host.invalid/{z}/{x}/{y}.png", manners=manners)
    assert not block.valid.any()
    assert sum(hole.count for hole in block.holes) == 9
    assert any("left alone after" in hole.reason for hole in block.holes)


@pytest.mark.parametrize("where", ["resting", "waiting to try again", "held by Retry-After"])
def test_a_stopped_run_does_not_wait_for_a_host(server: WebTileServer, where: str) -> None:
    asked = threading.Event()

    def answer(tile: WebTile, request: Request) -> Response:
        asked.set()
        headers = {"retry-after": "3600"} if where == "held by Retry-After" else {}
        return Response("boom", 503, headers=headers)

    server.answer = answer
    slow = {"breaker_failures": 1, "breaker_rest_s": 3600.0, "breaker_rests": 4}
    if where != "resting":
        slow = {"breaker_failures": 1000, "first_wait_s": 3600.0}
    manners = slow | {"longest_wait_s": 7200.0, "connections": 4}
    stop, ended = threading.Event(), threading.Event()

    def block() -> None:
        with stoppable(stop), pytest.raises(ReadStoppedError):
            read(server.template, manners=manners)
        ended.set()

    thread = threading.Thread(target=block, daemon=True)
    thread.start()
    assert asked.wait(HANG_S)
    assert not ended.wait(0.3)
    stop.set()
    assert ended.wait(HANG_S)
    thread.join()


def test_a_host_that_comes_back_is_asked_again(server: WebTileServer) -> None:
    server.answer = lambda tile, request: Response("boom", 500)
    manners = {"breaker_failures": 3, "breaker_rests": 0, "attempts": 1, "connections": 1}
    manners |= {"breaker_rest_s": 1.0}
    check_holes(read(server.template, manners=manners), "left alone")
    asked = server.requests
    assert asked < 9
    server.answer = lambda tile, request: None
    time.sleep(1.1)
    assert read(server.template, manners=manners).valid.all()


@pytest.mark.parametrize(
    ("blank", "answer"),
    [
        ({}, lambda: Response(status_code=404)),
        ({}, lambda: Response(status_code=204)),
        ({}, lambda: Response(png(np.zeros((4, 256, 256), dtype=np.uint8)))),
        (
            {"header": "X-VE-Tile-Info: no-tile"},
            lambda: Response(GREY, headers={"x-ve-tile-info": "no-tile"}),
        ),
        ({"colour": ["#808080"]}, lambda: Response(GREY)),
        ({"sha256": ["GREY"]}, lambda: Response(GREY)),
    ],
    ids=["404", "204", "transparent", "header", "colour", "hash"],
)
def test_placeholders_are_no_data_and_no_holes(
    server: WebTileServer, blank: dict[str, Any], answer: Any
) -> None:
    import hashlib

    if "sha256" in blank:
        blank = {"sha256": [hashlib.sha256(GREY).hexdigest()]}
    server.answer = lambda tile, request: answer() if odd(tile) else None
    block = read(server.template, blank=blank)
    assert not block.holes
    assert 0.2 < block.valid_fraction < 0.8
    assert not block.pixels[:, ~block.valid].any()
    # Known to be blank, from the disk as well.
    asked = server.requests
    close_fetchers()
    again = read(server.template, blank=blank)
    assert again.valid.tobytes() == block.valid.tobytes()
    assert server.requests == asked


GREY = png(np.full((3, 256, 256), 128, dtype=np.uint8))


def test_the_day_s_requests_end_the_run_whatever_the_policy(server: WebTileServer) -> None:
    with pytest.raises(ImageryError, match="start the run again tomorrow"):
        read(server.template, manners={"per_day": 5})
    assert server.requests == 5
    # What was fetched is kept, and the account too.
    close_fetchers()
    with pytest.raises(ImageryError, match="the 5 requests"):
        read(server.template, manners={"per_day": 5})
    assert server.requests == 5


@pytest.mark.parametrize("policy", ["nodata", "fail"])
def test_an_expired_key(
    server: WebTileServer,
    policy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MAP_KEY", KEY)
    # It tells the key back, in header and body.
    server.answer = lambda tile, request: Response(
        f"key {KEY} has expired", 401, headers={"x-echo": KEY}
    )
    url = f"{server.template}?key=${{MAP_KEY}}"
    with caplog.at_level("DEBUG"):
        if policy == "fail":
            with pytest.raises(ImageryError, match="status 401") as raised:
                read(url, env=["MAP_KEY"], on_missing="fail")
            assert KEY not in str(raised.value)
        else:
            block = read(url, env=["MAP_KEY"])
            check_holes(block, "status 401")
            assert KEY not in str(block.holes)
            # The host is left alone once it is clear.
            assert server.requests < 20
    assert all(query == f"key={KEY}" for query in server.queries)
    assert KEY not in caplog.text
    assert not leaks(tmp_path, KEY)


def test_keys_reach_the_server_and_nothing_else(
    server: WebTileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MAP_KEY", KEY)
    server.answer = lambda tile, request: Response(
        pattern_png(tile.z, tile.x, tile.y),
        headers={"cache-control": "max-age=600", "x-asked": str(request.url), "vary": "*"},
    )
    with caplog.at_level("DEBUG"):
        block = read(
            f"{server.template}?subscription=${{MAP_KEY}}",
            env=["MAP_KEY"],
            headers={"X-Key": "${MAP_KEY}"},
        )
    assert block.valid.all()
    assert all(headers["x-key"] == KEY for headers in server.headers)
    assert KEY not in caplog.text
    kept = [
        path for path in (tmp_path / "cache").rglob("*.sqlite*") if path.stat().st_size > 50_000
    ]
    assert kept, "there is a cache to look through"
    assert not leaks(tmp_path, KEY)
    source = open_source(make_entry(f"{server.template}?k=${{MAP_KEY}}", env=["MAP_KEY"]))
    assert KEY not in str(source.identity())


def leaks(folder: Path, key: str) -> list[Path]:
    """Return the files below a folder that hold a key."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if key.encode() in path.read_bytes()]


def test_check_says_what_works(server: WebTileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = list(check_source(make_entry(server.template), (6.03, 46.48)))
    assert all(works for works, _ in steps)
    text = " ".join(what for _, what in steps)
    for word in ("web tiles of level 14", "100%", "values: red"):
        assert word in text
    monkeypatch.delenv("MAP_KEY", raising=False)
    steps = list(check_source(make_entry(f"{server.template}?k=${{MAP_KEY}}", env=["MAP_KEY"])))
    assert len(steps) == 1
    assert "needs the environment variable MAP_KEY" in steps[0][1]
    assert "\n" not in steps[0][1]
    server.answer = lambda tile, request: Response("no", 403)
    close_fetchers()
    broken = list(check_source(make_entry(server.template), (7.03, 46.48)))
    assert any(not works and "status 403" in what for works, what in broken)

"""What web tiles are known by: another layer or mosaic is other imagery, another key is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures_webtiles import WebTileServer, make_entry, png
from starlette.requests import Request
from starlette.responses import Response

from s2s_map.errors import CatalogError, ImageryError
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.xyz.fetcher import Fetcher
from s2s_map.imagery.sources.xyz.webtile import WebTile

pytestmark = pytest.mark.usefixtures("webtile_cache")

AREA = (6.0, 46.47, 6.06, 46.5)
BOUNDS = (270_000.0, 5_150_000.0, 272_000.0, 5_151_000.0)
XYZ = "https://tiles.test/{z}/{x}/{y}.png"


def identity(url: str, **fields: object) -> dict[str, object]:
    return open_source(make_entry(url, **fields)).over(AREA).identity()


def test_layer_headers_and_rules_decide_the_identity_and_keys_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyed = {"env": ["KEY"], "headers": {"X-Key": "${KEY}"}}
    monkeypatch.setenv("KEY", "first-key-0123")
    url = f"{XYZ}?layer=forest&key=${{KEY}}"
    first = identity(url, **keyed)
    assert identity(url.replace("forest", "water"), **keyed) != first
    assert identity(url, env=["KEY"], headers={"X-Layer": "${KEY}"}) != first
    assert identity(url, **keyed, tile_px=512) != first
    assert identity(url, **keyed, blank={"status": [410]}) != first
    assert identity(url, **keyed, manners={"per_second": 1.0}) == first
    monkeypatch.setenv("KEY", "other-key-4567")
    assert identity(url, **keyed) == first
    assert "layer" not in str(first)


def test_a_variable_in_the_path_decides_imagery_and_is_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "https://tiles.test/${MOSAIC}/{z}/{x}/{y}.png"
    monkeypatch.setenv("MOSAIC", "summer-2023")
    first = identity(url, env=["MOSAIC"])
    assert identity(url, env=["MOSAIC"]) == first
    monkeypatch.setenv("MOSAIC", "summer-2024")
    second = identity(url, env=["MOSAIC"])
    assert second != first
    assert "summer" not in f"{first}{second}"
    monkeypatch.delenv("MOSAIC")
    with pytest.raises(CatalogError, match="needs the environment variable MOSAIC"):
        identity(url, env=["MOSAIC"])


def test_another_mosaic_does_not_read_what_was_kept_of_the_first(
    server: WebTileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = {"a": 50, "b": 200}

    def answer(tile: WebTile, request: Request) -> Response:
        value = grey[request.query_params["m"]]
        return Response(png(np.full((3, 256, 256), value, dtype=np.uint8)))

    server.answer = answer
    # The server of the tests takes z/x/y at the front of the path; what follows it may vary.
    entry = make_entry(f"{server.url}/{{z}}/{{x}}/{{y}}/${{MOSAIC}}?m=${{MOSAIC}}", env=["MOSAIC"])
    seen = []
    for mosaic in ("a", "b"):
        monkeypatch.setenv("MOSAIC", mosaic)
        block = open_source(entry).over(AREA).read(BOUNDS, (50, 100), "EPSG:32632")
        seen.append(int(block.pixels.max()))
    assert seen == [50, 200]


def test_a_cache_that_cannot_be_written_is_said_in_a_line(
    server: WebTileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("S2S_MAP_CACHE", str(tmp_path / "file"))
    source = open_source(make_entry(server.template)).over(AREA)
    with pytest.raises(ImageryError, match=r"cannot be kept in .* S2S_MAP_CACHE") as raised:
        source.read(BOUNDS, (50, 100), "EPSG:32632")
    assert "\n" not in str(raised.value)


def test_a_bad_web_tile_is_asked_for_by_the_first_block_alone(server: WebTileServer) -> None:
    def answer(tile: WebTile, request: Request) -> Response | None:
        return Response("boom", 500) if (tile.x + tile.y) % 2 == 0 else None

    server.answer = answer
    source = open_source(make_entry(server.template, manners={"breaker_failures": 1000})).over(AREA)
    first = source.read(BOUNDS, (50, 100), "EPSG:32632")
    assert first.holes
    asked = dict(server.asked)
    assert max(asked.values()) == 3  # attempts
    assert source.read(BOUNDS, (50, 100), "EPSG:32632").holes == first.holes
    assert dict(server.asked) == asked


def test_an_image_that_declares_a_billion_pixels_is_a_hole(server: WebTileServer) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    assert len(bomb) < 120
    server.answer = lambda tile, request: Response(bomb)
    block = (
        open_source(make_entry(server.template)).over(AREA).read(BOUNDS, (50, 100), "EPSG:32632")
    )
    assert not block.valid.any()
    assert any("far too many pixels" in hole.reason for hole in block.holes)


def test_blank_web_tiles_do_not_fill_memory(
    server: WebTileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2s_map.imagery.sources.xyz import fetcher

    monkeypatch.setattr(fetcher, "HELD_BYTES", 10 * 300)
    server.answer = lambda tile, request: Response(status_code=404)
    made = Fetcher(make_entry(server.template), tmp_path / "web")
    made.fetch(WebTile(10, x, y) for x in range(6) for y in range(6))
    assert len(made._held) == 10
    made.close()


def kept(entry_fields: dict[str, object], server: WebTileServer, folder: Path) -> int:
    """Fetch 40 web tiles twice, as two runs; returns how many were asked for again."""
    tiles = [WebTile(10, x, y) for x in range(8) for y in range(5)]
    for _ in range(2):
        made = Fetcher(make_entry(server.template, cache=entry_fields), folder)
        made.fetch(tiles)
        made.close()
    return server.requests - len(tiles)


def test_the_cache_keeps_no_more_than_max_gb(server: WebTileServer, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 256, 256), dtype=np.uint8)
    body = png(noise)
    server.answer = lambda tile, request: Response(body, headers={"cache-control": "max-age=999"})
    assert kept({"max_gb": 1.0}, server, tmp_path / "large") == 0
    server.asked.clear()
    assert len(body) * 10 > 1_500_000
    assert kept({"max_gb": 0.0015}, server, tmp_path / "small") > 20
    server.asked.clear()
    assert kept({"max_gb": 0}, server, tmp_path / "none") == 40


def test_the_cache_keeps_no_longer_than_max_days(server: WebTileServer, tmp_path: Path) -> None:
    import time

    tiles = [WebTile(10, x, 5) for x in range(5)]
    fields: dict[str, object] = {"max_days": 1.0 / 86400.0}
    for longer_than_a_second in (1.2, 0.0):
        made = Fetcher(make_entry(server.template, cache=fields), tmp_path / "web")
        made.fetch(tiles)
        made.close()
        time.sleep(longer_than_a_second)
    # The server said a day.
    assert set(server.asked.values()) == {2}

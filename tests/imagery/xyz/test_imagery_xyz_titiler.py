"""Web tiles of a server that others wrote: titiler over a COG, by XYZ and by WMTS."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
from fixtures_sentinel import pattern_at
from fixtures_servers import serve_app
from fixtures_webtiles import make_entry
from rasterio.shutil import copy as gdal_copy
from rasterio.transform import from_origin

from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery.sources.open_source import open_source

pytestmark = pytest.mark.usefixtures("webtile_cache")

UTM = "EPSG:32632"
# One at a time: under several threads the server now and then answers 400 to a good request.
GENTLE = {"timeout_s": 60.0, "connections": 1}
COG = (268_000.0, 5_148_000.0, 276_000.0, 5_156_000.0)
BOUNDS = (270_000.0, 5_150_000.0, 274_000.0, 5_153_000.0)
SHAPE = (300, 400)
AREA = (6.0, 46.45, 6.08, 46.5)


@dataclass
class Titiler:
    url: str
    cog: Path


@pytest.fixture(scope="module")
def titiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Titiler]:
    import morecantile
    from fastapi import FastAPI
    from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers
    from titiler.core.factory import TilerFactory
    from titiler.extensions import wmsExtension, wmtsExtension

    path = tmp_path_factory.mktemp("titiler") / "pattern.tif"
    values = np.rint(255.0 * pattern_at(COG, (800, 800), UTM)).astype(np.uint8)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 800, "width": 800}
    profile |= {"crs": UTM, "transform": from_origin(COG[0], COG[3], 10.0, 10.0)}
    with rasterio.MemoryFile() as memory, memory.open(**profile) as made:
        made.write(values)
        gdal_copy(made, path, driver="COG", compress="deflate")
    app = FastAPI()
    quad = morecantile.TileMatrixSets({"WebMercatorQuad": morecantile.tms.get("WebMercatorQuad")})
    factory = TilerFactory(extensions=[wmtsExtension(), wmsExtension()], supported_tms=quad)
    app.include_router(factory.router)
    add_exception_handlers(app, DEFAULT_STATUS_CODES)
    with serve_app(app) as url:
        # What it loads when first asked is not made for several threads at once.
        first = httpx.get(
            f"{url}/tiles/WebMercatorQuad/0/0/0.png?url={path}&reproject=cubic", timeout=60.0
        )
        assert first.status_code == 200, first.text
        yield Titiler(url, path)


def wmts_template(titiler: Titiler, query: str) -> str:
    """Return the template that the server's own WMTS capabilities name."""
    said = httpx.get(f"{titiler.url}/WMTSCapabilities.xml?{query}&tile_format=png", timeout=30.0)
    said.raise_for_status()
    templates = set(re.findall(r'<ResourceURL[^>]*template="([^"]+)"', said.text))
    (template,) = (found for found in templates if "WebMercatorQuad" in found)
    return html.unescape(template)


@pytest.mark.parametrize("kind", ["xyz", "wmts", "wms"])
def test_titiler_shows_what_the_cog_holds(titiler: Titiler, kind: str) -> None:
    query = f"url={titiler.cog}&resampling=cubic&reproject=cubic"
    template = f"{titiler.url}/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png?{query}"
    if kind == "wmts":
        template = wmts_template(titiler, query)
        assert "{TileMatrix}" in template
    elif kind == "wms":
        template = (
            f"{titiler.url}/wms?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&LAYERS={titiler.cog}"
            "&STYLES=&CRS=EPSG:3857&BBOX={bbox}&WIDTH=256&HEIGHT=256&FORMAT=image/png"
            "&TRANSPARENT=true&resampling=cubic&reproject=cubic"
        )
    entry = make_entry(template, on_missing="fail", manners=GENTLE)
    block = open_source(entry).over(AREA).read(BOUNDS, SHAPE, UTM)
    cog = RasterEntry.model_validate(
        {
            "type": "raster",
            "title": "t",
            "uri": str(titiler.cog),
            "sensor": "sentinel",
            "licence": "l",
            "attribution": "a",
        }
    )
    direct = open_source(cog).read(BOUNDS, SHAPE, UTM)
    assert block.valid.all()
    assert direct.valid.all()
    error = np.abs(block.pixels.astype(int) - direct.pixels.astype(int))
    # Twice resampled and rounded against read as it is.
    assert error.max() <= 3
    assert error.mean() <= 0.6
    assert np.abs(block.pixels - 255.0 * pattern_at(BOUNDS, SHAPE, UTM)).max() <= 3.0


def test_beyond_the_cog_there_is_no_data_and_no_hole(titiler: Titiler) -> None:
    template = f"{titiler.url}/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}.png?url={titiler.cog}"
    entry = make_entry(template, manners=GENTLE)
    bounds = (COG[2] - 2000.0, COG[1] + 2000.0, COG[2] + 4000.0, COG[1] + 5000.0)
    block = open_source(entry).over(AREA).read(bounds, (150, 300), UTM)
    assert block.valid[:, :95].all()
    assert not block.valid[:, 105:].any()
    assert not block.pixels[:, ~block.valid].any()
    assert not block.holes

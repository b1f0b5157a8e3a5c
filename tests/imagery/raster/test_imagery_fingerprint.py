"""The hash of samples: of the content alone, and seen to change with it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from fixtures_servers import serve_folder

from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.raster.fingerprint import fingerprint

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster


def entry(*uris: str, **fields: object) -> RasterEntry:
    known: dict[str, object] = {"type": "raster", "title": "t", "uri": uris, "sensor": "landsat"}
    return RasterEntry.model_validate(known | {"licence": "l", "attribution": "a"} | fields)


def sampled(*uris: str, **fields: object) -> str:
    return str(open_source(entry(*uris, **fields)).identity()["sampled_sha256"])


def turn_round(path: Path) -> None:
    """Other pixels, the same size and header."""
    size = path.stat().st_size
    with rasterio.open(path, "r+") as dataset:
        dataset.write(255 - dataset.read())
    assert path.stat().st_size == size


def test_other_pixels_of_the_same_size_are_seen(make_raster: MakeRaster, tmp_path: Path) -> None:
    # Larger than what is hashed whole.
    path = make_raster(shape=(800, 800))
    assert path.stat().st_size > 1 << 20
    before = sampled(str(path))
    (tmp_path / "there").mkdir()
    copy = shutil.copyfile(path, tmp_path / "there" / "other.tif")
    assert sampled(str(copy)) == before
    turn_round(path)
    assert sampled(str(path)) != before
    # One of a mosaic is enough, and so is its order.
    of_two = sampled(str(copy), str(path))
    assert of_two != sampled(str(path), str(copy))
    turn_round(path)
    assert sampled(str(copy), str(path)) != of_two


def test_what_lies_behind_or_beside_a_file_counts(make_raster: MakeRaster, tmp_path: Path) -> None:
    path = make_raster(shape=(64, 64))
    with rasterio.open(path) as dataset:
        size, crs, t = dataset.shape, dataset.crs.to_wkt(), dataset.transform
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{path.name}</SourceFilename><SourceBand>{i}'
        "</SourceBand></SimpleSource></VRTRasterBand>"
        for i in (1, 2, 3)
    )
    vrt = path.parent / "mosaic.vrt"
    numbers = ", ".join(map(str, t.to_gdal()))
    vrt.write_text(
        f'<VRTDataset rasterXSize="{size[1]}" rasterYSize="{size[0]}"><SRS>{crs}</SRS>'
        f"<GeoTransform>{numbers}</GeoTransform>{bands}</VRTDataset>"
    )
    before = sampled(str(vrt))
    turn_round(path)
    assert sampled(str(vrt)) != before
    alone = sampled(str(path))
    beside = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False)
    with beside, rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.eye(*size, dtype=np.uint8) * 255)
    assert (path.parent / f"{path.name}.msk").is_file()
    assert sampled(str(path)) != alone


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="no /proc")
def test_of_many_files_less_of_each_is_read(make_raster: MakeRaster, tmp_path: Path) -> None:
    path = make_raster(shape=(400, 400))
    copies = [str(shutil.copyfile(path, tmp_path / f"{i:04d}.tif")) for i in range(600)]
    scenes = open_source(entry(*copies[:1])).scenes * len(copies)  # type: ignore[attr-defined]
    scenes = tuple(replace(scene, uri=uri) for scene, uri in zip(scenes, copies, strict=True))
    before = bytes_read()
    assert len(fingerprint(scenes)) == 64
    # 16 MiB of 280, and what Python itself reads.
    assert bytes_read() - before < 20 << 20


def bytes_read() -> int:
    """What this process has asked the kernel for."""
    fields = Path("/proc/self/io").read_text().split()
    return int(fields[fields.index("rchar:") + 1])


def test_remote_files_by_the_pixels_of_a_few_tiles(make_raster: MakeRaster) -> None:
    profile = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    path = make_raster(shape=(1500, 1500), profile=profile)
    with serve_folder(path.parent) as files:
        # Without looking for a collar: its 48 rows touch every tile of so small a file.
        source = open_source(entry(f"{files.url}/{path.name}", collar="keep"))
        before = source.identity()["sampled_sha256"]
        assert files.sent < path.stat().st_size / 2
        sent = files.sent
        # A run asks more than once; it is of the imagery as it was when it started.
        assert source.identity()["sampled_sha256"] == before
        assert files.sent == sent
        (path.parent / "again.tif").write_bytes(path.read_bytes())
        assert sampled(f"{files.url}/again.tif") == before
        turn_round(path.parent / "again.tif")
        shutil.copyfile(path.parent / "again.tif", path.parent / "turned.tif")
        assert sampled(f"{files.url}/turned.tif") != before
        # The header opens, the tiles do not.
        head = path.read_bytes()[:100_000]
        (path.parent / "broken.tif").write_bytes(head)
        with pytest.raises(ImageryError, match=r"broken\.tif cannot be read"):
            sampled(f"{files.url}/broken.tif")
        assert len(sampled(f"{files.url}/broken.tif", on_missing="nodata")) == 64

"""Rasters over the network: HTTP ranges, moto's S3, and files that are broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fixtures_servers import serve_folder

from s2s_map.catalog.environment import check_environment
from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.checking import check_source
from s2s_map.imagery.sources.open_source import open_source

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

BOUNDS = (721_000.0, -2_783_000.0, 723_000.0, -2_781_000.0)
UTM = "EPSG:32621"


def make_entry(*uris: str, **fields: object) -> RasterEntry:
    known: dict[str, object] = {"type": "raster", "title": "t", "uri": uris, "sensor": "landsat"}
    return RasterEntry.model_validate(known | {"licence": "l", "attribution": "a"} | fields)


def test_a_file_over_http_reads_as_the_local_one(make_raster: MakeRaster) -> None:
    path = make_raster(shape=(1200, 1200), profile={"compress": "deflate"})
    here = open_source(make_entry(str(path))).read(BOUNDS, (200, 200), UTM)
    with serve_folder(path.parent) as files:
        # Without looking for a collar: its 48 rows touch every block of so small a file.
        source = open_source(make_entry(f"{files.url}/{path.name}", collar="keep"))
        there = source.read(BOUNDS, (200, 200), UTM)
        # Ranges: not the whole file.
        assert files.sent < path.stat().st_size
        assert source.identity()["scenes"][0]["shape"] == [1200, 1200]
    assert there.pixels.tobytes() == here.pixels.tobytes()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_S3_ENDPOINT": f"{host}:{port}",
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="scenes")
    yield client
    server.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_s3_through_gdal(make_raster: MakeRaster, bucket: object) -> None:
    path = make_raster(shape=(300, 300))
    bucket.upload_file(str(path), "scenes", "a/scene.tif")  # type: ignore[attr-defined]
    entry = make_entry("s3://scenes/a/scene.tif", env=["AWS_SECRET_ACCESS_KEY"])
    check_environment(entry)
    source = open_source(entry)
    here = open_source(make_entry(str(path))).read(BOUNDS, (200, 200), UTM)
    assert source.read(BOUNDS, (200, 200), UTM).pixels.tobytes() == here.pixels.tobytes()
    assert "s3cret" not in str(source.identity())
    with pytest.raises(ImageryError, match=r"s3://scenes/absent\.tif does not open"):
        open_source(make_entry("s3://scenes/absent.tif"))


def test_one_corrupted_file_of_fifty(tmp_path: Path, make_raster: MakeRaster) -> None:
    from fixtures_raster import Place

    for i in range(50):
        place = Place(UTM, 720_000.0 + (i % 10) * 300.0, -2_780_000.0 - (i // 10) * 300.0, 30.0)
        make_raster(f"f/{i:02d}.tif", place=place, shape=(10, 10), profile={"tiled": False})
    folder = tmp_path / "f"
    (folder / "07.tif").write_bytes((folder / "07.tif").read_bytes()[:60])
    whole = (folder / "23.tif").read_bytes()
    # This one opens, and breaks when it is read.
    (folder / "23.tif").write_bytes(whole[: len(whole) - 150])
    entry = make_entry(str(folder), on_missing="nodata")
    source = open_source(entry)
    assert source.describe() == "49 scenes"
    bounds = (720_000.0, -2_781_500.0, 723_000.0, -2_780_000.0)
    block = source.read(bounds, (50, 100), UTM)
    assert sorted(Path(hole.uri).name for hole in block.holes) == ["07.tif", "23.tif"]
    # Two squares of ten pixels are holes, and not black ground.
    assert (~block.valid).sum() == 2 * 10 * 10
    assert not block.valid[:10, 70:80].any()
    with pytest.raises(ImageryError, match=r"07\.tif"):
        open_source(make_entry(str(folder)))


def test_nothing_that_opens_is_an_error_always(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("not an image")
    with pytest.raises(ImageryError, match="none of the 1 files"):
        open_source(make_entry(str(tmp_path), on_missing="nodata"))


def test_checks_say_what_works(make_raster: MakeRaster, tmp_path: Path) -> None:
    good = dict(enumerate(check_source(make_entry(str(make_raster()), env=[]))))
    assert all(works for works, _ in good.values())
    text = " ".join(what for _, what in good.values())
    for word in ("opens: 1 scene", "EPSG:32621", "3 bands of uint8", "100%", "values: red"):
        assert word in text
    missing = list(check_source(make_entry("absent.tif", env=["S2S_TEST_ABSENT"])))
    assert missing == [(False, missing[0][1])]
    assert "S2S_TEST_ABSENT" in missing[0][1]
    dark = make_raster("dark.tif", values=np.full((3, 200, 200), 2))
    assert any("correct scale:" in what for _, what in check_source(make_entry(str(dark))))
    away = list(check_source(make_entry(str(dark)), (8.5, 47.0)))
    assert away[-1][0] is False
    assert "give --at" in away[-1][1]
    dead = list(check_source(make_entry("http://127.0.0.1:9/a.tif")))
    assert dead[-1][0] is False

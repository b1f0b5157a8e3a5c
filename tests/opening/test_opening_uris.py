"""Addresses, VRTs and catalogs from elsewhere: what may be named, and what escapes."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fixtures_servers import serve_folder
from rasterio.shutil import copy as gdal_copy

from s2s_map.catalog.catalog import load_catalog, scenes
from s2s_map.errors import CatalogError, ImageryError, S2SMapError
from s2s_map.opening.open_files import open_raster
from s2s_map.opening.uris import check_uri, gdal_path
from s2s_map.redaction import redacted

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster


def entry_text(uri: str, **fields: str) -> str:
    more = "".join(f"  {key}: {value}\n" for key, value in fields.items())
    return (
        textwrap.dedent(f"""\
        a:
          type: raster
          title: t
          uri: {uri}
          sensor: landsat
          licence: l
          attribution: a
        """)
        + more
    )


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("https://h/a.tif", "/vsicurl/https://h/a.tif"),
        ("s3://b/k.tif", "/vsis3/b/k.tif"),
        ("gs://b/k.tif", "/vsigs/b/k.tif"),
        ("az://c/k.tif", "/vsiaz/c/k.tif"),
    ],
)
def test_what_gdal_calls_them(uri: str, path: str) -> None:
    check_uri(uri)
    assert gdal_path(uri) == path


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "ftp://h/a.tif",
        "/vsicurl/https://h/a.tif",
        "/vsizip/a.zip/a.tif",
        "WMS:https://h",
        "PG:dbname=x",
        "vrt:///etc/passwd",
    ],
)
def test_what_else_gdal_would_open_is_refused(tmp_path: Path, uri: str) -> None:
    (tmp_path / "c.yaml").write_text(entry_text(f'"{uri}"'))
    with pytest.raises(CatalogError, match=r"the address .*; expected a path"):
        load_catalog([tmp_path / "c.yaml"])


@pytest.mark.parametrize("uri", ["/etc/passwd", "~/a.tif", "file:///etc/passwd", "/vsimem/a"])
def test_a_fetched_catalog_does_not_name_files_here(tmp_path: Path, uri: str) -> None:
    (tmp_path / "c.yaml").write_text(entry_text(f'"{uri}"'))
    with serve_folder(tmp_path) as files, pytest.raises(CatalogError, match=r"local path|address"):
        load_catalog([f"{files.url}/c.yaml"])


def test_a_fetched_catalog_names_its_neighbours(tmp_path: Path, make_raster: MakeRaster) -> None:
    scene = make_raster("scenes/a.tif")
    (scene.parent.parent / "c.yaml").write_text(entry_text("scenes/a.tif"))
    with serve_folder(scene.parent.parent) as files:
        entry = load_catalog([f"{files.url}/c.yaml"])["a"]
        (found,) = scenes(entry)  # type: ignore[arg-type]
        assert found.uri == f"{files.url}/scenes/a.tif"
        with pytest.raises(CatalogError, match="cannot be fetched"):
            load_catalog([f"{files.url}/absent.yaml"])


def test_undeclared_variables_are_not_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2S_TEST_KEY", "s3cret")
    text = entry_text('"http://127.0.0.1:9/${S2S_TEST_KEY}/a.tif?k=${S2S_TEST_KEY}"')
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"uses \$\{S2S_TEST_KEY\}"):
        scenes(load_catalog([tmp_path / "c.yaml"])["a"])  # type: ignore[arg-type]
    (tmp_path / "d.yaml").write_text(
        text.replace("/${S2S_TEST_KEY}", "") + "  env: [S2S_TEST_KEY]\n"
    )
    with pytest.raises(S2SMapError) as error:
        scenes(load_catalog([tmp_path / "d.yaml"])["a"])  # type: ignore[arg-type]
    assert "s3cret" not in str(error.value)
    assert "s3cret" not in str(error.value.__cause__)


def test_a_vrt_over_images_reads(make_raster: MakeRaster) -> None:
    scene = make_raster("a.tif")
    vrt = scene.with_suffix(".vrt")
    gdal_copy(scene, vrt, driver="VRT")
    with open_raster(str(vrt)) as dataset:
        assert dataset.count == 3
        assert dataset.read(1).any()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a.tif", "absent.tif", "names absent.tif"),
        ('relativeToVRT="1">a.tif', 'relativeToVRT="0">/vsicurl/http://h/a.tif', "names /vsicurl"),
        ("<VRTDataset", "<!DOCTYPE x><VRTDataset", "holds DOCTYPE"),
        ("</VRTDataset>", "<PixelFunctionCode/></VRTDataset>", "holds PixelFunction"),
    ],
)
def test_a_vrt_that_reaches_elsewhere_is_refused(
    make_raster: MakeRaster, old: str, new: str, message: str
) -> None:
    scene = make_raster("a.tif")
    vrt = scene.with_suffix(".vrt")
    gdal_copy(scene, vrt, driver="VRT")
    text = vrt.read_text()
    assert old in text
    vrt.write_text(text.replace(old, new))
    with pytest.raises(ImageryError, match=message), open_raster(str(vrt)):
        pass


def test_order_newest_and_finest(tmp_path: Path, make_raster: MakeRaster) -> None:
    from dataclasses import replace

    from fixtures_raster import PLACES

    coarse = replace(PLACES["utm"], res=60.0)
    make_raster("s/s_20200101.tif", place=coarse)
    folder = make_raster("s/s_2021-05-01.tif").parent
    (tmp_path / "c.yaml").write_text(entry_text(str(folder), order="newest"))
    newest = scenes(load_catalog([tmp_path / "c.yaml"])["a"])  # type: ignore[arg-type]
    assert [Path(s.uri).name for s in newest] == ["s_2021-05-01.tif", "s_20200101.tif"]
    (tmp_path / "c.yaml").write_text(entry_text(str(folder), order="finest"))
    finest = scenes(load_catalog([tmp_path / "c.yaml"])["a"])  # type: ignore[arg-type]
    assert [s.gsd_m < 40 for s in finest] == [True, False]
    make_raster("s/undated.tif")
    (tmp_path / "c.yaml").write_text(entry_text(str(folder), order="newest"))
    with pytest.raises(CatalogError, match="no date in its name"):
        scenes(load_catalog([tmp_path / "c.yaml"])["a"])  # type: ignore[arg-type]


def test_secrets_go_out_of_messages() -> None:
    text = "GET /vsicurl/https://h/a.tif?sig=abc&se=1 failed; token=xyz https://u:p@h/"
    assert redacted(text) == "GET /vsicurl/https://h/a.tif failed; token=[hidden] https://h/"


def test_a_fetched_catalog_asks_for_no_variables(tmp_path: Path) -> None:
    text = entry_text('"https://a.test/${AWS_SECRET_ACCESS_KEY}.tif"')
    (tmp_path / "c.yaml").write_text(text + "  env: [AWS_SECRET_ACCESS_KEY]\n")
    with (
        serve_folder(tmp_path) as files,
        pytest.raises(CatalogError, match=r"AWS_SECRET_ACCESS_KEY; copy the entry into your own"),
    ):
        load_catalog([f"{files.url}/c.yaml"])
    assert load_catalog([tmp_path / "c.yaml"])["a"].env == ("AWS_SECRET_ACCESS_KEY",)

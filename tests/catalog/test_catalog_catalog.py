"""The catalog: search path, names, and the files an entry names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from s2s_map.catalog.catalog import (
    get_entry,
    load_catalog,
    sample_path,
    scenes,
    shipped_catalog,
)
from s2s_map.errors import CatalogError, ConfigError, ImageryError, S2SMapError

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

FIELDS = "type: raster, title: {title}, sensor: sentinel, licence: CC0, attribution: me"


@pytest.fixture(autouse=True)
def _away_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def write_catalog(path: Path, **uris: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{name}: {{{FIELDS.format(title=path.resolve().parent.name)}, uri: {uri}}}"
        for name, uri in uris.items()
    ]
    path.write_text("\n".join(lines))
    return path


def one_line(error: pytest.ExceptionInfo[S2SMapError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_shipped_scene_is_there_and_reads() -> None:
    catalog = load_catalog()
    entry = get_entry("iguacu_landsat8", catalog)
    assert "U.S. Geological Survey" in entry.attribution
    assert entry.sensor.patch_m == 2560
    assert entry.sensor.gsd_m == 30
    (scene,) = scenes(entry)
    assert scene.shape == (1860, 2041)
    assert scene.crs.epsg == 32621
    assert scene.valid == "mask"
    assert scene.bounds == (717345.0, -2832795.0, 778575.0, -2776995.0)
    assert shipped_catalog().is_file()


def test_earlier_files_win(tmp_path: Path) -> None:
    given = write_catalog(tmp_path / "given" / "my.yaml", a="a.tif")
    write_catalog(Path("data_catalog.yaml"), a="a.tif", b="b.tif")
    user = tmp_path / "config" / "s2s-map" / "data_catalog.yaml"
    write_catalog(user, a="a.tif", b="b.tif", c="c.tif", iguacu_landsat8="x.tif")
    catalog = load_catalog([given])
    titles = {name: entry.title for name, entry in catalog.items()}
    assert titles["a"] == "given"
    assert titles["c"] == titles["iguacu_landsat8"] == "s2s-map"
    assert titles["b"] == "cwd"
    assert list(catalog)[:3] == ["a", "b", "c"]


def test_paths_are_relative_to_the_catalog_file(tmp_path: Path, make_raster: MakeRaster) -> None:
    make_raster("given/images/x.tif")
    given = write_catalog(tmp_path / "given" / "my.yaml", a="images/x.tif")
    (scene,) = scenes(load_catalog([given])["a"])
    assert scene.uri == str(tmp_path / "given" / "images" / "x.tif")


def test_globs_folders_and_lists_keep_a_stated_order(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    for name in ("b.tif", "a.tif", "c.tif"):
        make_raster(f"images/{name}", shape=(20, 20))
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    uris = {
        "glob": "images/*.tif",
        "folder": "images",
        "list": "[images/c.tif, images/*.tif]",
    }
    catalog = load_catalog([write_catalog(tmp_path / "my.yaml", **uris)])
    names = {key: [Path(s.uri).name for s in scenes(catalog[key])] for key in uris}
    assert names["glob"] == names["folder"] == ["a.tif", "b.tif", "c.tif"]
    assert names["list"] == ["c.tif", "a.tif", "b.tif"]


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(CatalogError, match="did you mean 'iguacu_landsat8'") as error:
        get_entry("iguacu_landsat", load_catalog())
    one_line(error)
    with pytest.raises(CatalogError, match="s2s-map catalog list"):
        get_entry("zzz", load_catalog())


def test_a_misspelt_key_suggests_the_right_one(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(f"a: {{{FIELDS.format(title='t')}, uri: x.tif, atribution: me}}")
    with pytest.raises(ConfigError, match="attribution") as error:
        load_catalog([path])
    assert "atribution" in one_line(error)
    assert "my.yaml" in one_line(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {title: t}", "has no type"),
        ("a: {type: stack}", "type: 'stack'; expected type: raster"),
        ("a: 3", "holds 3"),
        ("[1, 2]", "holds a list; expected entries by name"),
    ],
)
def test_what_is_not_an_entry_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    with pytest.raises(S2SMapError, match=message) as error:
        load_catalog([path])
    assert "my.yaml" in one_line(error)


def test_an_empty_catalog_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("# nothing yet\n")
    assert "iguacu_landsat8" in load_catalog([path])


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no catalog file .*absent\.yaml"):
        load_catalog([tmp_path / "absent.yaml"])
    (tmp_path / "empty").mkdir()
    uris = {"file": "absent.tif", "glob": "absent/*.tif", "folder": "empty"}
    catalog = load_catalog([write_catalog(tmp_path / "my.yaml", **uris)])
    for name, message in (("file", "no file"), ("glob", "no images"), ("folder", "no images")):
        with pytest.raises(ImageryError, match=message) as error:
            scenes(catalog[name])
        one_line(error)


@pytest.mark.parametrize("name", ["absent.tif", "../errors.py", "/etc/passwd", ""])
def test_sample_names_stay_in_the_sample_folder(name: str) -> None:
    with pytest.raises(CatalogError, match="no sample data"):
        sample_path(name)

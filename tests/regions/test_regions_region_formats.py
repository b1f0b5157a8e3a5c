"""Region files of every format: what they hold, and one line for those that are none."""

from __future__ import annotations

import zipfile
from pathlib import Path

import geopandas
import pytest
import shapely
from odc.geo.crs import CRS

from s2s_map.config.region_path import file_and_layer
from s2s_map.config.run import load_run_config
from s2s_map.errors import RegionError
from s2s_map.regions.region_file import read_outline

DATA = Path(__file__).parents[1] / "data" / "regions"
PARK = shapely.box(-54.6, -25.5, -54.4, -25.3)
RING = "-54.6,-25.5 -54.4,-25.5 -54.4,-25.3 -54.6,-25.3 -54.6,-25.5"
POLYGON = (
    "<Polygon><outerBoundaryIs><LinearRing><coordinates>"
    f"{RING}</coordinates></LinearRing></outerBoundaryIs></Polygon>"
)


def kml(body: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    return f'{head}<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{body}</Document></kml>'


def placemark(body: str = POLYGON) -> str:
    return f"<Placemark><name>p</name>{body}</Placemark>"


def kmz(path: Path, **files: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/") + ".kml", text)
    return path


def test_a_kml_and_a_kmz_are_read(tmp_path: Path) -> None:
    found = read_outline(str(DATA / "park.kml"), [])
    assert found.geometry.equals(PARK)
    assert not found.geometry.has_z
    assert found.crs == CRS("EPSG:4326")
    zipped = kmz(tmp_path / "park.kmz", doc=(DATA / "park.kml").read_bytes(), files__other=kml(""))
    assert read_outline(str(zipped), []).geometry.equals(PARK)


def test_polygons_of_all_folders_of_a_kml_count(tmp_path: Path) -> None:
    east = POLYGON.replace("-54.6", "-54.2")
    folders = "".join(
        f"<Folder><name>{name}</name>{placemark(body)}</Folder>"
        for name, body in (("west", POLYGON), ("east", east))
    )
    path = tmp_path / "folders.kml"
    path.write_text(kml(folders))
    both = shapely.union(PARK, shapely.box(-54.4, -25.5, -54.2, -25.3))
    assert read_outline(path, []).geometry.equals(both)
    assert read_outline(f"{path}:west", []).geometry.equals(PARK)


def test_a_kml_of_two_bytes_a_letter_is_read(tmp_path: Path) -> None:
    path = tmp_path / "park.kml"
    path.write_text(kml(placemark(), '<?xml version="1.0" encoding="UTF-16"?>'), "utf-16")
    assert read_outline(path, []).geometry.equals(PARK)


def test_a_flatgeobuf_is_read() -> None:
    expected = geopandas.read_file(DATA / "one.fgb").geometry.union_all()
    assert read_outline(str(DATA / "one.fgb"), []).geometry.equals(expected)


@pytest.mark.parametrize("layer", ["parks", "other"])
def test_a_layer_is_named_after_a_colon(layer: str) -> None:
    expected = geopandas.read_file(DATA / "two.gpkg", layer=layer).geometry.union_all()
    found = read_outline(f"{DATA / 'two.gpkg'}:{layer}", [])
    assert found.geometry.equals(expected)
    assert found.name == f"two.gpkg:{layer}"


def test_the_only_layer_of_polygons_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "one.gpkg"
    for layer, shape in (("springs", PARK.centroid), ("parks", PARK)):
        frame = geopandas.GeoDataFrame(geometry=[shape], crs="EPSG:4326")
        frame.to_file(path, layer=layer, driver="GPKG")
    assert read_outline(path, []).geometry.equals(PARK)
    with pytest.raises(RegionError, match=r"one.gpkg holds no polygon, but Points"):
        read_outline(f"{path}:springs", [])


def test_a_config_beside_a_file_names_its_layer(tmp_path: Path) -> None:
    (tmp_path / "two.gpkg").write_bytes((DATA / "two.gpkg").read_bytes())
    (tmp_path / "run.yaml").write_text(
        "output: out\nsource: x\nregion: two.gpkg:parks\nqueries: [{text: waves}]\n"
    )
    region = load_run_config(tmp_path / "run.yaml").region
    assert region == str(tmp_path / "two.gpkg:parks")
    assert read_outline(region, []).geometry.area > 0.0


@pytest.mark.parametrize(
    ("text", "path", "layer"),
    [
        ("a.gpkg", "a.gpkg", None),
        ("a.gpkg:b", "a.gpkg", "b"),
        ("C:/maps/a.GPKG:b:c", "C:/maps/a.GPKG", "b:c"),
        ("C:/maps/a.gpkg", "C:/maps/a.gpkg", None),
        ("Kenya", "Kenya", None),
    ],
)
def test_what_is_a_layer(text: str, path: str, layer: str | None) -> None:
    assert file_and_layer(text) == (Path(path), layer)


def test_longitudes_of_a_file_may_go_on_beyond_180(tmp_path: Path) -> None:
    path = tmp_path / "fiji.geojson"
    geopandas.GeoDataFrame(geometry=[shapely.box(177, -19, 182, -16)], crs="EPSG:4326").to_file(
        path
    )
    found = read_outline(path, [])
    assert found.extent.bounds == (177.0, -19.0, -178.0, -16.0)
    assert found.geometry.area == 15.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two.gpkg", r"has 2 layers: parks \(Polygon\), other \(Polygon\).*'two.gpkg:parks'"),
        ("two.gpkg:lakes", r"has no layer 'lakes'; expected one of parks \(Polygon\), other"),
        ("absent.gpkg:parks", r"no region file .*absent.gpkg"),
        (
            "utm_nocrs.geojson",
            r"look like UTM metres \(740000 7180000 to 760000 7195000\).*give the CRS",
        ),
    ],
)
def test_what_is_not_said_is_asked_for(name: str, message: str) -> None:
    with pytest.raises(RegionError, match=message) as error:
        read_outline(str(DATA / name), [])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("corner", "looks"),
    [
        ((2_500_000.0, 3_000_000.0), "metres of a projection, such as Web Mercator"),
        ((-25.5, 130.0), "latitude before longitude"),
        ((4e8, 4e8), "no place on the Earth"),
    ],
)
def test_coordinates_that_are_no_degrees_say_what_they_look_like(
    tmp_path: Path, corner: tuple[float, float], looks: str
) -> None:
    x, y = corner
    box = shapely.box(x, y, x + 1.0, y + 1.0)
    path = tmp_path / "r.geojson"
    geopandas.GeoDataFrame(geometry=[box], crs="EPSG:4326").to_file(path)
    with pytest.raises(RegionError, match=f"but its coordinates look like {looks}"):
        read_outline(path, [])


BILLION = (
    '<!DOCTYPE kml [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>"
)
LINK = "<NetworkLink><Link><href>{href}</href></Link></NetworkLink>"


def hostile(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return files, and what is said of each."""
    texts = {
        "entities.kml": (kml(placemark("&i;"), BILLION), "declares entities"),
        "outside.kml": (
            kml(placemark(), '<!DOCTYPE kml SYSTEM "file:///etc/passwd">'),
            "declares entities or a document type",
        ),
        "points.kml": (
            kml(placemark("<Point><coordinates>1,2</coordinates></Point>")),
            "holds no polygon",
        ),
        "nothing.kml": (kml(""), "holds no polygon"),
        "torn.kml": (kml(placemark())[:200], "cannot be read|holds no polygon"),
        "page.kml": ("<html><body>Not found</body></html>", "is not KML"),
        "empty.kml": ("", "is empty"),
        "empty.fgb": ("", "is empty"),
        "text.fgb": ("hello", "is not a fgb file"),
        "torn.fgb": ("fgb\x03fgb\x00", "cannot be read|holds no polygon"),
        "text.gpkg": ("hello", "is not a gpkg file"),
        "torn.gpkg": ("SQLite format 3\0hello", "cannot be read"),
        "text.kmz": ("hello", "is not a kmz file"),
        "torn.kmz": ("PK\3\4hello", "cannot be unpacked"),
        "virtual.geojson": (
            "<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>/etc/passwd"
            "</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>",
            "is not a geojson file",
        ),
        "none.geojson": ('{"type": "FeatureCollection", "features": []}', "is empty"),
    }
    found: dict[str, tuple[Path, str]] = {}
    for name, (text, said) in texts.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        found[name] = path, said
    found["bomb.kmz"] = kmz(folder / "bomb.kmz", doc=b" " * 60_000_000), "more than 50 MB of text"
    with zipfile.ZipFile(folder / "photos.kmz", "w") as archive:
        archive.writestr("photo.jpg", b"")
    found["photos.kmz"] = folder / "photos.kmz", "holds no .kml"
    return found


def test_hostile_files_are_one_line(tmp_path: Path) -> None:
    for name, (path, said) in hostile(tmp_path).items():
        with pytest.raises(RegionError, match=said) as error:
            read_outline(str(path), [])
        text = str(error.value)
        assert name in text
        assert "\n" not in text
        assert len(text) < 1000


def test_network_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other.kml").write_text(kml(placemark()))
    links = LINK.format(href="other.kml") + LINK.format(href=(tmp_path / "other.kml").as_uri())
    for path in (tmp_path / "links.kml", tmp_path / "links.kmz"):
        if path.suffix == ".kml":
            path.write_text(kml(links))
        else:
            kmz(path, doc=kml(links), other=kml(placemark()))
        with pytest.raises(RegionError, match=r"holds no polygon.*network links are not followed"):
            read_outline(path, [])
    beside = tmp_path / "beside.kml"
    east = placemark(POLYGON.replace("-54.6", "-54.2"))
    beside.write_text(kml(links + east))
    assert read_outline(beside, []).geometry.equals(shapely.box(-54.4, -25.5, -54.2, -25.3))

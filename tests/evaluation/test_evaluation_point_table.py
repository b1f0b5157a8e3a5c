"""Tables of observations as people write them."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
from shapely.geometry import Point

from s2s_map.errors import DataError
from s2s_map.evaluation.point_table import BadRow, read_points


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_presences_and_bad_rows(tmp_path: Path) -> None:
    text = "lon,lat,note\n8.5,47.4,a\nx,47,b\n8.6,91,c\n-190,10,d\n"
    points = read_points(write(tmp_path / "p.csv", text))
    assert points.longitude.tolist() == [8.5, 170.0]
    assert points.present is None
    assert points.bad == (
        BadRow(2, "lon and lat are not numbers"),
        BadRow(3, "lon and lat are not on Earth"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "latitude;longitude;present\n47.4;8.5;1\n47.5;8.6;0\n47;8;maybe\n",
        "\ufeffdecimalLatitude\tdecimalLongitude\toccurrenceStatus\n"
        "47.4\t8.5\tPRESENT\n47.5\t8.6\tABSENT\n47\t8\t\n",
    ],
)
def test_absences_in_other_words(tmp_path: Path, text: str) -> None:
    points = read_points(write(tmp_path / "p.csv", text))
    assert points.present is not None
    assert points.present.tolist() == [True, False]
    assert points.longitude.tolist() == [8.5, 8.6]
    assert points.bad[0].row == 3
    assert "neither 1 nor 0" in points.bad[0].reason


@pytest.mark.parametrize("name", ["p.gpkg", "p.parquet", "p.geojson"])
def test_files_with_geometries(tmp_path: Path, name: str) -> None:
    frame = geopandas.GeoDataFrame(
        {"present": [1, 0]}, geometry=[Point(8.5, 47.4), Point(8.6, 47.5)], crs="EPSG:4326"
    )
    if name == "p.gpkg":
        frame = frame.to_crs("EPSG:2056")
    if name == "p.parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_file(tmp_path / name)
    points = read_points(tmp_path / name)
    assert points.longitude == pytest.approx([8.5, 8.6], abs=1e-6)
    assert points.present is not None
    assert points.present.tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.csv", "a,b\n1,2\n", "lacks the columns lon, lat"),
        ("p.csv", "lon,b\n1,2\n", "lacks the column lat; expected"),
        ("p.csv", "x,y\n2600000,1200000\n", "give a GeoPackage with its CRS"),
        ("p.csv", "", "does not open as a table"),
        ("p.csv", "lon,lat\nx,y\n", r"no usable row in .* \(row 1: lon and lat are not numbers\)"),
        ("p.csv", "lon,lat\n", "no usable row"),
        ("p.gpkg", "nothing", "does not open as a table"),
    ],
)
def test_refusals(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_points(write(tmp_path / name, text))
    with pytest.raises(DataError, match="no file"):
        read_points(tmp_path / f"none{Path(name).suffix}")


def test_vague_and_obscured_places_are_left_out_and_named(tmp_path: Path) -> None:
    table = tmp_path / "gbif.csv"
    table.write_text(
        "species,decimalLongitude,decimalLatitude,coordinateUncertaintyInMeters,obscured\n"
        "Crex crex,10,50,25000,false\nCrex crex,11,50,30,false\n"
        "Crex crex,12,50,,true\nCrex crex,13,50,,\n"
    )
    found = read_points(table)
    assert found.longitude.tolist() == [11.0, 13.0]
    assert [(bad.row, bad.reason) for bad in found.bad] == [
        (1, "coordinateUncertaintyInMeters is above 1,000 m"),
        (3, "its place was made vague on purpose (obscured)"),
    ]
    assert read_points(table, 25_000.0).longitude.tolist() == [10.0, 11.0, 13.0]
    assert read_points(table, 29.5).bad[1].reason == (
        "coordinateUncertaintyInMeters is above 29.5 m"
    )


def test_two_species_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "two.csv"
    table.write_text("scientificName,lon,lat\nCrex crex,10,50\nBubo bubo,11,50\n")
    with pytest.raises(DataError, match=r"2 species .* Bubo bubo and Crex crex; .* keep the rows"):
        read_points(table)


@pytest.mark.parametrize("name", ["heard", "Detected", "present"])
def test_a_column_of_zeros_and_ones_is_absences_too(tmp_path: Path, name: str) -> None:
    table = tmp_path / "heard.csv"
    table.write_text(f"lon,lat,{name}\n10,50,1\n11,50,0\n")
    present = read_points(table).present
    assert present is not None
    assert present.tolist() == [True, False]

"""Places in tables: whoever reads one reads it by the same rule."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
from shapely.geometry import LineString, Point

from s2s_map.datasets.place_table import NO_NUMBERS, OFF_EARTH, read_places
from s2s_map.datasets.table import read_table
from s2s_map.errors import DataError
from s2s_map.evaluation.point_table import read_points

TABLES = {
    "GBIF": "gbifID\tdecimalLatitude\tdecimalLongitude\teventDate\taudio\n"
    "1\t10\t200\t2020-05-01\ta.wav\n",
    "x and y": "x,y,audio\n200,10,a.wav\n",
    "semicolons": "audio;latitude;longitude\na.wav;10;-160\n",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=list(TABLES))
def test_recordings_and_observations_are_read_alike(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    (recording,) = read_table(path)
    points = read_points(path)
    assert (recording.longitude, recording.latitude) == (-160.0, 10.0)
    assert (points.longitude.tolist(), points.latitude.tolist()) == ([-160.0], [10.0])


def test_a_gbif_row_keeps_its_number_and_date(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLES["GBIF"], encoding="utf-8")
    (recording,) = read_table(tmp_path / "table.csv")
    assert (recording.key, recording.time) == ("1", "2020-05-01")


def test_rows_without_a_place_say_why(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("lon,lat\n180,-90\n-180,90\n360,0\n361,0\n0,91\nNA,1\n,\ninf,0\n")
    table = read_places(path)
    assert table.faults.tolist() == ["", "", "", *[OFF_EARTH] * 2, *[NO_NUMBERS] * 3]
    assert table.longitude[:3].tolist() == [180.0, -180.0, 0.0]
    assert table.maybe_metres


@pytest.mark.parametrize("row", ["8.5,47.3,1,", "a,8.5,47.3,1"])
def test_rows_longer_than_the_heading_are_not_shifted(tmp_path: Path, row: str) -> None:
    """pandas would take 8.5 for the row's name and 47.3 for its longitude."""
    path = tmp_path / "table.csv"
    path.write_text(f"lon,lat,present\n{row}\n")
    with pytest.raises(DataError, match="more fields than its heading"):
        read_places(path)


def test_points_are_places_and_other_geometries_are_not(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame(
        {"LON": [1.0, 2.0]}, geometry=[Point(7, 8), LineString([(0, 0), (1, 1)])], crs="EPSG:4326"
    )
    frame.to_file(tmp_path / "places.gpkg")
    table = read_places(tmp_path / "places.gpkg")
    assert table.longitude[0] == 7.0
    assert table.faults.tolist() == ["", NO_NUMBERS]

"""A data set from your own recordings, cut from a real scene."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from fixtures_models import TINY_HTSAT
from fixtures_sounds import CAPTIONS, SOUNDS

from s2s_map.catalog.catalog import get_entry, load_catalog
from s2s_map.cli.main import main
from s2s_map.datasets.build import BuildSettings, build_dataset
from s2s_map.datasets.reading import open_dataset
from s2s_map.datasets.schema import GEOSOUND, Wanted
from s2s_map.datasets.table import TableRow, read_table
from s2s_map.errors import DataError, OutputMismatchError
from s2s_map.imagery.sources.open_source import open_source

SMALL = BuildSettings(tile_px=32, zooms=(1, 3), shares=(1, 0, 0))
WANTED = Wanted(images=("sentinel",), captions=(("sentinel", 1), ("sentinel", 3)))


def rows() -> list[TableRow]:
    return [
        TableRow(
            sound.stem, -54.45 + 0.03 * i, -25.45, sound, "2020-05-18 06:00", CAPTIONS[sound.stem]
        )
        for i, sound in enumerate(SOUNDS)
    ]


def write_csv(path: Path, **changes: str) -> Path:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["ID", "lon", "lat", "time", "audio", "caption"])
        for row in rows():
            audio = changes.get(row.key, str(row.audio))
            table.writerow([row.key, row.longitude, row.latitude, row.time, audio, row.caption])
    return path


@pytest.fixture(scope="module")
def scene() -> Any:
    return open_source(get_entry("iguacu_landsat8", load_catalog()))


def test_pictures_sounds_and_times_of_every_row(scene: Any, tmp_path: Path) -> None:
    built = build_dataset(rows(), scene, tmp_path / "set", SMALL, audio=TINY_HTSAT, threads=2)
    assert built.rows == {"train": 6, "val": 0, "test": 0}
    samples = list(open_dataset(tmp_path / "set", "train", WANTED, cache=tmp_path / "cache"))
    assert [sample.key for sample in samples] == [sound.stem for sound in SOUNDS]
    for sample in samples:
        assert sample.images["sentinel"].shape == (3, 96, 96)
        assert sample.images["sentinel"].std() > 5
        assert sample.mel is not None
        assert sample.mel.shape == (5, TINY_HTSAT.frames, TINY_HTSAT.mel_bins)
        assert (sample.month, sample.hour, sample.audio_source) == (5, 6, None)
        assert sample.audio_caption == CAPTIONS[sample.key]
        assert not sample.image_captions
    assert len({sample.images["sentinel"].tobytes() for sample in samples}) == 6


def test_what_cannot_be_used_is_left_out_and_listed(scene: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF and then nothing")
    given = rows()
    given[1] = TableRow("broken", given[1].longitude, given[1].latitude, bad)
    given[2] = TableRow("gone", given[2].longitude, given[2].latitude, tmp_path / "gone.mp3")
    given[3] = TableRow("at sea", 0.0, 0.0, SOUNDS[0])
    given[4] = TableRow("polar", 0.0, 89.0, SOUNDS[0])
    built = build_dataset(given, scene, tmp_path / "set", SMALL, audio=TINY_HTSAT)
    assert built.rows["train"] == 2
    content = json.loads((tmp_path / "set" / "skipped.json").read_text())
    listed = {row["key"]: row["reason"] for row in content}
    assert list(listed) == ["broken", "gone", "at sea", "polar"]
    assert "0% of its picture" in listed["at sea"]
    assert "UTM" in listed["polar"]
    with pytest.raises(DataError, match="none of 1 rows can be used: gone"):
        build_dataset([given[2]], scene, tmp_path / "none", SMALL, audio=TINY_HTSAT)


def test_it_goes_on_where_it_stopped(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2s_map.datasets.build.FILE_ROWS", 2)

    class Stopping:
        entry = scene.entry
        reads = 0

        def over(self, area: Any) -> Any:
            Stopping.reads += 1
            if Stopping.reads == 4:
                raise KeyboardInterrupt
            return scene.over(area)

    stopping: Any = Stopping()
    with pytest.raises(KeyboardInterrupt):
        build_dataset(rows(), stopping, tmp_path / "set", SMALL, audio=TINY_HTSAT, threads=1)
    first = (tmp_path / "set" / "train-00000.parquet").stat().st_mtime_ns
    assert not (tmp_path / "set" / "train-00001.parquet").exists()
    build_dataset(rows(), scene, tmp_path / "set", SMALL, audio=TINY_HTSAT)
    assert (tmp_path / "set" / "train-00000.parquet").stat().st_mtime_ns == first
    build_dataset(rows(), scene, tmp_path / "whole", SMALL, audio=TINY_HTSAT)
    pairs = [
        open_dataset(tmp_path / n, "train", WANTED, cache=tmp_path / n / "cache")
        for n in ("set", "whole")
    ]
    for one, other in zip(*pairs, strict=True):
        np.testing.assert_array_equal(one.mel, other.mel)
        np.testing.assert_array_equal(one.images["sentinel"], other.images["sentinel"])
    with pytest.raises(OutputMismatchError, match="another table"):
        build_dataset(rows()[1:], scene, tmp_path / "set", SMALL, audio=TINY_HTSAT)


def test_the_command_builds_a_set_that_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_csv(tmp_path / "mine.csv", dog="nowhere.mp3")
    main_ok(
        ["dataset", "build", str(table), "--source", "iguacu_landsat8", "--out",
         str(tmp_path / "set"), "--tile-px", "32", "--zooms", "1", "--shares", "0.5,0.25,0.25"]
    )  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert "1 rows left out" in said
    total = 0
    for split in ("train", "val", "test"):
        if list((tmp_path / "set").glob(f"{split}-*.parquet")):
            wanted = Wanted(images=("sentinel",), captions=(("sentinel", 1),))
            total += len(open_dataset(tmp_path / "set", split, wanted, cache=tmp_path / "c"))
    assert total == 5


def main_ok(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code


def test_tables_of_any_kind(tmp_path: Path) -> None:
    from_csv = read_table(write_csv(tmp_path / "mine.csv"))
    assert from_csv == rows()
    frame = geopandas.GeoDataFrame(
        {"id": [r.key for r in rows()], "audio": [str(r.audio) for r in rows()]},
        geometry=[shapely.Point(r.longitude, r.latitude) for r in rows()],
        crs="EPSG:4326",
    ).to_crs("EPSG:32621")
    frame.to_parquet(tmp_path / "mine.parquet")
    from_parquet = read_table(tmp_path / "mine.parquet")
    assert [row.key for row in from_parquet] == [row.key for row in rows()]
    assert from_parquet[0].longitude == pytest.approx(rows()[0].longitude, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lon,time\n1,2\n", "lacks the columns lat, audio"),
        ("lon,lat,audio\n400,1,a.wav\n", "row 1: lon 400"),
        ("lon,lat,audio\n1,x,a.wav\n", "lat x"),
        ("lon,lat,audio\n1,1,\n", "no audio file"),
        ("lon,lat,audio,id\n1,1,a.wav,k\n1,1,b.wav,k\n", "the id 'k' twice"),
        ("lon,lat,audio\n", "no rows"),
        ("", "does not open as a table"),
    ],
)
def test_bad_tables_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.csv")


def test_the_schema_is_the_published_one(scene: Any, tmp_path: Path) -> None:
    build_dataset(rows()[:1], scene, tmp_path, SMALL, audio=TINY_HTSAT)
    found = open_dataset(tmp_path, "train", WANTED, cache=tmp_path / "cache")
    assert found.schema is GEOSOUND

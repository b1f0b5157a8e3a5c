"""Data sets in the published schema, read from Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures_models import TINY_HTSAT
from fixtures_sounds import TILE_PX, sound_rows, write_sound_set

from s2s_map.datasets.reading import open_dataset, parquet_files
from s2s_map.datasets.sample import SkippedRow, SoundSample
from s2s_map.datasets.schema import GEOSOUND, SOUNDING_EARTH, Wanted, schema_of, split_name
from s2s_map.datasets.writing import write_parquet
from s2s_map.errors import DataError

EVERYTHING = Wanted(
    images=("sentinel", "bingmap"), captions=tuple(GEOSOUND.captions), mel=True, audio=True
)


@pytest.fixture(scope="module")
def geosound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound_set(tmp_path_factory.mktemp("geosound"), train=12, val=2, test=2)


def open_(data: Path, split: str, wanted: Wanted, **more: Any) -> Any:
    cache = (data if data.is_dir() else data.parent) / "cache"
    return open_dataset(data, split, wanted, cache=cache, **more)


def test_a_sample_has_everything_that_was_asked_for(geosound: Path) -> None:
    found = open_(geosound, "train", EVERYTHING)
    assert len(found) == 12
    assert found.schema is GEOSOUND
    first = found.read(0)
    assert isinstance(first, SoundSample)
    assert first.key == "yfcc-0"
    assert first.images["sentinel"].shape == (3, 5 * TILE_PX, 5 * TILE_PX)
    assert first.mel is not None
    assert first.mel.shape == (5, TINY_HTSAT.frames, TINY_HTSAT.mel_bins)
    assert first.waveform is not None
    assert first.rate == 48_000
    assert len(first.waveform) == pytest.approx(8.5 * 48_000, rel=0.01)
    assert first.audio_caption == "an owl calling in the forest at night, take 0"
    assert first.audio_caption_source == "meta"
    assert first.image_captions["bingmap", 5].endswith("zoom 5 as picture 0")
    assert (first.month, first.hour, first.audio_source) == (7, 18, "yfcc")
    assert -56 < first.longitude < -53
    assert -27 < first.latitude < -24


def test_the_hour_of_freesound_is_not_trusted_and_wild_dates_are_no_errors(geosound: Path) -> None:
    samples = list(open_(geosound, "train", Wanted(mel=False)))
    assert len(samples) == 12
    told = {sample.key: (sample.month, sample.hour) for sample in samples}
    assert told["freesound-3"] == (5, None)  # 2016:05:21 06:10:00
    assert told["iNat-9"] == (5, 6)  # the same date on another platform
    assert told["iNat-1"] == (3, None)
    assert told["aporee-2"] == (None, None)


def test_only_the_wanted_columns_are_read(geosound: Path) -> None:
    small = open_(geosound, "val", Wanted(mel=False, metadata=False))
    assert set(small._rows.column_names) == {
        "sample_id", "latitude", "longitude", "audio_caption", "audio_caption_source"
    }  # fmt: skip
    sample = small.read(1)
    assert (sample.mel, sample.waveform, sample.month, dict(sample.images)) == (None,) * 3 + ({},)


def test_streamed_rows_are_the_same(geosound: Path) -> None:
    whole = open_(geosound, "test", EVERYTHING)
    streamed = open_(geosound, "test", EVERYTHING, streaming=True)
    assert streamed.streamed
    for one, other in zip(whole, streamed, strict=True):
        assert one.key == other.key
        np.testing.assert_array_equal(one.mel, other.mel)
        np.testing.assert_array_equal(one.images["bingmap"], other.images["bingmap"])
    with pytest.raises(TypeError, match="streamed"):
        streamed.read(0)


def test_a_patch_is_the_middle_of_the_picture(geosound: Path) -> None:
    sample = open_(geosound, "val", EVERYTHING).read(0)
    picture = sample.images["sentinel"]
    assert np.array_equal(
        sample.patch("sentinel", 1, TILE_PX, TILE_PX),
        picture[:, 2 * TILE_PX : 3 * TILE_PX, 2 * TILE_PX : 3 * TILE_PX],
    )
    wide = sample.patch("sentinel", 1, 56)  # the published tile is wider than this picture
    assert not wide[:, 0].any()
    assert sample.patch("sentinel", 5, 56, TILE_PX).shape == (3, 56, 56)


def test_sounding_earth_has_its_own_columns(tmp_path: Path) -> None:
    data = write_sound_set(tmp_path, SOUNDING_EARTH, train=2, val=0, test=0)
    wanted = Wanted(images=("googleEarth",), captions=(("googleEarth", 1),))
    sample = open_(data, "train", wanted).read(0)
    assert sample.audio_source == "aporee"
    assert sample.image_captions["googleEarth", 1]
    with pytest.raises(DataError, match="SoundingEarth has no sentinel imagery"):
        open_(data, "train", Wanted(images=("sentinel",)))


def test_broken_rows_are_skipped_counted_and_listed(tmp_path: Path) -> None:
    rows = sound_rows(8)
    rows[1]["audio"] = {"bytes": b"no sound at all", "path": "x.mp3"}
    rows[2]["sentinel_image"] = {"bytes": b"\x89PNG half a picture", "path": None}
    rows[3]["mel_features"] = np.zeros_like(rows[3]["mel_features"])
    rows[4]["mel_features"] = np.full_like(rows[4]["mel_features"], np.nan)
    rows[5]["latitude"] = 123.0
    rows[6]["audio"] = {"bytes": b"", "path": "gone.mp3"}
    found = open_(write_parquet(tmp_path / "train.parquet", rows, GEOSOUND), "train", EVERYTHING)
    assert [sample.key for sample in found] == ["yfcc-0", "freesound-7"]
    reasons = {row.key: row.reason for row in found.skipped}
    assert list(reasons) == ["iNat-1", "aporee-2", "freesound-3", "yfcc-4", "iNat-5", "aporee-6"]
    assert "does not open as audio" in reasons["iNat-1"]
    assert "image" in reasons["aporee-2"]
    assert "missing" in reasons["freesound-3"]
    assert "not finite" in reasons["yfcc-4"]
    assert "123.0" in reasons["iNat-5"]
    assert isinstance(found.read(6), SkippedRow)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    rows = sound_rows(2)
    for row in rows:
        del row["mel_features"], row["date"]
    file = write_parquet(tmp_path / "train-00000-of-00001.parquet", rows, GEOSOUND)
    with pytest.raises(DataError, match="lacks the columns mel_features, date"):
        open_(tmp_path, "train", Wanted())
    assert len(open_(file, "train", Wanted(mel=False, metadata=False))) == 2


def test_what_is_no_data_set_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="does not open as Parquet"):
        open_(tmp_path, "train", Wanted())
    with pytest.raises(DataError, match="no Parquet files of the split val"):
        open_(tmp_path, "validation", Wanted())
    with pytest.raises(DataError, match="no split 'dev'"):
        split_name("dev")
    with pytest.raises(DataError, match="columns a, b"):
        schema_of(["b", "a"])


def test_a_set_saved_by_datasets_opens(geosound: Path, tmp_path: Path) -> None:
    import datasets

    files = {"validation": [str(f) for f in parquet_files(geosound, "val")]}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "c"))
    loaded.save_to_disk(str(tmp_path / "saved"))
    found = open_(tmp_path / "saved", "val", EVERYTHING)
    assert [sample.key for sample in found] == [s.key for s in open_(geosound, "val", EVERYTHING)]
    assert len(list(open_(tmp_path / "saved", "val", EVERYTHING, streaming=True))) == 2
    with pytest.raises(DataError, match="no split train"):
        open_(tmp_path / "saved", "train", EVERYTHING)


def test_a_hub_that_cannot_be_reached_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="cannot open the data set MVRL/GeoSound"):
        open_dataset("MVRL/GeoSound", "train", Wanted(), cache=tmp_path)

"""Captions by a vision-language model, with a tiny LLaVA of random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures_llava import write_llava
from fixtures_sounds import TILE_PX, sound_rows

from s2s_map.datasets.captioning import LlavaCaptioner, caption_dataset
from s2s_map.datasets.reading import open_dataset
from s2s_map.datasets.schema import GEOSOUND, Wanted
from s2s_map.datasets.writing import write_parquet
from s2s_map.errors import DataError, ModelError


def captionless(folder: Path, count: int = 5) -> Path:
    rows = sound_rows(count)
    for row in rows:
        for column in GEOSOUND.captions.values():
            row[column] = ""
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", rows, GEOSOUND)
    return folder


def captions(data: Path, cache: Path) -> list[dict[int, str]]:
    wanted = Wanted(mel=False, captions=tuple(GEOSOUND.captions), images=("sentinel",))
    samples = open_dataset(data, "train", wanted, cache=cache)
    return [
        {zoom: text for (kind, zoom), text in s.image_captions.items() if kind == "sentinel"}
        for s in samples
    ]


@pytest.mark.slow  # imports and builds a LLaVA
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_real_llava_captions_every_zoom(tmp_path: Path) -> None:
    data = captionless(tmp_path / "set", 3)
    ask = LlavaCaptioner.load(str(write_llava(tmp_path / "llava")))
    assert caption_dataset(data, ask, "sentinel", (1, 5), tile_px=TILE_PX, batch=2) == 6
    found = captions(data, tmp_path / "cache")
    assert [set(one) for one in found] == [{1, 5}] * 3
    # One by one the answers are the same: padding and batch play no part.
    again = captionless(tmp_path / "again", 3)
    caption_dataset(again, ask, "sentinel", (1, 5), tile_px=TILE_PX, batch=1)
    assert captions(again, tmp_path / "cache2") == found
    assert caption_dataset(data, ask, "sentinel", (1, 5), tile_px=TILE_PX) == 0


class Stopping:
    """Answers with the mean colour, and stops at the third batch."""

    def __init__(self, stop: int | None = None) -> None:
        self.asked: list[int] = []
        self.sides: set[int] = set()
        self._stop = stop

    def __call__(self, images: Sequence[np.ndarray]) -> list[str]:
        if self._stop is not None and len(self.asked) == self._stop:
            raise KeyboardInterrupt
        self.asked.append(len(images))
        self.sides |= {image.shape[-1] for image in images}
        return [f"a hum of {image.mean():.4f}" for image in images]


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data = captionless(tmp_path / "set")
    with pytest.raises(KeyboardInterrupt):
        caption_dataset(data, Stopping(stop=2), "sentinel", (3,), tile_px=TILE_PX, batch=2)
    rest = Stopping()
    assert caption_dataset(data, rest, "sentinel", (3,), tile_px=TILE_PX, batch=2) == 1
    assert rest.asked == [1]
    assert rest.sides == {3 * TILE_PX}
    found = captions(data, tmp_path / "cache")
    assert all(one[3].startswith("a hum of") for one in found)
    assert not list((data / "data").glob(".*"))


def test_a_column_that_was_not_there_is_added(tmp_path: Path) -> None:
    rows = sound_rows(2)
    for row in rows:
        for column in GEOSOUND.captions.values():
            del row[column]
    write_parquet(tmp_path / "train.parquet", rows, GEOSOUND)
    assert caption_dataset(tmp_path, Stopping(), "bingmap", (1,), tile_px=TILE_PX) == 2
    wanted = Wanted(captions=(("bingmap", 1),), audio=True)
    samples = list(open_dataset(tmp_path, "train", wanted, cache=tmp_path / "cache"))
    assert all(s.image_captions["bingmap", 1] for s in samples)


def test_what_cannot_be_captioned_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Parquet files"):
        caption_dataset(tmp_path, Stopping(), "sentinel")
    with pytest.raises(ModelError, match="cannot load the captioner"):
        LlavaCaptioner.load(str(tmp_path))
    data: Any = captionless(tmp_path / "set", 1)
    with pytest.raises(DataError, match="no captions of googleEarth"):
        caption_dataset(data, Stopping(), "googleEarth", (1,))

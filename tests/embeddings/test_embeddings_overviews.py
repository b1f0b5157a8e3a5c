"""Overviews: each cell is the mean of the valid finest cells below it, and damage has a name."""

from __future__ import annotations

import json
import pickle
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from fixtures_maps import make_grid
from fixtures_overviews import (
    all_files,
    build,
    exact_means,
    some_embeddings,
    write_embeddings,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2s_map.embeddings.overview_layout import level_layout, plan_levels
from s2s_map.embeddings.overview_schema import add_levels
from s2s_map.embeddings.overview_sealed import DamagedOverviewError
from s2s_map.embeddings.overviews import open_levels
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.outputs.zarr_files import is_embeddings_file

DIM = 3
# Half the distance of two float16 beside 1 and beside 0, and what float32 adds to it: the share is
# rounded, the product, and three sums.
UNIT, TINY, SINGLE = 2.0**-11, 2.0**-25, 5 * 2.0**-24


def check_levels(home: Path, values: NDArray[np.float32], factors: list[int]) -> None:
    levels = open_levels(home)
    assert [level.factor for level in levels] == [1, *factors]
    rng = np.random.default_rng(9)
    query = rng.standard_normal(values.shape[3])
    query /= np.linalg.norm(query)
    for slot, stored in enumerate(values.astype(np.float16)):
        for rounds, level in enumerate(levels):
            means, counts, largest = exact_means(stored, level.factor)
            assert level.geobox.shape == counts.shape
            y, x = (slice(0, size) for size in counts.shape)
            vectors, there = level.read(y, x, slot)
            assert (vectors.dtype, there.dtype) == (np.float16, np.uint32)
            np.testing.assert_array_equal(there, counts)
            assert not vectors[counts == 0].any()
            # Each level rounds once, to a number that is no larger than the largest below it; what
            # those below were off is averaged, which makes it no more.
            tolerance = rounds * ((UNIT + SINGLE) * largest * 1.01 + TINY)
            assert (np.abs(vectors - means) <= tolerance).all()
            off = np.abs(vectors @ query - means @ query)
            assert (off <= tolerance @ np.abs(query) + 1e-12).all()


# Every shard of fifteen stores is forced to the disk.
@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 140), st.integers(1, 140)),
    block_cells=st.sampled_from([7, 24, 33, 64, 96, 128, 200]),
    most_cells=st.sampled_from([1, 3, 20, 64]),
    slots=st.integers(1, 2),
    share=st.sampled_from([0.0, 0.02, 0.5, 0.95, 1.0]),
    seed=st.integers(0, 5),
)
def test_similarity_is_the_mean_of_the_valid_cells(
    shape: tuple[int, int],
    block_cells: int,
    most_cells: int,
    slots: int,
    share: float,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # No more than 9 blocks: each is forced to the disk.
    shape = (min(shape[0], 3 * block_cells), min(shape[1], 3 * block_cells))
    rng = np.random.default_rng(seed)
    # Corners without a single cell, too.
    valid = rng.random(shape) < share
    valid[: shape[0] // 2, : shape[1] // 3] = False
    values = some_embeddings(shape, DIM, valid, slots, seed)
    home = tmp_path_factory.mktemp("levels")
    store = write_embeddings(home, values, block_cells, most_cells)
    build(store)
    factors = [level.factor for level in plan_levels(store.grid, most_cells)]
    assert max(shape) / (factors[-1] if factors else 1) <= most_cells
    check_levels(home, values, factors)
    assert build(store).made == 0
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks of 128 cells: levels 2 and 4 are written with them, 8 and 16 above."""
    home = tmp_path_factory.mktemp("sound") / "out"
    valid = np.ones((300, 420), dtype=bool)
    valid[:128, 128:256] = False
    valid[200:, :50] = False
    build(write_embeddings(home, some_embeddings((300, 420), DIM, valid, 2), 128, 64))
    return home


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "out")
    return tmp_path / "out"


def opened(home: Path) -> EmbeddingsStore:
    return EmbeddingsStore.open(home / "embeddings.zarr")


def test_which_levels_are_written_with_blocks() -> None:
    grid = make_grid((5000, 300), block_cells=128)
    assert [
        (level.factor, level.shape, level.shard_cells, level.with_blocks)
        for level in plan_levels(grid, 256)
    ] == [
        (2, (2500, 150), 64, True),
        (4, (1250, 75), 32, True),
        (8, (625, 38), 128, False),
        (16, (313, 19), 128, False),
        (32, (157, 10), 128, False),
    ]
    assert plan_levels(grid, 0) == ()
    assert plan_levels(make_grid((256, 256)), 256) == ()
    assert not level_layout(make_grid(block_cells=100), 8).with_blocks


def test_overviews_are_the_same_bytes_whenever_they_are_made(sound: Path, tmp_path: Path) -> None:
    valid = np.ones((300, 420), dtype=bool)
    valid[:128, 128:256] = False
    valid[200:, :50] = False
    values = some_embeddings((300, 420), DIM, valid, 2)
    store = write_embeddings(tmp_path / "out", values, 128, 0)
    assert len(open_levels(tmp_path / "out")) == 1
    assert build(store).levels == 0
    add_levels(store, 64)
    assert len(open_levels(tmp_path / "out")) == 1
    found = build(store)
    assert (found.levels, found.made) == (3, 11 + 1)
    assert all_files(tmp_path / "out" / "embeddings.zarr") == all_files(sound / "embeddings.zarr")


def test_reads_any_window_and_no_other(sound: Path) -> None:
    for level in open_levels(sound):
        ny, nx = level.geobox.shape
        whole = level.read(slice(0, ny), slice(0, nx), 1)
        y, x = slice(ny // 3, ny - 1), slice(1, nx // 2 + 1)
        for one, other in zip(level.read(y, x, 1), whole, strict=True):
            np.testing.assert_array_equal(one, other[y, x])
        assert level.read(slice(3, 3), slice(0, 1))[0].shape == (0, 1, DIM)
        for wrong in (slice(0, ny + 1), slice(-1, 2), slice(0, 4, 2)):
            with pytest.raises(IndexError):
                level.read(wrong, slice(0, 1))


def test_grids_begin_where_the_map_does(sound: Path) -> None:
    base, *coarser = open_levels(sound)
    for level in coarser:
        assert level.geobox.crs == base.geobox.crs
        assert (level.geobox.transform.c, level.geobox.transform.f) == (
            base.geobox.transform.c,
            base.geobox.transform.f,
        )
        assert level.geobox.transform.a == base.geobox.transform.a * level.factor
        assert level.geobox.shape == tuple(-(-n // level.factor) for n in base.geobox.shape)


def test_xarray_and_zarr_read_them_by_the_convention(sound: Path) -> None:
    path = sound / "embeddings.zarr"
    group = zarr.open_group(path, mode="r")
    conventions = group.attrs["zarr_conventions"]
    assert isinstance(conventions, list)
    assert {c["name"] for c in conventions} == {"multiscales", "proj:", "spatial:"}
    layout = group.attrs["multiscales"]["layout"]  # type: ignore[call-overload, index]
    assert [entry["asset"] for entry in layout] == [
        "embedding",
        *(f"overviews/{factor}/embedding" for factor in (2, 4, 8)),
    ]
    for before, entry in pairwise(layout):
        assert entry["derived_from"] == before["asset"]
        assert entry["transform"]["scale"] == [1.0, 2.0, 2.0, 1.0]
        array = group[entry["asset"]]
        assert list(array.shape[1:3]) == entry["spatial:shape"]  # type: ignore[union-attr]
    level = open_levels(sound)[2]
    with xr.open_zarr(path, group="overviews/4", consolidated=False) as dataset:
        ny, nx = level.geobox.shape
        vectors, counts = level.read(slice(0, ny), slice(0, nx))
        np.testing.assert_array_equal(dataset["embedding"][0].fillna(0.0), vectors)
        np.testing.assert_array_equal(dataset["counts"][0], counts)
        coordinates = level.geobox.coordinates
        np.testing.assert_array_equal(dataset["x"], coordinates["x"].values)
        np.testing.assert_array_equal(dataset["y"], coordinates["y"].values)
        assert dataset["embedding"].isnull().any(dim="dim")[0].equals(dataset["counts"][0] == 0)
    with xr.open_zarr(path, consolidated=False) as whole:
        assert whole["embedding"].shape == (2, 300, 420, DIM)


def test_every_file_is_known_as_part_of_the_embeddings(sound: Path) -> None:
    names = all_files(sound / "embeddings.zarr")
    assert "overviews/seals.json" in names
    assert all(is_embeddings_file(name) for name in names)
    for other in ("overviews/notes.txt", "overviews/2/mine.tif", "overviews/2/embedding/c/a"):
        assert not is_embeddings_file(other)


def test_blocks_that_are_embedded_again_change_what_is_above(home: Path) -> None:
    valid = np.ones((300, 420), dtype=bool)
    before = all_files(home / "embeddings.zarr")
    values = some_embeddings((300, 420), DIM, valid, 2)
    write_embeddings(home, values, 128, 64, ["r000-c001"])
    # Level 8 is of what was there before.
    assert [level.factor for level in open_levels(home)] == [1, 2, 4]
    assert build(opened(home)).made == 1
    check = np.where(valid, 1, 0)
    check[200:, :50] = 0
    level = open_levels(home)[3]
    counts = level.read(slice(0, 38), slice(0, 53))[1]
    assert counts.sum() == check.sum()
    # And back again, to the byte.
    values[:, :128, 128:256] = np.nan
    write_embeddings(home, values, 128, 64, ["r000-c001"])
    build(opened(home))
    assert all_files(home / "embeddings.zarr") == before


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [flipped, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("factor", [2, 8])
@pytest.mark.parametrize("array", ["embedding", "counts"])
def test_damage_is_named_and_made_again(home: Path, harm, factor: int, array: str) -> None:  # type: ignore[no-untyped-def]
    before = all_files(home / "embeddings.zarr")
    folder = home / "embeddings.zarr" / "overviews" / str(factor) / array / "c"
    harm(next(path for path in sorted(folder.rglob("*")) if path.is_file()))
    level = next(one for one in open_levels(home) if one.factor == factor)
    ny, nx = level.geobox.shape
    with pytest.raises(DamagedOverviewError, match=rf"overview {factor} .* r000-c000.*") as caught:
        level.read(slice(0, ny), slice(0, nx))
    assert "s2s-map overviews" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).reasons == caught.value.reasons  # noqa: S301
    assert all_files(home / "embeddings.zarr") != before


def test_shards_in_each_others_place_are_noticed(home: Path) -> None:
    # Each of one chunk, whose CRC-32C are the same.
    one, other = (
        home / "embeddings.zarr/overviews/4/embedding/c/0" / place / "0" for place in ("0/0", "1/1")
    )
    one.rename(home / "aside")
    other.rename(one)
    (home / "aside").rename(other)
    with pytest.raises(DamagedOverviewError, match=r"at r000-c000 and 1 more: .*CRC-32 "):
        open_levels(home)[2].read(slice(0, 60), slice(0, 60))


def test_damage_below_is_found_and_made_again_on_the_way(home: Path) -> None:
    before = all_files(home / "embeddings.zarr")
    overviews = home / "embeddings.zarr" / "overviews"
    (overviews / "seals.json").unlink()
    flipped(overviews / "4" / "embedding" / "c" / "0" / "1" / "1" / "0")
    found = build(opened(home))
    assert found.made == 2
    assert all_files(home / "embeddings.zarr") == before


def test_seals_that_no_run_wrote_are_not_believed(home: Path) -> None:
    before = all_files(home / "embeddings.zarr")
    seals = home / "embeddings.zarr" / "overviews" / "seals.json"
    content = json.loads(seals.read_text())
    for wrong in (b"", b"[", b'{"8": 3}', json.dumps({"4": content["8"]}).encode(), b"\xff"):
        seals.write_bytes(wrong)
        assert [level.factor for level in open_levels(home)] == [1, 2, 4]
    build(opened(home))
    assert all_files(home / "embeddings.zarr") == before


def test_metadata_of_a_level_that_are_damaged_are_named(home: Path) -> None:
    metadata = home / "embeddings.zarr" / "overviews" / "2" / "embedding" / "zarr.json"
    metadata.write_text(metadata.read_text().replace("210", "211"))
    with pytest.raises(StoreError, match=r"cannot read the overviews of factor 2"):
        open_levels(home)
    assert opened(home).damaged_files() == ["overviews/2/embedding/zarr.json"]

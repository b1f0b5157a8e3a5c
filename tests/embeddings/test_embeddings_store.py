"""The embeddings store: what is written is what is read, and damage has a name."""

from __future__ import annotations

import errno
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from fixtures_maps import largest_file, make_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2s_map.embeddings.schema import CHECKSUM, chunk_cells, metadata_checksum
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputError, StoreError
from s2s_map.tiling.blocks import Block

DIM = 8
SLOTS = ["m05-h06", "m10-h20"]
GRID = make_grid((70, 50), block_cells=32)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingsStore:
    attributes = {"model": {"name": "s2s-mini", "sha256": "ab"}, "imagery": "Landsat"}
    return EmbeddingsStore.create(tmp_path / "embeddings.zarr", GRID, DIM, SLOTS, attributes)


def values_of(block: Block, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed + 100 * block.row + block.col)
    values: NDArray[np.float32] = rng.random((len(SLOTS), *block.shape, DIM), np.float32) - 0.5
    values[:, 0, :2] = np.nan
    return values


def shard(store: EmbeddingsStore, block: Block) -> Path:
    return store.path / "embedding" / "c" / "0" / str(block.row) / str(block.col) / "0"


def test_reads_what_was_written(store: EmbeddingsStore) -> None:
    whole = np.full((len(SLOTS), *GRID.shape, DIM), np.nan, dtype=np.float32)
    for block in GRID.blocks():
        values = values_of(block)
        checksum = store.write_block(block, values)
        stored = values.astype(np.float16).astype(np.float32)
        whole[:, block.y, block.x] = stored
        np.testing.assert_array_equal(store.read_block(block), stored)
        assert store.checksum(block) == checksum
    np.testing.assert_array_equal(store.read_rows(slice(30, 41)), whole[:, 30:41])


def test_opens_with_all_it_was_made_with(store: EmbeddingsStore) -> None:
    again = EmbeddingsStore.open(store.path)
    assert again.grid == GRID
    assert again.dim == DIM
    assert again.time_slots == SLOTS
    assert again.attributes["model"] == {"name": "s2s-mini", "sha256": "ab"}


@pytest.mark.parametrize("code", ["EPSG:32721", "EPSG:6933", "EPSG:3413", "ESRI:102022"])
def test_any_metric_crs_survives(tmp_path: Path, code: str) -> None:
    grid = make_grid((3, 2), crs=code)
    EmbeddingsStore.create(tmp_path / "e.zarr", grid, 2, ["any"], {})
    assert EmbeddingsStore.open(tmp_path / "e.zarr").grid == grid


def test_one_block_is_one_shard_and_no_data_leaves_no_file(
    store: EmbeddingsStore,
) -> None:
    first, second = GRID.block(0, 0), GRID.block(0, 1)
    store.write_block(first, values_of(first))
    empty = np.full((len(SLOTS), *second.shape, DIM), np.nan, dtype=np.float32)
    checksum = store.write_block(second, empty)
    assert shard(store, first).is_file()
    assert not shard(store, second).exists()
    assert np.isnan(store.read_block(second)).all()
    assert store.checksum(second) == checksum
    # A block that had data and now has none leaves no stale shard behind.
    store.write_block(first, np.full_like(values_of(first), np.nan))
    assert np.isnan(store.read_block(first)).all()


def test_every_kind_of_nan_has_one_checksum(store: EmbeddingsStore) -> None:
    block = GRID.block(0, 0)
    values = values_of(block)
    odd = values.copy()
    odd[np.isnan(odd)] = np.array([0xFFC12345], dtype=np.uint32).view(np.float32)[0]
    assert store.write_block(block, values) == store.write_block(block, odd)
    assert store.checksum(block) == store.write_block(block, values)


def test_a_lost_shard_shows_in_the_checksum(store: EmbeddingsStore) -> None:
    block = GRID.block(1, 1)
    checksum = store.write_block(block, values_of(block))
    shard(store, block).unlink()
    assert store.checksum(block) != checksum


def test_damaged_shard_is_named(store: EmbeddingsStore) -> None:
    block = GRID.block(1, 0)
    store.write_block(block, values_of(block))
    path = shard(store, block)
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"cannot read block r001-c000 of .*embeddings\.zarr"):
        store.read_block(block)


def test_blocks_written_by_threads_do_not_disturb_each_other(
    store: EmbeddingsStore,
) -> None:
    blocks = GRID.blocks()
    with ThreadPoolExecutor(4) as pool:
        checksums = list(pool.map(lambda b: store.write_block(b, values_of(b)), blocks))
    assert [store.checksum(block) for block in blocks] == checksums


def test_pickles_as_its_path(store: EmbeddingsStore) -> None:
    block = GRID.block(0, 0)
    checksum = store.write_block(block, values_of(block))
    there = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert there.checksum(block) == checksum
    assert "70 x 50 cells of 180 m, 8 dims, float16" in repr(there)


def test_float32_store_keeps_every_bit(tmp_path: Path) -> None:
    store = EmbeddingsStore.create(tmp_path / "e.zarr", GRID, DIM, SLOTS, {}, dtype=np.float32)
    block = GRID.block(0, 0)
    store.write_block(block, values_of(block))
    np.testing.assert_array_equal(store.read_block(block), values_of(block))


def test_xarray_opens_it_with_coordinates(store: EmbeddingsStore) -> None:
    block = GRID.block(0, 0)
    store.write_block(block, values_of(block))
    with xr.open_zarr(store.path, consolidated=False) as dataset:
        assert dataset["embedding"].dims == ("time", "y", "x", "dim")
        assert list(dataset["time"].values) == SLOTS
        np.testing.assert_array_equal(dataset["x"], GRID.x)
        np.testing.assert_array_equal(dataset["y"], GRID.y)
        assert dataset["spatial_ref"].attrs["crs_wkt"] == GRID.crs.to_wkt()
        assert dataset["embedding"].attrs["grid_mapping"] == "spatial_ref"
        assert dataset.attrs["proj:code"] == "EPSG:32621"


def test_refuses_to_overwrite(store: EmbeddingsStore) -> None:
    with pytest.raises(OutputError, match="exists; resume the run, or use --overwrite"):
        EmbeddingsStore.create(store.path, GRID, DIM, SLOTS, {})


def test_missing_store_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no embeddings store at .*make one with s2s-map run"):
        EmbeddingsStore.open(tmp_path / "embeddings.zarr")


def test_other_zarr_is_not_a_store(tmp_path: Path) -> None:
    zarr.create_group(store=tmp_path / "other.zarr")
    with pytest.raises(StoreError, match="is not an embeddings store"):
        EmbeddingsStore.open(tmp_path / "other.zarr")


def edit_metadata(store: EmbeddingsStore, **attributes: object) -> None:
    path = store.path / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"] |= attributes
    metadata["attributes"][CHECKSUM] = metadata_checksum(store.path, metadata["attributes"])
    path.write_text(json.dumps(metadata))


def test_unknown_schema_version_is_refused(store: EmbeddingsStore) -> None:
    edit_metadata(store, **{"s2s_map:schema_version": 99})
    with pytest.raises(StoreError, match="schema version 99; expected version 1"):
        EmbeddingsStore.open(store.path)


@pytest.mark.parametrize(
    "attributes",
    [
        {"s2s_map:grid": {"crs_wkt": "nonsense"}},
        {"s2s_map:grid": None},
        {"s2s_map:time_slots": "m05"},
        {"s2s_map:time_slots": ["only one"]},
    ],
)
def test_damaged_attributes_are_refused(
    store: EmbeddingsStore, attributes: dict[str, object]
) -> None:
    edit_metadata(store, **attributes)
    with pytest.raises(StoreError):
        EmbeddingsStore.open(store.path)


@pytest.mark.parametrize("name", ["zarr.json", "embedding/zarr.json"])
def test_damaged_metadata_are_refused(store: EmbeddingsStore, name: str) -> None:
    (store.path / name).write_text("{")
    with pytest.raises(StoreError):
        EmbeddingsStore.open(store.path)


def test_wrong_shapes_and_values_are_refused(store: EmbeddingsStore) -> None:
    block = GRID.block(0, 0)
    with pytest.raises(ValueError, match="takes values of shape"):
        store.write_block(block, np.zeros((1, *block.shape, DIM), dtype=np.float32))
    with pytest.raises(ValueError, match="beyond the range"):
        store.write_block(block, np.full((2, *block.shape, DIM), 1e6, dtype=np.float32))
    stranger = Block(0, 0, slice(0, 5), slice(0, 5), block.bounds)
    with pytest.raises(ValueError, match="is not a block of the grid"):
        store.read_block(stranger)


def test_full_disk_is_one_line_and_keeps_the_old_block(store: EmbeddingsStore) -> None:
    block = GRID.block(0, 0)
    checksum = store.write_block(block, values_of(block))
    with (
        largest_file(1000),
        pytest.raises(OutputError, match="free some space") as caught,
    ):
        store.write_block(block, values_of(block, seed=1))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert store.checksum(block) == checksum


@given(st.integers(1, 700))
def test_chunks_divide_blocks_and_are_not_tiny(block_cells: int) -> None:
    chunk = chunk_cells(block_cells)
    assert block_cells % chunk == 0
    assert chunk <= 64 or chunk == block_cells
    assert chunk >= min(16, block_cells)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_any_order_of_blocks_gives_the_same_store(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(GRID.blocks()))
    path = tmp_path_factory.mktemp("order") / "e.zarr"
    store = EmbeddingsStore.create(path, GRID, DIM, SLOTS, {})
    for block in order:
        store.write_block(block, values_of(block))
    expected = np.concatenate(
        [np.concatenate([values_of(GRID.block(r, c)) for c in range(2)], axis=2) for r in range(3)],
        axis=1,
    )
    whole = store.read_rows(slice(0, GRID.shape[0]))
    np.testing.assert_array_equal(whole, expected.astype(np.float16).astype(np.float32))

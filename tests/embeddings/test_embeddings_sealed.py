"""Embeddings that are another than what was recorded are never read as if they were it."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from fixtures_maps import make_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from s2s_map.embeddings.sealed import DamagedBlocksError, SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.outputs.block_seal import BlockSeal

DIM, SLOTS = 4, ["m05-h06", "m10-h20"]
GRID = make_grid((150, 96), block_cells=96)
"""Of two blocks of 48 x 48 cells a chunk, and one at the edge."""


def made(path: Path) -> SealedEmbeddings:
    store = EmbeddingsStore.create(path, GRID, DIM, SLOTS, {"made": "here"})
    rng, seals = np.random.default_rng(1), {}
    for block in GRID.blocks():
        values = rng.random((len(SLOTS), *block.shape, DIM), np.float32)
        values[:, :50] = np.nan  # A row of chunks that are not stored.
        checksum = store.write_block(block, values)
        crc = store.file_crc32(block)
        seals[block.key] = BlockSeal(checksum, block.cells // 2, file_crc32=crc)
    return SealedEmbeddings.seal(store, seals)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> SealedEmbeddings:
    return made(tmp_path_factory.mktemp("sound") / "embeddings.zarr")


@pytest.fixture
def store(sound: SealedEmbeddings, tmp_path: Path) -> SealedEmbeddings:
    shutil.copytree(str(sound.path), tmp_path / "embeddings.zarr")
    return again(tmp_path / "embeddings.zarr", sound)


def again(path: Path, sound: SealedEmbeddings) -> SealedEmbeddings:
    return SealedEmbeddings.seal(EmbeddingsStore.open(path), sound._seals)


def flipped(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position // 8 % len(data)] ^= 1 << position % 8
    path.write_bytes(data)


def shards(store: EmbeddingsStore) -> list[Path]:
    found = [store.shard(block) for block in GRID.blocks()]
    return [path for path in found if isinstance(path, Path)]


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0), which=st.integers(0, 1))
def test_no_flipped_bit_is_read(
    position: int, which: int, sound: SealedEmbeddings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bit") / "embeddings.zarr"
    shutil.copytree(str(sound.path), path)
    store = again(path, sound)
    flipped(shards(store)[which], position)
    key = GRID.blocks()[which].key
    with pytest.raises(DamagedBlocksError, match=f"block {key} of .* is damaged") as caught:
        store.read_cells(0, slice(0, 150), slice(0, 96))
    assert list(caught.value.reasons) == [key]
    assert pickle.loads(pickle.dumps(caught.value)).reasons == caught.value.reasons  # noqa: S301


@settings(max_examples=30, deadline=None)
@given(position=st.integers(0))
def test_any_reader_of_zarr_notices_a_flipped_bit_of_a_chunk(
    position: int, sound: SealedEmbeddings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bit") / "embeddings.zarr"
    shutil.copytree(str(sound.path), path)
    whole = zarr.open_group(path, mode="r")["embedding"][...]
    flipped(path / shards(sound)[0].relative_to(str(sound.path)), position)
    try:
        there = zarr.open_group(path, mode="r")["embedding"][...]
    except Exception:
        return
    np.testing.assert_array_equal(there, whole)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [emptied, truncated, Path.unlink])
def test_a_shard_that_is_cut_or_gone_is_no_hole(
    store: SealedEmbeddings, harm: Callable[[Path], None]
) -> None:
    harm(shards(store)[0])
    with pytest.raises(DamagedBlocksError, match="r000-c000"):
        store.read_block(GRID.block(0, 0))
    assert np.isfinite(store.read_block(GRID.block(1, 0))).any()


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("side", [32, 96])
def test_whole_shards_in_each_others_place_are_noticed(
    tmp_path: Path, side: int, older: bool
) -> None:
    # Of one chunk, whose CRC-32C is the same whatever it holds, or of four.
    grid = make_grid((2 * side, side), block_cells=side)
    slots = SLOTS[:1]
    plain = EmbeddingsStore.create(tmp_path / "embeddings.zarr", grid, DIM, slots, {})
    rng, seals = np.random.default_rng(1), {}
    for block in grid.blocks():
        checksum = plain.write_block(block, rng.random((1, *block.shape, DIM), np.float32))
        known = {"file_crc" if older else "file_crc32"}
        crcs = {name: getattr(plain, name)(block) for name in known}
        seals[block.key] = BlockSeal(checksum, block.cells, **crcs)
    store = SealedEmbeddings.seal(plain, seals)
    one, other = (store.shard(block) for block in grid.blocks())
    assert isinstance(one, Path)
    assert isinstance(other, Path)
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    # Each is as it was written: only where it lies is wrong.
    assert np.isfinite(plain.read_block(grid.block(0, 0))).all()
    with pytest.raises(DamagedBlocksError, match="block r000-c000 and 1 more"):
        store.read_rows(slice(0, 2 * side))


def test_a_chunk_that_is_left_out_of_a_shard_is_no_hole(store: SealedEmbeddings) -> None:
    block = GRID.block(0, 0)
    store.group["embedding"][:, 48:96, 0:48, :] = np.nan
    assert np.isnan(EmbeddingsStore.open(store.path).read_block(block)[:, 60, 10]).all()
    with pytest.raises(DamagedBlocksError, match="CRC-32 "):
        store.read_block(block)


def test_blocks_without_a_seal_are_no_data_whatever_is_there(sound: SealedEmbeddings) -> None:
    seals = dict(sound._seals)
    del seals["r000-c000"]
    store = SealedEmbeddings.seal(sound, seals)
    assert np.isnan(store.read_block(GRID.block(0, 0))).all()
    cells = store.read_cells(1, slice(80, 150), slice(3, 60))
    assert np.isnan(cells[:16]).all()
    np.testing.assert_array_equal(cells[16:], sound.read_cells(1, slice(96, 150), slice(3, 60)))
    empty = SealedEmbeddings.seal(sound, {**seals, "r000-c000": BlockSeal("ab", 0)})
    with pytest.raises(DamagedBlocksError, match="holds data, where none was recorded"):
        empty.read_block(GRID.block(0, 0))


def test_blocks_of_older_versions_are_compared_with_their_values(store: SealedEmbeddings) -> None:
    seals = {key: BlockSeal(seal.checksum, seal.valid_cells) for key, seal in store._seals.items()}
    older = SealedEmbeddings.seal(store, seals)
    whole = older.read_rows(slice(0, 150))
    # The file is another, what it holds is not.
    store.write_block(GRID.block(0, 0), whole[:, :96])
    np.testing.assert_array_equal(older.read_rows(slice(0, 150)), whole)
    store.write_block(GRID.block(0, 0), whole[:, :96] + 1.0)
    with pytest.raises(DamagedBlocksError, match=r"checksum .* there, .* recorded"):
        older.read_rows(slice(0, 150))


def test_pickles_with_its_seals(store: SealedEmbeddings) -> None:
    shards(store)[0].unlink()
    there = pickle.loads(pickle.dumps(store))  # noqa: S301
    with pytest.raises(DamagedBlocksError, match="its data is missing"):
        there.read_cells(0, slice(0, 5), slice(0, 5))


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0), name=st.sampled_from(["zarr.json", "embedding/zarr.json"]))
def test_no_flipped_bit_of_the_metadata_changes_what_is_read(
    position: int,
    name: str,
    sound: SealedEmbeddings,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("bit") / "embeddings.zarr"
    shutil.copytree(str(sound.path), path)
    flipped(path / name, position)
    try:
        store = again(path, sound)
    except StoreError:
        return
    assert (store.grid, store.time_slots) == (sound.grid, sound.time_slots)
    assert store.attributes == sound.attributes
    cells = (0, slice(0, 150), slice(0, 96))
    np.testing.assert_array_equal(store.read_cells(*cells), sound.read_cells(*cells))


def test_metadata_are_written_anew_and_blocks_stay(store: SealedEmbeddings) -> None:
    path = store.path
    assert isinstance(path, Path)
    whole = store.read_rows(slice(0, 150))
    for name in ("zarr.json", "embedding/zarr.json", "x/c/0"):
        (path / name).unlink()
    with pytest.raises(StoreError, match=r"the metadata of .* are damaged; start the same run"):
        EmbeddingsStore.open(path)
    EmbeddingsStore.restore(path, GRID, DIM, SLOTS, {"made": "here"})
    np.testing.assert_array_equal(again(path, store).read_rows(slice(0, 150)), whole)
    assert EmbeddingsStore.open(path).damaged_files() == []

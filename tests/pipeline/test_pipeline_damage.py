"""Damage at rest: a run repairs it or refuses, a query refuses, and neither draws a wrong map."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from fixtures_faults import CountBlocks, result_bytes
from fixtures_objects import new_bucket, object_bytes, serve_s3, use_s3
from fixtures_plain_model import write_plain_job
from zarr.codecs import BloscCodec

from s2s_map.cli.main import main
from s2s_map.config.run import RunConfig
from s2s_map.embeddings.schema import CHECKSUM, FILES, PROVENANCE
from s2s_map.embeddings.sealed import DamagedBlocksError
from s2s_map.errors import OutputError, OutputMismatchError, StoreError
from s2s_map.outputs.path import ObjectPath
from s2s_map.outputs.zarr_files import STORE_ID
from s2s_map.pipeline.verbs.cell_lookup import cell_at
from s2s_map.pipeline.verbs.compare_stores import compare
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify

BLOCKS = 4
SHARD = "embeddings.zarr/embedding/c/0/0/0/0"
OTHER = "embeddings.zarr/embedding/c/0/1/1/0"
REFUSALS = (StoreError, OutputError)


@dataclass(frozen=True)
class Finished:
    """A finished run that nothing has happened to.

    Attributes:
        config: Its config, of another output.
        folder: Its output.
        results: Every byte of its embeddings and maps.
        asked: The same once a query has been answered.
    """

    config: dict[str, Any]
    folder: Path
    results: dict[str, bytes]
    asked: dict[str, bytes]

    def copy(self, out: Path) -> RunConfig:
        shutil.copytree(self.folder, out)
        return RunConfig(**{**self.config, "output": str(out)})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("finished")
    # Shards of four chunks.
    config = write_plain_job(folder, 2, 96, patches={"stride_m": 280})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(RunConfig(**{**config, "output": "out"}))
        shutil.copytree("out", "asked")
        query("asked", "birds")
        yield Finished(
            config, folder / "out", result_bytes(Path("out")), result_bytes(Path("asked"))
        )


@pytest.fixture(autouse=True)
def where(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder.parent)


def flipped(path: Path, share: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(share * (len(data) - 1))] ^= 0x40
    path.write_bytes(data)


def flipped_in_the_index(path: Path) -> None:
    flipped(path, 0.9999)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    path.unlink()


def swapped(path: Path) -> None:
    """With a file of the same kind, of which there are several."""
    others = {
        "0": OTHER,
        "store_id": "embeddings.zarr/x/zarr.json",
        "zarr.json": "embeddings.zarr/x/zarr.json",
    }
    root = next(p for p in path.parents if p.name == "embeddings.zarr").parent
    other = root / others[path.name]
    if other == path:
        other = root / "embeddings.zarr/y/zarr.json"
    here, there = path.read_bytes(), other.read_bytes()
    path.write_bytes(there)
    other.write_bytes(here)


HARMS = (flipped, flipped_in_the_index, truncated, emptied, deleted, swapped)
FILES_THERE = (
    SHARD,
    "embeddings.zarr/zarr.json",
    "embeddings.zarr/embedding/zarr.json",
    "embeddings.zarr/embedding/store_id",
    "embeddings.zarr/x/c/0",
    "embeddings.zarr/spatial_ref/zarr.json",
)


def test_all_kinds_of_files_are_harmed_here(finished: Finished) -> None:
    there = finished.folder / "embeddings.zarr"
    named = {Path(name).relative_to("embeddings.zarr").parts[0] for name in FILES_THERE}
    kinds = {path.name for path in there.iterdir()}
    # Coordinates are alike.
    assert kinds - named == {"y", "time"}


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("name", FILES_THERE)
def test_a_run_mends_it_and_a_query_refuses(
    name: str, harm: Callable[[Path], None], finished: Finished, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = finished.copy(out)
    harm(out / name)
    bad = verify_reasons(out)
    assert bad or harm is swapped
    said = refusal_of_query(out)
    assert said == "" or ("start the same run again" in said and "\n" not in said)
    # What a damaged map would be, there is none of.
    assert (
        result_bytes(out).items()
        >= maps_of(finished.asked if not said else finished.results).items()
    )
    seen = CountBlocks("read", tmp_path / "seen")
    seen.count.touch()
    mended = run(config, on_stage=seen)
    damaged_blocks = 2 if harm is swapped else 1
    is_data = "embedding/c/" in name or (harm is swapped and name.endswith("c/0"))
    assert seen.count.stat().st_size == (damaged_blocks if name == SHARD else is_data)
    results = result_bytes(out)
    if len(mended.concepts) == 1:
        assert results == finished.results
    else:
        assert results == finished.asked
    assert verify_reasons(out) == []


def refusal_of_query(out: Path) -> str:
    try:
        query(str(out), "birds")
    except REFUSALS as error:
        return str(error)
    return ""


def maps_of(results: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in results.items() if name.startswith("maps")}


def verify_reasons(out: Path) -> list[str]:
    try:
        return [bad.block for bad in verify(out)]
    except StoreError as error:
        return [str(error)]


def test_all_readers_refuse_a_bad_block_and_name_it(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = finished.copy(out)
    flipped(out / SHARD)
    store = open_run(out).embeddings
    x, y = store.grid.x[5], store.grid.y[5]
    for read in (
        lambda: store.read_block(store.grid.block(0, 0)),
        lambda: store.read_cells(0, slice(90, 100), slice(0, 10)),
        lambda: store.read_rows(slice(0, 1)),
        lambda: compare(out, finished.folder),
        lambda: query(str(out), "birds"),
    ):
        with pytest.raises(DamagedBlocksError, match=r"block r000-c000 of .*its file has the CRC"):
            read()
    from pyproj import Transformer

    lonlat = Transformer.from_crs(store.grid.crs.to_wkt(), "EPSG:4326", always_xy=True)
    with pytest.raises(DamagedBlocksError, match="r000-c000"):
        cell_at(store, *lonlat.transform(x, y))
    # Others are read.
    assert np.isfinite(store.read_block(store.grid.block(1, 1))).any()
    assert run(config).record.counts["patches_embedded_now"] > 0


def test_the_command_line_says_it_in_one_line(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    finished.copy(out)
    flipped(out / SHARD)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["query", str(out), "birds"])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "block r000-c000 of" in said
    assert "s2s-map run CONFIG" in said


def test_a_block_that_cannot_be_embedded_anew_is_no_data(
    finished: Finished, tmp_path: Path
) -> None:
    from fixtures_faults import FailAt

    out = tmp_path / "out"
    config = finished.copy(out)
    flipped(out / SHARD)
    left = run(config, on_stage=FailAt(("r000-c000",)))
    assert list(left.record.failed) == ["r000-c000"]
    probability = left.maps["probability"].to_numpy()
    assert np.isnan(probability[..., :96, :96]).all()
    assert np.isfinite(probability[..., 96:, 96:]).any()


def test_a_ledger_that_lost_a_block_is_no_hole(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = finished.copy(out)
    ledger = out / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    torn = [line for line in lines if b'"r000-c001"' not in line]
    ledger.write_bytes(b"".join(torn))
    with pytest.raises(StoreError, match="has 3 of the 4 blocks that its maps were made from"):
        query(str(out), "birds")
    run(config)
    assert result_bytes(out) == finished.results


def test_metadata_of_another_config_are_not_written_anew(
    finished: Finished, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = finished.copy(out)
    other = config.model_copy(
        update={"patches": config.patches.model_copy(update={"stride_m": 140})}
    )
    with pytest.raises(OutputMismatchError):
        run(other)
    flipped(out / "embeddings.zarr/zarr.json")
    with pytest.raises(
        StoreError, match=r"metadata of .* are damaged; start from scratch with --overwrite"
    ):
        run(other)
    run(config)
    assert result_bytes(out) == finished.results


def as_older_version(out: Path) -> None:
    """Take away what older versions did not write: checksums of chunks, files and metadata."""
    path = out / "embeddings.zarr"
    group = zarr.open_group(path, mode="r+")
    old = group["embedding"]
    assert isinstance(old, zarr.Array)
    values, attributes, names = old[...], old.attrs.asdict(), old.metadata.dimension_names
    chunks, shards, fill = old.chunks, old.shards, old.fill_value
    store_id = (path / "embedding" / STORE_ID).read_text().strip()
    shutil.rmtree(path / "embedding")
    array = group.create_array(
        "embedding", shape=values.shape, dtype=values.dtype, chunks=chunks, shards=shards,
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"), fill_value=fill,
        dimension_names=names, attributes=attributes, config={"write_empty_chunks": False},
    )  # fmt: skip
    array[...] = values
    metadata = json.loads((path / "zarr.json").read_text())
    for key in (CHECKSUM, FILES):
        del metadata["attributes"][key]
    metadata["attributes"][PROVENANCE][STORE_ID] = store_id
    (path / "zarr.json").write_text(json.dumps(metadata))
    lines = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("file_crc", None)
        line.pop("identity", None)
    (out / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("harm", [flipped, deleted, swapped], ids=lambda harm: harm.__name__)
def test_stores_of_older_versions_are_checked_too(
    harm: Callable[[Path], None], finished: Finished, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = finished.copy(out)
    as_older_version(out)
    assert verify(out) == []
    query(str(out), "birds")
    harm(out / SHARD)
    with pytest.raises(DamagedBlocksError, match="block r000-c000"):
        query(str(out), "rain")
    run(config)
    assert maps_of(result_bytes(out)) == maps_of(finished.asked)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_s3() as url:
        yield url


def test_an_object_store_likewise(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    use_s3(monkeypatch, server)
    root = ObjectPath(f"s3://{new_bucket(server)}", "maps")
    config = RunConfig(**{**finished.config, "output": str(root)})
    run(config)
    assert object_bytes(root) == finished.results
    shard, marker = root / SHARD, root / "blocks/r000-c000.json"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    tag = shard.write_bytes(bytes(data))
    with pytest.raises(DamagedBlocksError, match="r000-c000"):
        query(str(root), "birds")
    with pytest.raises(DamagedBlocksError, match="r000-c000"):
        open_run(str(root)).embeddings.read_rows(slice(0, 1))
    # The server's own disk: the tag is what was recorded, the bytes are not.
    line = json.loads(marker.read_bytes())
    marker.write_bytes(json.dumps({**line, "data_tag": tag}).encode())
    with pytest.raises(DamagedBlocksError, match=r"block r000-c000 of .* is damaged"):
        query(str(root), "birds")
    assert [bad.block for bad in verify(str(root))] == ["r000-c000"]
    run(config)
    assert object_bytes(root) == finished.results
    for name in ("zarr.json", "embedding/zarr.json"):
        (root / "embeddings.zarr" / name).write_bytes(b"{")
        with pytest.raises(StoreError, match=r"metadata of .* are damaged"):
            query(str(root), "birds")
        run(config)
        assert object_bytes(root) == finished.results
    assert run_status(str(root)).blocks_done == BLOCKS

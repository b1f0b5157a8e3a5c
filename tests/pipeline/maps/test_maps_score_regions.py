"""Scoring region by region: the same bytes whoever does it, and only once."""

from __future__ import annotations

import pickle
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from fixtures_encoding import DIM, HashModel
from fixtures_maps import make_grid

from s2s_map.config.run import ProbabilityConfig, QueryConfig
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.encoding.queries import encode_queries
from s2s_map.encoding.vocabulary import encode_vocabulary
from s2s_map.errors import InterruptedRunError
from s2s_map.outputs.block_seal import BlockSeal
from s2s_map.outputs.output import open_output
from s2s_map.pipeline.engine.executor import StoppedError, ThreadsExecutor
from s2s_map.pipeline.maps.questions import Questions
from s2s_map.pipeline.maps.score_regions import RegionTask, layers_of, score_maps, write_layers
from s2s_map.rasters.building import MapsBuilding
from s2s_map.rasters.maps import map_regions, read_maps
from s2s_map.reporter import Reporter
from s2s_map.scoring.probability import score_concepts

SLOTS = ["m05-h06", "m10-h20"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SealedEmbeddings:
    grid = make_grid((1100, 60), block_cells=128)
    path = tmp_path_factory.mktemp("store") / "embeddings.zarr"
    made = EmbeddingsStore.create(path, grid, DIM, SLOTS, {})
    rng, seals = np.random.default_rng(5), {}
    for block in grid.blocks():
        if block.row == 1:
            continue
        values = rng.standard_normal((2, *block.shape, DIM)).astype(np.float32)
        values /= np.linalg.norm(values, axis=-1, keepdims=True)
        checksum = made.write_block(block, values)
        seals[block.key] = BlockSeal(checksum, block.cells, file_crc32=made.file_crc32(block))
    return SealedEmbeddings.seal(made, seals)


@pytest.fixture(scope="module")
def questions() -> Questions:
    model = HashModel()
    texts = [QueryConfig(text=f"sound number {i}") for i in range(3)]
    encoded = tuple(encode_queries(model, texts, None))
    vocabulary = {"text": encode_vocabulary(model, "text", None)}
    return Questions(encoded, vocabulary, ProbabilityConfig(), 0.05, "a test")  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def made(out: Path, store: SealedEmbeddings, questions: Questions, workers: int) -> None:
    out.mkdir()
    executor = ThreadsExecutor(workers)
    building = score_maps(out, store, questions, {}, 3, Reporter(), executor)
    layers = layers_of(building, questions, out)
    layers = write_layers(building, layers, out, {}, Reporter(), executor)
    building.finish(layers, {})
    open_output(out).publish(building.target.parent)


def test_bytes_do_not_depend_on_the_number_of_workers(
    tmp_path: Path, store: SealedEmbeddings, questions: Questions
) -> None:
    made(tmp_path / "one", store, questions, 1)
    made(tmp_path / "four", store, questions, 4)
    assert files(tmp_path / "one") == files(tmp_path / "four")
    assert [p.name for p in (tmp_path / "one").iterdir() if p.name.startswith(".")] == [
        ".manifest.json"
    ]


def test_values_are_those_of_the_whole_store_at_once(
    tmp_path: Path, store: SealedEmbeddings, questions: Questions
) -> None:
    made(tmp_path / "out", store, questions, 2)
    (group,) = questions.groups()
    whole = store.read_rows(slice(0, 1100))
    probability, similarity = score_concepts(
        whole, group.vectors, group.background, group.keep, questions.method()
    )
    for i, layer in enumerate(read_maps(tmp_path / "out" / "maps.zarr")):
        np.testing.assert_allclose(layer.probability, probability[i], atol=1e-5)
        np.testing.assert_allclose(layer.similarity, similarity[i], atol=1e-5)
        assert np.isnan(layer.probability[:, 128:256]).all()


def test_a_task_pickles_and_stops(
    tmp_path: Path, store: SealedEmbeddings, questions: Questions
) -> None:
    names = tuple(query.name for query in questions.queries)
    building = MapsBuilding(tmp_path / "maps.zarr", names, store.grid, tuple(SLOTS))
    building.begin({}, 3)
    task = pickle.loads(pickle.dumps(RegionTask(store, questions, building)))  # noqa: S301
    stop = Event()
    first, *others = map_regions(store.grid)
    assert task(first, stop) == first.key
    stop.set()
    with pytest.raises(StoppedError):
        task(others[0], stop)
    assert building.missing_regions() == others


def test_what_is_done_is_not_done_again(
    tmp_path: Path, store: SealedEmbeddings, questions: Questions
) -> None:
    class Stopping(Reporter):
        def __init__(self, after: int) -> None:
            self.left, self.todo = after, 0

        def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
            self.todo = total

        def advance(self, count: int) -> None:
            self.left -= count
            if self.left == 0:
                raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="start the same run again"):
        score_maps(tmp_path, store, questions, {}, 3, Stopping(1), ThreadsExecutor(1))
    again = Stopping(-1)
    building = score_maps(tmp_path, store, questions, {}, 3, again, ThreadsExecutor(1))
    assert 0 < again.todo < len(list(map_regions(store.grid)))
    assert building.missing_regions() == []

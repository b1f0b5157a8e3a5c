"""The whole pipeline on a small region with a tiny model: real files, no network."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
from fixtures_job import write_job

from s2s_map.config.run import load_run_config
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import (
    ConfigError,
    ImageryError,
    InterruptedRunError,
    OutputError,
    OutputMismatchError,
    QueryError,
    StoreError,
)
from s2s_map.outputs.output import open_output
from s2s_map.pipeline.engine.executor import Outcome, Task, ThreadsExecutor
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.tiling.blocks import Block


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_job(tmp_path_factory.mktemp("job"))


@pytest.fixture(autouse=True)
def _catalog_in_folder(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(job.parent)


@pytest.fixture(scope="module")
def finished(job: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(job.parent)
        return run(job).folder


def embeddings(folder: Path) -> np.ndarray:
    store = EmbeddingsStore.open(folder / "embeddings.zarr")
    return store.read_rows(slice(0, store.grid.shape[0]))


def config_with(job: Path, out: Path, **changes: object):
    return load_run_config(job).model_copy(update={"output": str(out), **changes})


def test_writes_everything(finished: Path) -> None:
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    assert names == {
        "embeddings.zarr",
        "ledger.jsonl",
        "maps.zarr",
        "imagery.tif",
        "preview.png",
        "item.json",
        "project.qgz",
        "run.json",
        "waves.tif",
        "waves.qml",
        "traffic.tif",
        "traffic.qml",
    }
    record = json.loads((finished / "run.json").read_text())
    assert record["counts"]["blocks"] == 9
    assert record["counts"]["patches"] > 0
    assert set(record["timings_s"]) == {
        "prepare",
        "embed",
        "encoder_idle_share",
        "score",
        "overviews",
        "write",
    }


def test_map_lies_where_the_imagery_does(finished: Path) -> None:
    with rasterio.open(finished / "waves.tif") as maps:
        probability = maps.read(1)
        assert maps.crs.to_epsg() == 32721
        left, _, _, top = maps.bounds
    assert (left % 160, top % 160) == (0, 0)
    # The last quarter of the scene has no data, 4.5 km from its western edge.
    columns = left + 160 * np.arange(probability.shape[1]) + 80
    seen = np.isfinite(probability[5:30]).all(axis=0)
    assert seen[(columns > 600_080) & (columns < 604_400)].all()
    assert not np.isfinite(probability[:, columns > 604_600]).any()
    assert ((probability >= 0) & (probability <= 1))[np.isfinite(probability)].all()


def test_asking_again_does_not_embed_again(job: Path, finished: Path) -> None:
    before = embeddings(finished)
    again = run(job)
    assert again.record.counts["patches_embedded_now"] == 0
    np.testing.assert_array_equal(embeddings(finished), before)


def test_query_adds_a_layer_without_imagery(job: Path, finished: Path) -> None:
    scene = job.parent / "scene.tif"
    scene.rename(job.parent / "hidden.tif")
    try:
        opened = query(finished, "a river flowing", name="river")
        heard = query(finished, audio="sample:owl.mp3") if _has_audio(finished) else opened
    finally:
        (job.parent / "hidden.tif").rename(scene)
    assert opened.concepts[:3] == ["waves", "traffic", "river"]
    assert set(heard.maps["concept"].values) >= {"waves", "traffic", "river"}
    assert (finished / "river.tif").exists()
    assert (finished / "river.qml").exists()
    # A run of the config keeps what was added.
    assert "river" in run(job).concepts


def _has_audio(folder: Path) -> bool:
    return open_run(folder).record.model.name == "s2s-mini"


def test_query_refuses(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="empty"):
        query(finished, "  ")
    with pytest.raises(QueryError, match="no question"):
        query(finished)
    with pytest.raises(StoreError, match="no finished run"):
        query(tmp_path, "birds")


def test_a_run_draws_itself(finished: Path) -> None:
    done = open_run(finished)
    name = done.concepts[-1]
    figure = done.plot(name)
    maps = done.maps.probability.sel(concept=name).isel(time=0).values
    drawn = figure.axes[0].images[-1].get_array()
    np.testing.assert_array_equal(np.ma.filled(drawn, np.nan), maps)
    assert done.record.imagery.attribution in figure.axes[0].get_xlabel()
    assert len(done.plot(imagery=False).axes[0].images) == 1
    with pytest.raises(ConfigError, match="no layer 'x'; expected one of"):
        done.plot("x")
    with pytest.raises(ConfigError, match="no time slot '05'"):
        done.plot(slot="05")
    shown = done._repr_html_()
    assert "data:image/webp;base64," in shown
    assert all(f"{concept}: " in shown for concept in done.concepts)


class _Interrupting(ThreadsExecutor):
    """Ctrl-C after some blocks."""

    def __init__(self, after: int) -> None:
        super().__init__(in_flight=1)
        self._after = after

    def run(self, task: Task, items: Iterable[Block], stop: threading.Event) -> Iterator[Outcome]:
        for done, outcome in enumerate(super().run(task, items, stop), start=1):
            yield outcome
            if done == self._after:
                raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 5, 8])
def test_interrupted_run_goes_on_to_the_same_bytes(
    job: Path, finished: Path, tmp_path: Path, after: int
) -> None:
    config = config_with(job, tmp_path / "out")
    with pytest.raises(InterruptedRunError, match=f"{after} of 9"):
        run(config, executor=_Interrupting(after))
    with pytest.raises(StoreError, match="no finished run"):
        open_run(tmp_path / "out")
    resumed = run(config)
    fresh = resumed.record.counts
    assert 0 < fresh["patches_embedded_now"] < fresh["patches"]
    np.testing.assert_array_equal(embeddings(tmp_path / "out"), embeddings(finished))


def test_different_config_is_refused_with_the_difference(job: Path, finished: Path) -> None:
    config = load_run_config(job)
    coarser = config.model_copy(
        update={"patches": config.patches.model_copy(update={"stride_m": 640.0})}
    )
    with pytest.raises(OutputMismatchError, match=r"patches\.stride_m: 320\.0 -> 640\.0.*--over"):
        run(coarser)


def test_overwrite_starts_anew(job: Path, tmp_path: Path) -> None:
    first = run(config_with(job, tmp_path / "out"))
    config = config_with(job, tmp_path / "out", queries=load_run_config(job).queries[:1])
    coarser = config.model_copy(
        update={"patches": config.patches.model_copy(update={"stride_m": 640.0})}
    )
    second = run(coarser, overwrite=True)
    assert second.concepts == ["waves"]
    assert second.record.counts["patches"] < first.record.counts["patches"]
    assert not (tmp_path / "out" / "traffic.tif").exists()


def test_other_peoples_folder_is_left_alone(job: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"thesis\.txt"):
            run(config_with(job, tmp_path), overwrite=overwrite)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_two_runs_on_one_folder(job: Path, tmp_path: Path) -> None:
    with open_output(tmp_path).locked(), pytest.raises(OutputError, match="another run"):
        run(config_with(job, tmp_path))


def test_no_valid_imagery_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = write_job(tmp_path / "empty", empty=True)
    monkeypatch.chdir(empty.parent)
    with pytest.raises(ImageryError, match="no cell"):
        run(empty)


def test_region_smaller_than_a_patch(job: Path, tmp_path: Path, finished: Path) -> None:
    with rasterio.open(finished / "waves.tif") as maps:
        whole = maps.read(2)
        x, y = maps.xy(20, 10)
        lon, lat = rasterio.warp.transform(maps.crs, "EPSG:4326", [x], [y])
    box = [lon[0] - 0.002, lat[0] - 0.002, lon[0] + 0.002, lat[0] + 0.002]
    small = run(config_with(job, tmp_path / "out", region=box))
    with rasterio.open(small.folder / "waves.tif") as maps:
        part = maps.read(2)
        assert maps.width < 8
        row, col = maps.index(x, y)
    # The same cell of a larger region has the same value.
    assert part[row, col] == pytest.approx(whole[20, 10], abs=2e-3)


def test_level_patch(job: Path, tmp_path: Path) -> None:
    config = load_run_config(job)
    changed = config_with(
        job,
        tmp_path / "out",
        grid=config.grid.model_copy(update={"cell_m": 320}),
        patches=config.patches.model_copy(update={"level": "patch"}),
        probability=config.probability.model_copy(update={"method": "similarity"}),
    )
    done = run(changed)
    values = embeddings(done.folder)
    lengths = np.linalg.norm(values[np.isfinite(values[..., 0])], axis=-1)
    np.testing.assert_allclose(lengths, 1.0, atol=2e-3)
    with rasterio.open(done.folder / "waves.tif") as maps:
        np.testing.assert_array_equal(maps.read(1), maps.read(2))
        assert "no probability" in maps.descriptions[0]


def test_full_disk_leaves_a_resumable_run(job: Path, tmp_path: Path) -> None:
    import resource
    import signal

    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    config = config_with(job, tmp_path / "out")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, old[1]))
        with pytest.raises(OutputError, match="cannot write"):
            run(config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    assert run(config).record.counts["blocks"] == 9

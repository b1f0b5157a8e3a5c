"""Runs of the engine on a synthetic country, measured; used by scale.py."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import country_config

BATCH = 16


@dataclass(frozen=True)
class Region:
    """A square of the synthetic country.

    Attributes:
        folder: Where the country lies.
        side_m: Side, metres.
        stride_m: Distance of patches, metres.
        block_cells: Cells along a block.
    """

    folder: Path
    side_m: int
    stride_m: int = 640
    block_cells: int = 16

    @property
    def patches(self) -> int:
        """Patches, one a cell."""
        return (self.side_m // self.stride_m) ** 2

    def job(self, out: str, **changes: Any) -> Any:
        """Return its job, writing to a folder of this name."""
        from s2s_map.pipeline.job.job import resolve

        output = self.folder / out
        shutil.rmtree(output, ignore_errors=True)
        config = country_config(
            self.folder, output, self.side_m, self.stride_m, self.block_cells, **changes
        )
        return resolve(config, [self.folder / "catalog.yaml"])


@dataclass(frozen=True)
class Measured:
    """What a run of the engine took.

    Attributes:
        patches: Patches encoded.
        blocks: Blocks.
        seconds: From the first block to the last one recorded.
        start_s: Starting the workers, and a first small region that makes them import.
        read_s: Reading and resampling, all blocks together.
        write_s: Writing, all blocks together.
        idle: Share of the time in which an encoder had nothing to do.
        worker_mb: Peak memory of the largest worker.
        client_mb: Peak memory of the process with client and scheduler.
    """

    patches: int
    blocks: int
    seconds: float
    start_s: float
    read_s: float
    write_s: float
    idle: float
    worker_mb: float
    client_mb: float

    @property
    def ms(self) -> float:
        """Milliseconds a patch."""
        return self.seconds / self.patches * 1000


def measure(region: Region, workers: int) -> Measured:
    """Embed a region with so many worker processes, in a fresh process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(region, workers, sender))
    process.start()
    sender.close()
    try:
        found = receiver.recv()
    except EOFError:
        raise SystemExit("a measurement failed, see above") from None
    process.join()
    if not isinstance(found, Measured):
        raise TypeError(f"a measurement returned {found}")
    return found


def _measure(region: Region, workers: int, sender: Any) -> None:
    from s2s_map.pipeline.engine.dask_cluster import open_executor

    began = time.perf_counter()
    job = region.job("engine", cluster={"use": "local", "workers": workers}, batch_size=BATCH)
    warm_side = region.block_cells * region.stride_m * 2
    warm = Region(region.folder, warm_side, region.stride_m, region.block_cells).job("warm")
    with open_executor(job.config.cluster, "benchmark") as executor:
        _embed(warm, executor)
        start_s = time.perf_counter() - began
        counts, records, seconds = _embed(job, executor)
        peaks = executor.client.run(peak_mb)  # type: ignore[attr-defined]
    sender.send(
        Measured(
            counts.patches,
            counts.blocks,
            seconds,
            start_s,
            sum(record.read_s for record in records),
            sum(record.write_s for record in records),
            counts.encoder_idle,
            max(peaks.values()),
            peak_mb(),
        )
    )


def _embed(job: Any, executor: Any) -> tuple[Any, list[Any], float]:
    from s2s_map.embeddings.store import EmbeddingsStore
    from s2s_map.outputs.disk_ledger import JournalLedger
    from s2s_map.pipeline.embed.embed_blocks import embed_missing
    from s2s_map.reporter import Reporter

    job.output.mkdir(parents=True)
    store = EmbeddingsStore.create(
        job.output / "embeddings.zarr",
        job.grid,
        job.card.config.dim,
        job.time_slots,
        {"identity": job.identity()},
    )
    with JournalLedger(job.output / "ledger.jsonl") as ledger:
        began = time.perf_counter()
        counts = embed_missing(job, store, ledger, Reporter(), executor)
        seconds = time.perf_counter() - began
        records = list(ledger.state().records.values())
    if counts.failed:
        raise SystemExit(f"blocks failed: {counts.failed}")
    return counts, records, seconds


def peak_mb() -> float:
    """Return the peak resident memory of this process, MB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmHWM in /proc/self/status")


def bare_seconds(region: Region, processes: int) -> float:
    """Time uint8 blocks in memory to embeddings, without the engine, in so many processes.

    Each takes every nth block. Source pixels are in memory before the clock starts; resampling them
    to model pixels, cutting and encoding count. The time is from the first start to the last end.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    queue = context.SimpleQueue()
    running = [
        context.Process(target=_bare, args=(region, n, processes, barrier, queue))
        for n in range(processes)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
        if process.exitcode:
            raise SystemExit("a measurement failed, see above")
    spans = [queue.get() for _ in running]
    return float(max(end for _, end in spans) - min(start for start, _ in spans))


def _bare(region: Region, first: int, step: int, barrier: Any, queue: Any) -> None:
    from synthetic import COSTED

    from s2s_map.arrays import ImageBlock
    from s2s_map.catalog.catalog import scenes
    from s2s_map.encoding.satellite import embed_block
    from s2s_map.imagery.aligned import resample_aligned
    from s2s_map.imagery.lattice import Lattice
    from s2s_map.pipeline.job.patch_counts import patches_of

    job = region.job(f"bare-{first}")
    (scene,) = scenes(job.entry)
    loaded = []
    for block in list(job.grid.blocks())[first::step]:
        patchset = patches_of(job, block)
        held = _Native(scene.uri)
        lattice, window = Lattice.of(patchset.read_bounds, patchset.read_shape)
        resample_aligned(scene, lattice, window, held, None)
        loaded.append((block, patchset, held, lattice, window))
    encoder = COSTED.load("cpu")
    barrier.wait()
    began = time.perf_counter()
    for block, patchset, held, lattice, window in loaded:
        image = ImageBlock(*resample_aligned(scene, lattice, window, held, None))
        embed_block(image, patchset, block, encoder, "patch", BATCH)
    queue.put((began, time.perf_counter()))


class _Native:
    """Source pixels of one window: read when first asked for, held as uint8."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._held: tuple[Any, Any] | None = None

    def __call__(self, rows: slice, cols: slice) -> tuple[Any, Any]:
        if self._held is None:
            import rasterio

            with rasterio.open(self._uri) as source:
                window = ((rows.start, rows.stop), (cols.start, cols.stop))
                values = source.read(window=window)
            self._held = values, np.ones(values.shape[1:], dtype=np.bool_)
        values, observed = self._held
        return values.astype(np.float32), observed


def ratio(values: Sequence[float]) -> float:
    """Largest over smallest."""
    return max(values) / min(values)

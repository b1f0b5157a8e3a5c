"""Adding overviews to an output that has none, and making again what of them is damaged."""

from __future__ import annotations

from pathlib import Path

from s2s_map.config.cluster import ClusterConfig
from s2s_map.config.run import RunConfig
from s2s_map.embeddings.opening import open_ledger
from s2s_map.embeddings.overview_layout import plan_levels
from s2s_map.embeddings.overview_schema import add_levels, store_factors
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.outputs import names
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, output_path
from s2s_map.pipeline.embed.overviews import OverviewCounts, build_overviews
from s2s_map.pipeline.engine.dask_cluster import open_executor
from s2s_map.pipeline.job.output_folder import check_store_id
from s2s_map.pipeline.verbs.verify_overviews import as_damage, bad_overviews
from s2s_map.reporter import Reporter

MOST_CELLS: int = RunConfig.model_fields["overviews"].default
"""See `RunConfig.overviews`."""


def add_overviews(
    out: str | Path | ObjectPath,
    *,
    cells: int | None = None,
    thorough: bool = False,
    reporter: Reporter | None = None,
    cluster: ClusterConfig | None = None,
) -> OverviewCounts:
    """Give the embeddings of an output the overviews that they lack.

    What is damaged, or made from blocks that were embedded again since, is made again. One that was
    stopped goes on where it was.

    Args:
        out: The output, a folder or ``s3://bucket/prefix``.
        cells: Levels are added until the map fits within so many cells a side; that of a run if
            None. An output that has levels keeps them.
        thorough: Compare the values of what is there, not only its files.
        reporter: Told of the progress.
        cluster: Where they are computed; threads of this process if None.

    Raises:
        StoreError: If there are no embeddings, or other levels than are asked for.
        DamagedBlocksError: For embeddings that are not what was recorded.
        OutputError: If a run is writing there, for a full disk and the like.

    Examples:
        >>> add_overviews("out/demo").levels  # doctest: +SKIP
        1
    """
    folder, watch = output_path(out), reporter or Reporter()
    output = open_output(folder)
    output.check_access(write=True)
    # First of all: nothing is locked for what is no output.
    EmbeddingsStore.open(output.finished_home() / names.EMBEDDINGS)
    with output.locked(watch.note) as lock:
        home = output.finished_home()
        check_store_id(home)
        store = EmbeddingsStore.open(home / names.EMBEDDINGS)
        there = store_factors(store)
        wanted = [level.factor for level in plan_levels(store.grid, cells or MOST_CELLS)]
        if there and cells is not None and list(there) != wanted:
            raise StoreError(
                f"{folder} has overviews with cells of up to {there[-1]} x {there[-1]}",
                expected=f"{wanted[-1]} x {wanted[-1]}" if wanted else "none",
                remedy="leave out --cells",
            )
        store = add_levels(store, cells or MOST_CELLS)
        with (
            open_ledger(home, lock.check) as ledger,
            open_executor(cluster or ClusterConfig(), output.name, watch) as executor,
        ):
            state = ledger.state()
            found = list(bad_overviews(store, state, watch, thorough=thorough))
            return build_overviews(
                store, ledger, watch, executor, lock.check, as_damage(store, found)
            )

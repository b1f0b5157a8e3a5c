"""Starting anew in an output that holds something: what is there stays until the new is whole."""

from __future__ import annotations

import shutil
from pathlib import Path

from s2s_map.encoding.queries import query_name
from s2s_map.errors import OutputMismatchError, StoreError
from s2s_map.outputs.ledger import FINISHED
from s2s_map.outputs.manifest import Manifest
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.published import (
    finished_home,
    finished_results,
    next_home,
    remove_home,
    unfinished_homes,
)
from s2s_map.outputs.sidecars import is_sidecar
from s2s_map.outputs.zarr_files import embeddings_exist
from s2s_map.pipeline.job import output_folder as names
from s2s_map.pipeline.job.frozen_search import is_frozen, thaw
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.run_record import RunRecord, read_record
from s2s_map.reporter import Reporter

_STAGES = ("prepare", "embed", "score", "write")


def begun_before(job: Job) -> tuple[Job, OutputPath] | None:
    """Return an overwriting run of the same embeddings that was stopped, and where they lie.

    Args:
        job: The job, not frozen.

    Returns:
        The job, frozen as that run had it, and the home; None if there is none to go on with.
    """
    out = job.output
    for home in [*unfinished_homes(out), finished_home(out)]:
        if not embeddings_exist(home / names.EMBEDDINGS):
            continue
        try:
            frozen = thaw(job, home)
            if not is_frozen(frozen):
                continue
            names.check_folder(out, frozen.identity(), home)
            state = names.open_ledger(home).state()
        except (OutputMismatchError, StoreError):
            continue
        unfinished = state.run is not None and state.run.anew and state.ended not in FINISHED
        # Where all imagery was missing, starting anew is the remedy.
        if unfinished and any(record.valid_cells for record in state.records.values()):
            return frozen, home
    return None


def home_for(job: Job, begun: OutputPath | None, watch: Reporter) -> OutputPath:
    """Return where an overwriting run puts its embeddings; only for who holds the output.

    Args:
        job: The job.
        begun: Where it was begun before, see `begun_before`.
        watch: Told what will go, or what it goes on with.
    """
    out = job.output
    if begun is not None:
        done = len(names.open_ledger(begun).state().records)
        watch.note(f"--overwrite began this run before: it goes on with {done} blocks done")
        return begun
    for left in unfinished_homes(out):
        done = len(names.open_ledger(left).state().records)
        watch.note(f"{done} blocks of a run that --overwrite began and another config are removed")
        remove_home(left)
    finished = finished_home(out)
    if not embeddings_exist(finished / names.EMBEDDINGS):
        return finished
    for line in what_goes(out):
        watch.note(line)
    return next_home(out)


def what_goes(out: OutputPath) -> list[str]:
    """Return what an overwriting run replaces, and what it took to make, a line each."""
    try:
        before = read_record(finished_results(out) / names.RECORD)
    except StoreError:
        records = names.open_ledger(finished_home(out)).state().records.values()
        seconds = sum(record.encode_s + record.read_s for record in records)
        return [
            f"when the new maps are written, the {len(records)} blocks embedded in {out} go, "
            f"which took {say_seconds(seconds)} to make; till then they stay"
        ]
    took = sum(before.timings.get(stage, 0.0) for stage in _STAGES)
    layers = ", ".join(before.concepts)
    said = [
        f"when the new maps are written, those in {out} go ({layers}; "
        f"{before.counts.get('patches', 0):,} patches, which took "
        f"{say_seconds(_embedding_seconds(out) or took)} to make); till then they stay and can "
        "be read and asked"
    ]
    if isinstance(out, Path):
        said.append(
            f"both lie beside each other for a while: {shutil.disk_usage(out).free / 1e9:,.1f} GB "
            "of disk are free"
        )
    own = _left_alone(out)
    if own:
        said.append(f"left alone, as no run wrote it: {', '.join(own)}")
    return said


def added_layers(record: RunRecord) -> list[str]:
    """Return the layers that queries added to what a run's config asks."""
    asked = {query_name(query) for query in record.config.queries}
    return [name for name in record.concepts if name not in asked]


def say_seconds(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _embedding_seconds(out: OutputPath) -> float:
    """Return the time that the blocks took, all runs and workers together."""
    records = names.open_ledger(finished_home(out)).state().records.values()
    return sum(record.seconds for record in records)


def _left_alone(out: OutputPath) -> list[str]:
    if not isinstance(out, Path):
        return []
    manifest = Manifest(out)
    there = (path.name for path in out.iterdir() if not path.name.startswith("."))
    return sorted(name for name in there if not (is_sidecar(name) or manifest.knows(name)))

"""Starting from scratch in an output that holds something, which stays until the new is whole."""

from __future__ import annotations

from s2s_map.config.text import duration
from s2s_map.embeddings.opening import open_ledger
from s2s_map.encoding.queries import query_name
from s2s_map.errors import OutputMismatchError, StoreError
from s2s_map.outputs import names
from s2s_map.outputs.ledger import FINISHED
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.zarr_files import embeddings_exist
from s2s_map.pipeline.job.frozen_search import check_search_holes, is_frozen, thaw
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.output_folder import check_folder
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
    for home in [*open_output(out).unfinished_homes(), open_output(out).finished_home()]:
        if not embeddings_exist(home / names.EMBEDDINGS):
            continue
        try:
            frozen = thaw(job, home)
            check_search_holes(frozen)
            if not is_frozen(frozen):
                continue
            check_folder(out, frozen.identity(), home)
            state = open_ledger(home).state()
        except (OutputMismatchError, StoreError):
            continue
        unfinished = state.run is not None and state.run.anew and state.ended not in FINISHED
        # Where all imagery was missing, starting from scratch is the remedy.
        if unfinished and any(record.valid_cells for record in state.records.values()):
            return frozen, home
    return None


def home_for(job: Job, begun: OutputPath | None, watch: Reporter) -> OutputPath:
    """Return where an overwriting run puts its embeddings; only for who holds the output.

    Args:
        job: The job.
        begun: Where it was begun before, see `begun_before`.
        watch: Receives what will go, or what it goes on with.
    """
    out = job.output
    if begun is not None:
        done = len(open_ledger(begun).state().records)
        watch.note(f"--overwrite began this run before: it goes on with {done} blocks done")
        return begun
    for left in open_output(out).unfinished_homes():
        done = len(open_ledger(left).state().records)
        watch.note(f"{done} blocks of a run that --overwrite began and another config are removed")
        open_output(out).remove_home(left)
    finished = open_output(out).finished_home()
    if not embeddings_exist(finished / names.EMBEDDINGS):
        return finished
    for line in what_goes(out):
        watch.note(line)
    return open_output(out).next_home()


def what_goes(out: OutputPath) -> list[str]:
    """Return what an overwriting run replaces, and what it took to make, a line each."""
    try:
        before = read_record(open_output(out).finished_results() / names.RECORD)
    except StoreError:
        records = open_ledger(open_output(out).finished_home()).state().records.values()
        seconds = sum(record.encode_s + record.read_s for record in records)
        return [
            f"when the new maps are written, the {len(records)} blocks embedded in {out} go, "
            f"which took {duration(seconds)} to make; till then they stay"
        ]
    took = sum(before.timings.get(stage, 0.0) for stage in _STAGES)
    layers = ", ".join(before.concepts)
    said = [
        f"when the new maps are written, those in {out} go ({layers}; "
        f"{before.counts.get('patches', 0):,} patches, which took "
        f"{duration(_embedding_seconds(out) or took)} to make); till then they stay and can "
        "be read and asked"
    ]
    free = open_output(out).free_bytes()
    if free is not None:
        said.append(
            f"both lie beside each other for a while: {free / 1e9:,.1f} GB of disk are free"
        )
    own = open_output(out).left_alone()
    if own:
        said.append(f"left alone, as no run wrote it: {', '.join(own)}")
    return said


def added_layers(record: RunRecord) -> list[str]:
    """Return the layers that queries added to what a run's config asks."""
    asked = {query_name(query) for query in record.config.queries}
    return [name for name in record.concepts if name not in asked]


def _embedding_seconds(out: OutputPath) -> float:
    """Return the time that the blocks took, all runs and workers together."""
    records = open_ledger(open_output(out).finished_home()).state().records.values()
    return sum(record.seconds for record in records)

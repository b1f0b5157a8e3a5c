"""Trying the blocks again whose imagery had holes, and those alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from s2s_map.embeddings.opening import open_ledger
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputMismatchError
from s2s_map.imagery.source import NamedParts
from s2s_map.outputs import names
from s2s_map.outputs.ledger import BlockRecord, Ledger, LedgerState
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath
from s2s_map.pipeline.job.job import Job
from s2s_map.pipeline.job.output_folder import check_folder, differences
from s2s_map.reporter import Reporter


def holed_blocks(state: LedgerState) -> dict[str, BlockRecord]:
    """Return the finished blocks whose imagery had holes."""
    return {key: record for key, record in state.records.items() if record.holes}


def check_mended(out: OutputPath, identity: Mapping[str, Any], parts: NamedParts) -> None:
    """Check that an output holds embeddings of a config, but for files that were holes.

    A file that did not open, or broke while it was read, may be another now, and part of the
    imagery. Of every other file name, size and shape must be as they were; its pixels, of which the
    identity has one hash together with those of the repaired ones, cannot be compared.

    Args:
        out: The output.
        identity: What the embeddings are to be, see `Job.identity`.
        parts: What of the source's identity is of files, and what of a search.

    Raises:
        OutputMismatchError: If something else differs.
    """
    try:
        check_folder(out, identity)
    except OutputMismatchError:
        home = open_output(out).finished_home()
        there = EmbeddingsStore.open(home / names.EMBEDDINGS).attributes.get("identity", {})
        records = holed_blocks(open_ledger(home).state())
        holes = {hole.uri for record in records.values() for hole in record.holes}
        if not is_mended(there, identity, holes, parts):
            raise


def is_mended(
    there: Mapping[str, Any], here: Mapping[str, Any], holes: Collection[str], parts: NamedParts
) -> bool:
    """Return whether two identities differ in nothing but files that were holes.

    Args:
        there: What embeddings are.
        here: What they are to be.
        holes: URIs of what could not be read.
        parts: What of the source's identity is of files, and what of a search.
    """
    if parts.unanswered and there.get("source", {}).get(parts.unanswered):
        # Every block that a scene of such a part may reach is a hole, see `imagery.search.holes`.
        searched = {*parts.searched, parts.unanswered}
        return not differences(_without(there, searched), _without(here, searched))
    mended = {*holes, *(PurePosixPath(uri).name for uri in holes)}
    before, after = _files(there, parts), _files(here, parts)
    if not mended & (before.keys() | after.keys()):
        return False
    same = all(before.get(name) == after.get(name) for name in {*before, *after} - mended)
    of_files = {*parts.files, *parts.of_all_files}
    return same and not differences(_without(there, of_files), _without(here, of_files))


def take_back(job: Job, store: EmbeddingsStore, ledger: Ledger, watch: Reporter) -> dict[str, Any]:
    """Forget the blocks whose imagery had holes, so that they are embedded again.

    Args:
        job: The job; its imagery may be repaired, see `check_mended`.
        store: Its embeddings, which become those of the repaired imagery.
        ledger: Its ledger.
        watch: Receives how many blocks there are.

    Returns:
        The records of those blocks: where one fails, what is there is worth keeping.
    """
    holed = holed_blocks(ledger.state())
    watch.note(f"{len(holed):,} blocks with holes in their imagery are tried again")
    # First: a run that is stopped in between finds holes and the imagery that repairs them.
    if store.attributes.get("identity") != job.identity():
        store.amend({"identity": job.identity()})
    if holed:
        ledger.drop(holed)
    return holed


def _files(identity: Mapping[str, Any], parts: NamedParts) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    source = identity.get("source", {})
    for listed, name in parts.files.items():
        for file in source.get(listed, ()):
            found.setdefault(str(file.get(name)), []).append(file)
    return found


def _without(identity: Mapping[str, Any], left_out: Collection[str]) -> dict[str, Any]:
    source = {k: v for k, v in identity.get("source", {}).items() if k not in left_out}
    return {**identity, "source": source}

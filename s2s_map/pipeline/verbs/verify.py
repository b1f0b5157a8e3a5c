"""Whether the files of finished results are what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.outputs.checksums import differing_files
from s2s_map.outputs.older_files import is_readable
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path
from s2s_map.outputs.published import finished_files, finished_home, finished_results
from s2s_map.pipeline.job import output_folder as names
from s2s_map.pipeline.job.run_record import read_record
from s2s_map.rasters.maps import read_maps
from s2s_map.reporter import Reporter


@dataclass(frozen=True)
class BadFile:
    """A file of results that is not what was written.

    Attributes:
        file: Its name, relative to the results.
        reason: What is wrong with it.
    """

    file: str
    reason: str


def verify_results(
    out: str | Path | ObjectPath, *, read: bool = True, reporter: Reporter | None = None
) -> list[BadFile]:
    """Compare every file of the finished results with what was written.

    Results of version 0.1.0, which have no checksums, are looked at for what is missing or cannot
    be read.

    Args:
        out: The output, a folder or ``s3://bucket/prefix``.
        read: Read the files; else their presence and sizes are compared, which takes no time.
        reporter: Told of the progress.

    Returns:
        The bad files; empty if all is well, or nothing was finished yet.
    """
    folder = output_path(out)
    results, files = finished_results(folder), finished_files(folder)
    watch = reporter or Reporter()
    if not files:
        return _older(folder, results, read=read)
    if read:
        watch.start("Verifying", len(files), "files")
    found = differing_files(results, files, read="all" if read else "sizes")
    if names.IMAGERY not in files and names.RECORD not in found:
        found.setdefault(names.IMAGERY, "is missing")
    if read:
        watch.advance(len(files))
        watch.finish()
    return [BadFile(name, reason) for name, reason in sorted(found.items())]


def can_be_remade(bad: list[BadFile]) -> bool:
    """Return whether bad files follow from the embeddings and the record of the run.

    The imagery does not, and without the record nobody knows what was asked: the same run makes
    both.
    """
    named = {one.file for one in bad}
    return names.RECORD not in named and bool(named - {names.IMAGERY})


def _older(folder: OutputPath, results: OutputPath, *, read: bool) -> list[BadFile]:
    try:
        record = read_record(results / names.RECORD)
    except StoreError as error:
        torn = (results / names.RECORD).exists()
        return [BadFile(names.RECORD, error.found)] if torn else []
    slots = EmbeddingsStore.open(finished_home(folder) / names.EMBEDDINGS).time_slots
    found = {}
    there = {path.name for path in results.iterdir()}
    for name in names.wanted_names(record.concepts, slots):
        path = results / name
        if name not in there:
            found[name] = "is missing"
        elif read and isinstance(path, Path) and path.is_file() and not is_readable(path):
            found[name] = "cannot be read"
    if names.MAPS not in found:
        try:
            read_maps(results / names.MAPS)
        except StoreError as error:
            found[names.MAPS] = error.found
    return [BadFile(name, reason) for name, reason in sorted(found.items())]

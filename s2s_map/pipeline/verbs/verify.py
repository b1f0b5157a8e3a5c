"""Whether the files of finished results are what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.outputs import names
from s2s_map.outputs.checksums import differing_files
from s2s_map.outputs.older_files import is_readable
from s2s_map.outputs.output import Output, open_output
from s2s_map.outputs.path import ObjectPath, OutputPath
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
        reporter: Receives the progress.

    Returns:
        The bad files; empty if all is well, or nothing was finished yet.
    """
    output = open_output(out)
    results, files = output.finished_results(), output.finished_files()
    watch = reporter or Reporter()
    if not files:
        return _older(output, results, read=read)
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


def _older(output: Output, results: OutputPath, *, read: bool) -> list[BadFile]:
    try:
        record = read_record(results / names.RECORD)
    except StoreError as error:
        torn = (results / names.RECORD).exists()
        return [BadFile(names.RECORD, error.found)] if torn else []
    slots = EmbeddingsStore.open(output.finished_home() / names.EMBEDDINGS).time_slots
    found = {}
    there = {path.name for path in results.iterdir()}
    for name in names.wanted_names(record.concepts, slots):
        path = results / name
        if name not in there:
            found[name] = "is missing"
        elif read and output.local and path.is_file() and not is_readable(output.local / name):
            found[name] = "cannot be read"
    if names.MAPS not in found:
        try:
            read_maps(results / names.MAPS)
        except StoreError as error:
            found[names.MAPS] = error.found
    return [BadFile(name, reason) for name, reason in sorted(found.items())]

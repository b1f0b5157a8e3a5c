"""Whether there is anything to look at, found out before anything that takes long."""

from __future__ import annotations

from s2s_map.errors import StoreError
from s2s_map.outputs import names
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath

BATCH = "batch.json"


def check_finished(folder: OutputPath) -> None:
    """Check that a folder seems to hold a finished run, or a batch.

    Args:
        folder: An output.

    Raises:
        StoreError: If it does not.
        OutputError: If it cannot be read.
    """
    output = open_output(folder)
    output.check_access()
    there = (output.finished_results() / names.RECORD, folder / BATCH)
    if not any(path.is_file() for path in there):
        raise StoreError(
            f"no finished run at {folder}", remedy="finish the run first: s2s-map run CONFIG"
        )

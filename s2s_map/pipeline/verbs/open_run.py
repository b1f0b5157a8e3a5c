"""A finished run, for those who go on in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_map.embeddings.opening import open_embeddings
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.outputs import names
from s2s_map.outputs.names import layer_stem
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path, zarr_target
from s2s_map.pipeline.job.run_record import RunRecord, read_record

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class OpenRun:
    """The results of a run.

    Attributes:
        folder: The output, a folder or a prefix of an object store.
        record: What they were made from.
        results: Where maps and record lie: `folder` itself, or in an object store a generation
            below it.
    """

    folder: OutputPath
    record: RunRecord
    results: OutputPath

    @property
    def concepts(self) -> list[str]:
        """Names of the layers."""
        return list(self.record.concepts)

    @property
    def embeddings(self) -> SealedEmbeddings:
        """The embeddings of the cells; blocks that are not what was recorded are an error."""
        return open_embeddings(open_output(self.folder).finished_home())

    @property
    def maps(self) -> xr.Dataset:
        """Probability and similarity, (concept, time, y, x), read when used; with its CRS set."""
        import rioxarray  # noqa: F401  (gives datasets their .rio)
        import xarray as xr

        maps = zarr_target(self.results / names.MAPS, read_only=True)
        dataset: xr.Dataset = xr.open_zarr(maps, decode_coords="all")
        return dataset

    def geotiffs(self) -> list[OutputPath]:
        """The GeoTIFF of every layer."""
        slots = self.embeddings.time_slots
        return sorted(
            (
                self.results / f"{layer_stem(name, slot, len(slots))}.tif"
                for name in self.record.concepts
                for slot in slots
            ),
            key=str,
        )


def open_run(folder: str | Path | ObjectPath) -> OpenRun:
    """Open the results of a finished run.

    Args:
        folder: Its output, a folder or ``s3://bucket/prefix``.

    Raises:
        StoreError: If there is none, or it is damaged.

    Examples:
        >>> open_run("nowhere")
        Traceback (most recent call last):
        ...
        s2s_map.errors.StoreError: no finished run at nowhere; finish the run first: s2s-map run \
CONFIG
    """
    path = output_path(folder)
    open_output(path).check_access()
    results = open_output(path).finished_results()
    return OpenRun(path, read_record(results / names.RECORD), results)

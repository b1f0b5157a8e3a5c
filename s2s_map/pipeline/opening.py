"""A finished run, for those who go on in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.pipeline import folder as names
from s2s_map.pipeline.record import RunRecord, read_record

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class OpenRun:
    """The results of a run.

    Attributes:
        folder: The output folder.
        record: What they were made from.
    """

    folder: Path
    record: RunRecord

    @property
    def concepts(self) -> list[str]:
        """Names of the layers."""
        return list(self.record.concepts)

    @property
    def embeddings(self) -> EmbeddingsStore:
        """The embeddings of the cells."""
        return EmbeddingsStore.open(self.folder / names.EMBEDDINGS)

    @property
    def maps(self) -> xr.Dataset:
        """Probability and similarity, (concept, time, y, x), read when used; with its CRS set."""
        import rioxarray  # noqa: F401  (gives datasets their .rio)
        import xarray as xr

        dataset: xr.Dataset = xr.open_zarr(self.folder / names.MAPS, decode_coords="all")
        return dataset

    def geotiffs(self) -> list[Path]:
        """The GeoTIFF of every layer."""
        return sorted(style.with_suffix(".tif") for style in self.folder.glob("*.qml"))


def open_run(folder: str | Path) -> OpenRun:
    """Open the results of a finished run.

    Args:
        folder: Its output folder.

    Raises:
        StoreError: If there is none, or it is damaged.

    Examples:
        >>> open_run("nowhere")
        Traceback (most recent call last):
        ...
        s2s_map.errors.StoreError: no finished run at nowhere; finish the run first: s2s-map run \
CONFIG
    """
    path = Path(folder)
    return OpenRun(path, read_record(path / names.RECORD))

"""A finished run, for those who go on in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_map.embeddings.opening import open_embeddings
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.errors import ConfigError, StoreError
from s2s_map.outputs import names
from s2s_map.outputs.names import layer_stem
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path, zarr_target
from s2s_map.outputs.staging import local_copy
from s2s_map.pipeline.job.run_record import RunRecord, heading, read_record

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from s2s_map.arrays import ImageBlock

_MOST_CELLS = 1200


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

    def plot(
        self,
        layer: str | None = None,
        slot: str | None = None,
        *,
        imagery: bool = True,
        axes: Axes | None = None,
    ) -> Figure:
        """Draw one layer over the imagery, with colour bar, scale bar and attribution.

        Args:
            layer: Its name; the first if None.
            slot: Label of its time slot; the first if None.
            imagery: Whether the imagery lies below; low values are then transparent.
            axes: Where to draw; a figure of its own if None.

        Returns:
            The figure: ``run.plot("waves").savefig("waves.pdf")``.

        Raises:
            ConfigError: For a layer or time slot that the run does not have.
            StoreError: For a GeoTIFF that is missing or damaged.
        """
        from s2s_map.rasters.cog import cog_paths, read_overview
        from s2s_map.rasters.maps import read_maps, read_maps_grid
        from s2s_map.viewing.figure import draw_figure
        from s2s_map.viewing.preview import picture_of

        maps = self.results / names.MAPS
        grid, slots, _ = read_maps_grid(maps)
        layers = {one.name: one for one in read_maps(maps)}
        shown = layers[_one_of("layer", layer, list(layers))]
        label = _one_of("time slot", slot, slots)
        with local_copy(cog_paths(self.results, shown, slots)[slots.index(label)]) as path:
            cells = read_overview(path, _MOST_CELLS)
        picture = picture_of(shown, label, cells)
        ground = self._imagery() if imagery else None
        return draw_figure(picture, ground, grid.bounds, self._attribution, axes)

    @property
    def _attribution(self) -> str:
        return self.record.provenance().attribution

    def _imagery(self) -> ImageBlock | None:
        from s2s_map.rasters.quicklook import read_imagery

        try:
            with local_copy(self.results / names.IMAGERY) as path:
                return read_imagery(path)
        except (FileNotFoundError, StoreError):
            return None

    def _repr_html_(self) -> str:
        from s2s_map.viewing.notebook import summary_html

        record, preview = self.record, self.results / names.PREVIEW
        counts = record.counts
        lines = [
            ("output", str(self.folder)),
            ("imagery", record.imagery.title),
            ("model", record.model.title),
            ("cells with data", f"{counts.get('valid_cells', 0):,}"),
            ("made", f"{record.created:%Y-%m-%d %H:%M} UTC"),
            ("attribution", self._attribution),
        ]
        if record.failed or record.holes:
            missing = f"{len(record.failed)} blocks and {len(record.holes)} pieces of imagery"
            lines.append(("missing", missing))
        layers = [(name, _title(asked)) for name, asked in record.concepts.items()]
        picture = preview.read_bytes() if preview.exists() else None
        return summary_html(heading(record.config), lines, layers, picture)


def _one_of(what: str, wanted: str | None, there: list[str]) -> str:
    if wanted is None and there:
        return there[0]
    if wanted not in there:
        raise ConfigError(
            f"the run has no {what} {wanted!r}", expected=f"one of {', '.join(there) or 'none'}"
        )
    return wanted


def _title(asked: object) -> str:
    found = asked.get("title") if isinstance(asked, dict) else None
    return str(found or "")


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

"""Formats of a layer's files: GeoTIFF with its style, and those of packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from s2s_map.config.formats import GEOTIFF as GEOTIFF_NAME
from s2s_map.config.formats import FormatConfig
from s2s_map.config.load import whole_kind
from s2s_map.errors import OutputError, PluginError, S2SMapError
from s2s_map.outputs.names import LAYER_ENDINGS
from s2s_map.plugins.kinds import FORMATS
from s2s_map.plugins.registry import INTERFACE, brought_by
from s2s_map.rasters.cog import file_stem, write_cog
from s2s_map.rasters.qgis_style import write_qml
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid

_TAKEN = {*LAYER_ENDINGS, ".json", ".zarr"}


class FormatKind(Protocol):
    """A format, as `s2s_map.plugins.kinds.FORMATS` holds it.

    Attributes:
        interface: Version of this protocol that it was written for, 1.
        schema: Schema of its settings, a subclass of `FormatConfig`.
        endings: Of its files, such as ``(".csv",)``: one file each for a layer and time slot.
        media_type: Of the first, for the STAC item.
    """

    interface: int
    schema: type[FormatConfig]
    endings: Sequence[str]
    media_type: str

    def write(
        self,
        stem: Path,
        layer: ConceptLayer,
        grid: MapGrid,
        slot: int,
        attributes: Mapping[str, Any],
        settings: Any,
    ) -> None:
        """Write the files of one time slot of a layer.

        Args:
            stem: Path of the files without their endings; in a folder of its own, which is moved
                into place when all is written.
            layer: Probability and cosine similarity, float32 of shape (time, y, x), NaN for no
                data; row 0 is the northernmost. Cells are read as they are indexed.
            grid: The cells: their CRS, size in metres and bounds.
            slot: Which time slot, from 0.
            attributes: Provenance and attribution, for what the format can hold of it.
            settings: Of that schema.
        """


@dataclass(frozen=True)
class GeoTiffFormat:
    """One Cloud-Optimized GeoTIFF with its QGIS style."""

    schema: type[FormatConfig] = FormatConfig
    endings: tuple[str, ...] = LAYER_ENDINGS
    media_type: str = "image/tiff; application=geotiff; profile=cloud-optimized"
    interface: int = INTERFACE

    def write(
        self,
        stem: Path,
        layer: ConceptLayer,
        grid: MapGrid,
        slot: int,
        attributes: Mapping[str, Any],
        settings: FormatConfig,
    ) -> None:
        """Write ``<stem>.qml`` and ``<stem>.tif``."""
        style, tiff = (stem.with_name(f"{stem.name}{ending}") for ending in self.endings)
        # The style first: whoever sees the map finds it styled.
        write_qml(style, layer)
        write_cog(tiff, layer, grid, attributes, slot)


GEOTIFF = GeoTiffFormat()


@dataclass(frozen=True)
class LayerFormats:
    """The formats of a run's layers, GeoTIFF first; pickles.

    Attributes:
        others: Those beside GeoTIFF, as the config has them.
    """

    others: tuple[FormatConfig, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "others", tuple(map(whole_kind, self.others)))

    def check(self) -> None:
        """Check that they can be used, and that no two write files of one name.

        Raises:
            PluginError: If not.
        """
        taken = set(_TAKEN)
        for one in self.others:
            for ending in FORMATS.get(one.format).endings:
                if not (ending.startswith(".") and ending.isprintable() and "/" not in ending):
                    raise PluginError(
                        f"formats: {one.format} writes files that end in {ending!r}",
                        expected="an ending such as .csv",
                    )
                if ending in taken:
                    raise PluginError(
                        f"formats: {one.format} writes files that end in {ending}",
                        expected=f"another ending than {', '.join(sorted(taken))}",
                    )
                taken.add(ending)

    def identity(self) -> dict[str, Any]:
        """Return what tells these formats from others, for maps that are gone on with."""
        if not self.others:
            return {}
        named = [
            {**one.model_dump(mode="json"), **brought_by(FORMATS, one.format)}
            for one in self.others
        ]
        return {"formats": named}

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of all files of a layer and time slot."""
        further = (end for one in self.others for end in FORMATS.get(one.format).endings)
        return (*LAYER_ENDINGS, *further)

    @property
    def media_types(self) -> dict[str, tuple[str, str]]:
        """Media type and format of the files beside GeoTIFF, by ending; of the first of each."""
        kinds = {one.format: FORMATS.get(one.format) for one in self.others}
        return {kind.endings[0]: (kind.media_type, name) for name, kind in kinds.items()}

    def write(
        self,
        folder: Path,
        layer: ConceptLayer,
        grid: MapGrid,
        time_slots: Sequence[str],
        attributes: Mapping[str, Any],
    ) -> None:
        """Write all files of a layer.

        Raises:
            OutputError: For a full disk, a read-only folder and the like, and for whatever a
                format of a package raises.
        """
        for slot, label in enumerate(time_slots):
            stem = folder / file_stem(layer, label, len(time_slots))
            tags = {"TIME_SLOT": label, **attributes}
            for one in (FormatConfig(format=GEOTIFF_NAME), *self.others):
                kind: FormatKind = FORMATS.get(one.format)
                try:
                    kind.write(stem, layer, grid, slot, tags, one)
                except (S2SMapError, OSError):
                    raise
                except Exception as error:
                    if one.format in FORMATS.built_in:
                        raise
                    raise OutputError(
                        f"formats: {one.format} cannot write {layer.name} "
                        f"({type(error).__name__}: {error})",
                        remedy="leave it out of formats:, or update what brings it",
                    ) from error
                lacking = [end for end in kind.endings if not _beside(stem, end).is_file()]
                if lacking:
                    raise OutputError(
                        f"formats: {one.format} did not write {_beside(stem, lacking[0]).name}",
                        remedy="leave it out of formats:, or update what brings it",
                    )


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(f"{stem.name}{ending}")

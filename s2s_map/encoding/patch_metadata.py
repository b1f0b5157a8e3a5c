"""What each patch tells the model beside its pixels: its own place, and the time slots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.metadata import NO_TIME_SLOT, MetadataConfig
from s2s_map.config.model import MetadataField
from s2s_map.encoding.solar import solar_hours
from s2s_map.errors import ConfigError, RegionError

if TYPE_CHECKING:
    from pyproj import Transformer

    from s2s_map.models.metadata import Metadata


@dataclass(frozen=True)
class PatchMetadata:
    """Metadata of the patches of a grid; pickles, and opens nothing until it is asked.

    Attributes:
        settings: What the model is given.
        crs: CRS of the patch centres, as WKT or authority code.
    """

    settings: MetadataConfig
    crs: str

    @property
    def time_slots(self) -> tuple[str, ...]:
        """Labels of the time slots, at least one."""
        return self.settings.slot_labels

    def of(self, centres: NDArray[np.float64]) -> list[Metadata]:
        """Return the metadata of patches, once for each time slot.

        Args:
            centres: x and y of each patch's own centre in the CRS, metres, shape (B, 2).

        Raises:
            RegionError: For a centre that has no place on Earth in this CRS.
        """
        from s2s_map.models.metadata import encode_metadata

        settings, count = self.settings, len(centres)
        longitude, latitude = places(centres, self.crs)
        place: dict[str, Any] = (
            {"latitude": latitude.tolist(), "longitude": longitude.tolist()}
            if settings.place
            else {}
        )
        found = []
        for slot in settings.time_slots or (None,):
            hours = None if slot is None else solar_hours(slot, settings, longitude)
            month = None if slot is None else slot.month
            found.append(
                encode_metadata(
                    **place,
                    month=None if month is None else [month] * count,
                    hour=None if hours is None else hours.tolist(),
                    audio_source=_repeated(settings.audio_source, count),
                    caption_source=_repeated(settings.caption_source, count),
                    masked_tokens=settings.masked_tokens,
                )
            )
        return found

    def describe(self) -> dict[str, Any]:
        """Return it for the attributes of a store, JSON-ready."""
        return {**self.settings.model_dump(mode="json"), "labels": list(self.time_slots)}


def metadata_for(
    settings: MetadataConfig | None, fields: tuple[MetadataField, ...], model: str, crs: str
) -> PatchMetadata | None:
    """Return the metadata of a run, None for a model without metadata.

    Args:
        settings: From the run config; None: the defaults.
        fields: Metadata fields the model was trained with.
        model: Its name, for messages.
        crs: CRS of the patch centres.

    Raises:
        ConfigError: For settings that the model cannot be given.
    """
    if not fields:
        if settings is not None:
            raise ConfigError(
                f"metadata: for the model {model}, which was trained without metadata",
                remedy="leave out metadata:, or use a model with metadata",
            )
        return None
    told = settings or MetadataConfig()
    default = MetadataConfig()
    unknown = [
        name
        for name, field, given in (
            ("months in time_slots", "month", any(s.month is not None for s in told.time_slots)),
            ("hours in time_slots", "time", any(s.hour is not None for s in told.time_slots)),
            ("audio_source", "asource", told.audio_source not in (default.audio_source, None)),
            (
                "caption_source",
                "tsource",
                told.caption_source not in (default.caption_source, None),
            ),
        )
        if given and field not in fields
    ]
    if unknown:
        raise ConfigError(
            f"metadata: with {' and '.join(unknown)} for the model {model}, which was trained "
            f"with {', '.join(fields)}",
            remedy="leave them out",
        )
    return PatchMetadata(told, crs)


def time_slots_of(metadata: PatchMetadata | None) -> tuple[str, ...]:
    """Return the labels of a run's time slots, one for a model without metadata."""
    return (NO_TIME_SLOT,) if metadata is None else metadata.time_slots


def places(
    centres: NDArray[np.float64], crs: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude (WGS 84, degrees) of points (n, 2) in a CRS.

    Raises:
        RegionError: For a point that has no place on Earth in this CRS.
    """
    longitude, latitude = _to_degrees(crs).transform(centres[:, 0], centres[:, 1])
    lost = ~(np.isfinite(longitude) & np.isfinite(latitude))
    if lost.any():
        x, y = centres[np.argmax(lost)]
        raise RegionError(
            f"a patch centred on ({x:g}, {y:g}), which is not a place on Earth in the map's CRS",
            remedy="name another grid.crs that covers the region and a patch around it",
        )
    return np.asarray(longitude), np.asarray(latitude)


def _repeated(name: str | None, count: int) -> list[str] | None:
    return None if name is None else [name] * count


@lru_cache(maxsize=8)
def _to_degrees(crs: str) -> Transformer:
    from pyproj import Transformer

    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

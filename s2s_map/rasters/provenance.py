"""Where a map comes from: whose imagery, which model, which software, what was asked."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from typing import Any

from s2s_map.redaction import cleaned

_PACKAGES = (
    "s2s-map",
    "torch",
    "torchgeo",
    "timm",
    "transformers",
    "numpy",
    "rasterio",
    "odc-geo",
    "xarray",
    "zarr",
    "pyproj",
)


@dataclass(frozen=True)
class Credit:
    """Whose work something is, and on what terms.

    Attributes:
        name: Short name, such as the key in the catalog or the model's name.
        title: One line for a person.
        licence: SPDX identifier where there is one.
        attribution: What to print on every map.
        licence_url: Where the licence is written.
        provider: Who publishes it.
        url: Where it is published.
    """

    name: str
    title: str
    licence: str
    attribution: str
    licence_url: str | None = None
    provider: str | None = None
    url: str | None = None

    def as_dict(self) -> dict[str, str]:
        """Return what is known, as JSON can hold it."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Provenance:
    """Everything that a map says about its making.

    Attributes:
        run: Name of the run, a heading.
        created: When, with a time zone. Said by the STAC item alone, and only where the imagery has
            no time of its own: files made twice are the same to the byte.
        imagery: Whose imagery.
        model: Whose model.
        model_sha256: Hash of the model's weights.
        imagery_time: First and last moment of the imagery, with time zones, if known.
        metadata: What the model was given beside the image, such as the time slots and what their
            hours mean; None for a model without metadata.
        config: What of the run config decides the maps, as JSON can hold it.
        software: Versions, see `software_versions`.
    """

    run: str
    created: datetime
    imagery: Credit
    model: Credit
    model_sha256: str
    imagery_time: tuple[datetime, datetime] | None = None
    metadata: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)

    @property
    def attribution(self) -> str:
        """The line at the bottom of every picture."""
        return (
            f"Imagery: {self.imagery.attribution} ({self.imagery.licence}). "
            f"Model: {self.model.attribution} ({self.model.licence})."
        )

    @property
    def lineage(self) -> str:
        """How the maps were made, in a sentence."""
        return (
            f"Patches of {self.imagery.title} were embedded with the model {self.model.name} "
            f"(SHA-256 {self.model_sha256[:12]}), blended onto the cells of the grid and compared "
            "with the embeddings of the queries."
        )

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of a Zarr group, or the tags of a GeoTIFF."""
        interval = self.imagery_time
        attributes = {
            "title": f"{self.run}: where sounds are likely",
            "source": f"{self.imagery.title}; {self.model.title}",
            "history": f"s2s-map {self.software.get('s2s-map', '')}".strip(),
            "attribution": self.attribution,
            "licence": f"imagery: {self.imagery.licence}; model: {self.model.licence}",
            "imagery": {
                **self.imagery.as_dict(),
                **({"time": [t.isoformat() for t in interval]} if interval else {}),
            },
            "model": {**self.model.as_dict(), "sha256": self.model_sha256},
            **({"metadata": dict(self.metadata)} if self.metadata is not None else {}),
            "software": dict(self.software),
            "config": dict(self.config),
        }
        clean: dict[str, Any] = cleaned(attributes)
        return clean


def software_versions() -> dict[str, str]:
    """Return the versions of Python, GDAL and the packages that shape a map."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    if "rasterio" in versions:
        import rasterio

        versions["gdal"] = str(rasterio.__gdal_version__)
    return versions

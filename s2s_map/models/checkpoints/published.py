"""The published models: their names, files, imagery and cards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import PurePosixPath

from s2s_map.config.hyper_parameters import SOURCE_PX, SatelliteKind
from s2s_map.config.model import (
    ModelCard,
    ModelConfig,
    OriginCard,
    SoftmaxCard,
    TrainingCard,
)

REPOSITORY = "MVRL/sat2sound"
BASELINE = "sat2text/bingmap_i2t_baseline"

LICENCE = "LicenseRef-research-only"
CITATION = (
    "Khanal et al., Sat2Sound: A Unified Framework for Zero-Shot Soundscape Mapping, "
    "arXiv:2505.13777"
)


@dataclass(frozen=True)
class Imagery:
    """What a published model was trained on.

    Attributes:
        kind: Its name among the training's options.
        sensors: For people.
        gsd_m: Pixel of the source imagery, metres.
        zooms: Zoom levels of the training: patches are this many times the smallest.
    """

    kind: SatelliteKind
    sensors: str
    gsd_m: float
    zooms: tuple[int, ...]

    @property
    def patch_m(self) -> tuple[float, float]:
        """Smallest and largest patch side of the training, metres."""
        smallest = SOURCE_PX[self.kind] * self.gsd_m
        return smallest * self.zooms[0], smallest * self.zooms[-1]


SENTINEL = Imagery("sentinel", "Sentinel-2 (10 m, red green blue)", 10.0, (1, 3, 5))
BING = Imagery("bingmap", "Bing Maps aerial imagery (0.6 m)", 0.6, (1, 3, 5))
GOOGLE_EARTH = Imagery("googleEarth", "Google Earth aerial imagery (0.2 m)", 0.2, (1,))

IMAGERY: dict[SatelliteKind, Imagery] = {i.kind: i for i in (SENTINEL, BING, GOOGLE_EARTH)}

SATELLITE_OF: dict[str, SatelliteKind] = {
    f"sat2sound/{name}_{metadata}": imagery.kind
    for name, imagery in (
        ("bingmap", BING),
        ("sentinel", SENTINEL),
        ("SoundingEarth", GOOGLE_EARTH),
    )
    for metadata in ("nometa", "withmeta")
} | {BASELINE: "bingmap"}
"""Imagery of each published model by its name."""

PUBLISHED = tuple(SATELLITE_OF)
"""Names of the published models: what to call them, and their file's path without .ckpt."""


def published_name(file_name: str) -> str | None:
    """The name of the published model whose file is called so; None: of none."""
    stem = PurePosixPath(file_name).stem
    return next((name for name in PUBLISHED if PurePosixPath(name).name == stem), None)


def published_card(
    name: str,
    config: ModelConfig,
    imagery: Imagery,
    logit_scale: tuple[str, float],
    origin: OriginCard,
) -> ModelCard:
    """The card of a converted checkpoint.

    Args:
        name: Name to load it by.
        config: Sizes of its network.
        imagery: What it was trained on.
        logit_scale: Name and value of the trained scale between image and caption.
        origin: The file it comes from.
    """
    scale, value = logit_scale
    fields = ", ".join(config.metadata) or "none"
    low, high = imagery.patch_m
    return ModelCard(
        name=name,
        title=f"Published Sat2Sound for {imagery.sensors}; metadata: {fields}",
        config=config,
        licence=LICENCE,
        attribution="Sat2Sound by Khanal et al.; trained on GeoSound, for research only",
        citation=CITATION,
        sensors=(imagery.sensors,),
        gsd_m=(imagery.gsd_m, imagery.gsd_m * imagery.zooms[-1]),
        patch_m=(low, high),
        softmax=SoftmaxCard(
            temperature=math.exp(-value),
            source=f"1/exp({scale}), the scale between image and caption trained in this "
            "checkpoint",
        ),
        training=TrainingCard(
            summary=f"Trained by the authors of Sat2Sound; zoom levels "
            f"{', '.join(map(str, imagery.zooms))}.",
            data=("GeoSound" if imagery is not GOOGLE_EARTH else "SoundingEarth",),
        ),
        origin=origin,
        limits=(
            f"Trained on patches of {low:g} to {high:g} m; other sizes are outside its experience.",
            "The GeoSound data it was trained on are for research only.",
            "English texts only.",
            "Its colours are those of its imagery, as 8-bit pictures normalised by ImageNet's mean "
            "and deviation; what they were is not known here, see docs/colours.md.",
        ),
    )

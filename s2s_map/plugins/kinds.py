"""The four things that can be added to, and what of each is built in."""

from __future__ import annotations

from typing import Any

from s2s_map.plugins.registry import Registry

SOURCES: Registry[Any] = Registry(
    "s2s_map.sources",
    "type",
    {
        name: f"s2s_map.imagery.sources.kinds:{name.upper()}"
        for name in ("raster", "stac", "xyz", "zarr", "torchgeo")
    },
    ("schema", "open"),
)
"""Sources of imagery: each a `s2s_map.imagery.sources.kinds.SourceKind`."""

IMAGE_ENCODERS: Registry[Any] = Registry(
    "s2s_map.encoders.image",
    "kind",
    {
        "vit": "s2s_map.models.encoders.image:VIT",
        "mini": "s2s_map.models.encoders.image:MINI",
    },
    ("schema", "build"),
)
"""Image encoders: each a `s2s_map.models.encoders.kinds.ImageKind`."""

TEXT_ENCODERS: Registry[Any] = Registry(
    "s2s_map.encoders.text",
    "kind",
    {
        "minilm": "s2s_map.models.encoders.text:MINILM",
        "flan-t5": "s2s_map.models.encoders.text:FLAN_T5",
    },
    ("schema", "load", "sha256"),
)
"""Text encoders: each a `s2s_map.models.encoders.kinds.TextKind`."""

AUDIO_ENCODERS: Registry[Any] = Registry(
    "s2s_map.encoders.audio",
    "kind",
    {
        "none": "s2s_map.models.encoders.audio:NONE",
        "events": "s2s_map.models.encoders.audio:EVENTS",
        "htsat": "s2s_map.models.encoders.audio:HTSAT",
    },
    ("schema", "load"),
)
"""Audio encoders: each a `s2s_map.models.encoders.kinds.AudioKind`."""

PROBABILITY: Registry[Any] = Registry(
    "s2s_map.probability",
    "method",
    {
        "softmax": "s2s_map.scoring.methods:SOFTMAX",
        "similarity": "s2s_map.scoring.methods:SIMILARITY",
    },
    ("schema", "needs_background", "make"),
)
"""Ways from similarity to probability: each a `s2s_map.scoring.methods.ProbabilityKind`."""

FORMATS: Registry[Any] = Registry(
    "s2s_map.formats",
    "formats",
    {"geotiff": "s2s_map.rasters.formats:GEOTIFF"},
    ("endings", "media_type", "write"),
)
"""Formats of a layer's files: each a `s2s_map.rasters.formats.FormatKind`."""

REGISTRIES = (SOURCES, IMAGE_ENCODERS, TEXT_ENCODERS, AUDIO_ENCODERS, PROBABILITY, FORMATS)

"""What the files of an output are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

EMBEDDINGS = "embeddings.zarr"
LEDGER = "ledger.jsonl"
MAPS = "maps.zarr"
IMAGERY = "imagery.tif"
PREVIEW = "preview.png"
ITEM = "item.json"
PROJECT = "project.qgz"
RECORD = "run.json"
SEARCH = "search.json"
EXPLANATIONS = "explanations"

HOME = (EMBEDDINGS, LEDGER, SEARCH)
"""What lies together: the embeddings, what is known of them, and what they were searched by."""

RESULTS = (MAPS, IMAGERY, PREVIEW, ITEM, RECORD)
"""What every run writes beside its layers; and `PROJECT`, unless somebody's own is called so."""

NEXT = ".next"
"""In a folder: what is being made, until it is published."""
MANIFEST = ".manifest.json"
"""In a folder: what was published last, see `manifest`."""
SWITCH = ".switch.json"
"""In a folder: what is to be moved where, from when new results are whole until they are there."""

GENERATIONS = "results"
"""Where results are made: in an object store for good, in a folder below `NEXT`."""

MARKERS = ".building"
"""In an object store: where the markers of maps that are being built lie, beside the maps."""

STYLE_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
STYLE_VERSION = "3.22.16"
"""The oldest QGIS that styles are tested with; newer ones read them too."""
STYLE_BEGINS = (
    f'{STYLE_DOCTYPE}<qgis version="{STYLE_VERSION}" styleCategories="AllStyleCategories" '
)
"""What the styles of this project begin with."""

LAYER_ENDINGS = (".qml", ".tif")
"""What is written of each layer and time slot, beside files of other formats."""


def layer_stem(name: str, slot: str, slots: int) -> str:
    """Return the base name of the files of the layer of a name and one time slot.

    ``<name>``, or ``<name>_<slot>`` where there are several time slots.
    """
    if slots == 1:
        return name
    return f"{name}_{re.sub(r'[^A-Za-z0-9.-]+', '-', slot).strip('-')}"


def wanted_names(
    layers: Iterable[str], time_slots: Sequence[str], endings: Sequence[str] = LAYER_ENDINGS
) -> list[str]:
    """Return the names of all files that results of these layers consist of.

    Args:
        layers: Names of the layers.
        time_slots: Labels of the time slots.
        endings: Of the files of a layer and time slot.
    """
    stems = [layer_stem(name, slot, len(time_slots)) for name in layers for slot in time_slots]
    return [*RESULTS, *(f"{stem}{end}" for stem in stems for end in endings)]

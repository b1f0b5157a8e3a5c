"""What the files of an output are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from s2s_map.rasters.cog import layer_stem

EMBEDDINGS = "embeddings.zarr"
LEDGER = "ledger.jsonl"
MAPS = "maps.zarr"
IMAGERY = "imagery.tif"
PREVIEW = "preview.png"
ITEM = "item.json"
RECORD = "run.json"
SEARCH = "search.json"
EXPLANATIONS = "explanations"

HOME = (EMBEDDINGS, LEDGER, SEARCH)
"""What lies together: the embeddings, what is known of them, and what they were searched by."""

RESULTS = (MAPS, IMAGERY, PREVIEW, ITEM, RECORD)
"""What every run writes beside its layers."""

NEXT = ".next"
"""In a folder: what is being made, until it is published."""
MANIFEST = ".manifest.json"
"""In a folder: what was published last, see `pipeline.manifest`."""
SWITCH = ".switch.json"
"""In a folder: what is to be moved where, from when new results are whole until they are there."""

LAYER_ENDINGS = (".qml", ".tif")
"""What is written of each layer and time slot."""


def wanted_names(layers: Iterable[str], time_slots: Sequence[str]) -> list[str]:
    """Return the names of all files that results of these layers consist of."""
    stems = [layer_stem(name, slot, len(time_slots)) for name in layers for slot in time_slots]
    return [*RESULTS, *(f"{stem}{end}" for stem in stems for end in LAYER_ENDINGS)]

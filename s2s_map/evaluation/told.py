"""What a model with metadata is given beside the image: nothing, single kinds, or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from s2s_map.config.model import MetadataField
from s2s_map.datasets.sample import SoundSample

if TYPE_CHECKING:
    from s2s_map.models.metadata import Metadata

type Telling = Literal["on-off", "none", "all", "each"]

CUMULATIVE: tuple[MetadataField, ...] = ("latlong", "month", "time", "asource", "tsource")
"""The order in which kinds are added, that of the published models' options."""

NOTHING, EVERYTHING = "none", "all"


def tellings(
    fields: Sequence[MetadataField], which: Telling = "on-off"
) -> dict[str, tuple[MetadataField, ...]]:
    """Names of what a model is given, with its metadata fields.

    Args:
        fields: What the model knows of; without any it is given nothing.
        which: "none", "all", both ("on-off"), or both with every single kind and with kinds added
            one by one ("each").

    Examples:
        >>> list(tellings(("latlong", "month"), "each"))
        ['none', 'latlong', 'month', 'all']
    """
    if not fields:
        return {NOTHING: ()}
    known = tuple(field for field in CUMULATIVE if field in fields)
    found: dict[str, tuple[MetadataField, ...]] = {}
    if which != "all":
        found[NOTHING] = ()
    if which == "each":
        found |= {field: (field,) for field in known}
        found |= {"+".join(known[:n]): known[:n] for n in range(2, len(known))}
    if which != "none":
        found[EVERYTHING] = known
    return found


def tell(samples: Sequence[SoundSample], fields: Sequence[MetadataField]) -> Metadata | None:
    """Encode some metadata fields of samples; what a sample does not know is masked.

    Returns:
        None if there are no fields.
    """
    if not fields:
        return None
    import torch

    from s2s_map.models.metadata import Metadata, encode_metadata

    every = encode_metadata(
        latitude=[s.latitude for s in samples],
        longitude=[s.longitude for s in samples],
        month=[s.month for s in samples],
        hour=[s.hour for s in samples],
        audio_source=[s.audio_source or "yfcc" for s in samples],
        caption_source=[s.audio_caption_source or "meta" for s in samples],
    )
    valid = every.valid | {
        "asource": torch.tensor([s.audio_source is not None for s in samples]),
        "tsource": torch.tensor([s.audio_caption_source is not None for s in samples]),
    }
    return Metadata(
        {field: every.values[field] for field in fields},
        {field: valid[field] for field in fields if field in valid},
    )

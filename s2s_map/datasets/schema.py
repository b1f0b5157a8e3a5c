"""Columns of the published data sets, and what they are called here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from s2s_map.config.hyper_parameters import SatelliteKind
from s2s_map.errors import DataError

type Split = Literal["train", "val", "test"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "test": "test",
}

ZOOMS = (1, 3, 5)
"""Zoom levels of GeoSound: patches are this many times the smallest."""

KEY = "sample_id"
AUDIO = "audio"
MEL = "mel_features"
AUDIO_CAPTION = "audio_caption"
AUDIO_CAPTION_SOURCE = "audio_caption_source"
LATITUDE = "latitude"
LONGITUDE = "longitude"


@dataclass(frozen=True)
class Schema:
    """One published data set.

    Attributes:
        name: For people.
        repository: On the hub.
        sizes: Rows of each split, as published.
        images: Column of each imagery.
        captions: Column of the captions of each imagery and zoom level.
        date: Column of the date, free text.
        audio_source: Column of the platform a sound comes from; None: all come from `platform`.
        platform: Where all sounds come from, if from one place.
    """

    name: str
    repository: str
    sizes: Mapping[Split, int]
    images: Mapping[SatelliteKind, str]
    captions: Mapping[tuple[SatelliteKind, int], str]
    date: str
    audio_source: str | None
    platform: str | None = None


GEOSOUND = Schema(
    name="GeoSound",
    repository="MVRL/GeoSound",
    sizes={"train": 293_718, "val": 4_999, "test": 9_931},
    images={"bingmap": "bingmap_image", "sentinel": "sentinel_image"},
    captions={
        ("bingmap", 1): "llava_caption_bingmap_zl1",
        ("bingmap", 3): "llava_caption_bingmap_zl3",
        ("bingmap", 5): "llava_caption_bingmap_zl5",
        ("sentinel", 1): "llava_caption_sentinel_zl1",
        ("sentinel", 3): "llava_caption_sentinel_zl3",
        ("sentinel", 5): "llava_caption_sentinel_zl5",
    },
    date="date",
    audio_source="source",
)

SOUNDING_EARTH = Schema(
    name="SoundingEarth",
    repository="MVRL/SoundingEarth",
    sizes={"train": 40_241, "val": 3_242, "test": 5_801},
    images={"googleEarth": "googleearth_image"},
    captions={("googleEarth", 1): "llava_caption_googleearth_zl1"},
    date="date_recorded",
    audio_source=None,
    platform="aporee",
)

SCHEMAS = (GEOSOUND, SOUNDING_EARTH)


def schema_of(columns: Collection[str]) -> Schema:
    """The schema that a set with these columns follows: recognised by its imagery and captions.

    Raises:
        DataError: If it is neither.
    """
    for schema in reversed(SCHEMAS):
        if {*schema.images.values(), *schema.captions.values(), schema.date} & set(columns):
            return schema
    raise DataError(
        f"a data set with the columns {', '.join(sorted(columns)) or 'none'}",
        expected="those of GeoSound or SoundingEarth, such as sentinel_image or googleearth_image",
    )


def split_name(name: str) -> Split:
    """The split a name means.

    Raises:
        DataError: For another name.
    """
    try:
        return SPLIT_NAMES[name]
    except KeyError:
        raise DataError(f"no split {name!r}", expected="train, val or test") from None


@dataclass(frozen=True)
class Wanted:
    """What to read of each row: imagery and spectrograms are large.

    Attributes:
        images: Which imagery.
        captions: Captions of which imagery and zoom level.
        captions_if_any: Further ones, read where the set has their column, see `settled`.
        mel: The stack of log-mel spectrograms.
        audio: The recording itself.
        audio_caption: Caption of the recording, and who wrote it.
        metadata: Date and platform; the place is always read.
    """

    images: tuple[SatelliteKind, ...] = ()
    captions: tuple[tuple[SatelliteKind, int], ...] = ()
    captions_if_any: tuple[tuple[SatelliteKind, int], ...] = ()
    mel: bool = True
    audio: bool = False
    audio_caption: bool = True
    metadata: bool = True

    def settled(self, found: Collection[str], schema: Schema) -> Wanted:
        """Want those of `captions_if_any` of which a set with these columns has one."""
        there = [key for key in self.captions_if_any if schema.captions.get(key) in found]
        captions = tuple(dict.fromkeys([*self.captions, *there]))
        return replace(self, captions=captions, captions_if_any=())

    def columns(self, schema: Schema) -> tuple[str, ...]:
        """Columns to read, in a set of this schema.

        Raises:
            DataError: For imagery or captions that such a set never has.
        """
        absent = [kind for kind in self.images if kind not in schema.images]
        absent += [kind for kind, zoom in self.captions if (kind, zoom) not in schema.captions]
        if absent:
            raise DataError(
                f"{schema.name} has no {absent[0]} imagery, or no captions of it at that zoom",
                expected=f"imagery out of {', '.join(schema.images)}",
            )
        wanted = [KEY, LATITUDE, LONGITUDE]
        wanted += [schema.images[kind] for kind in self.images]
        wanted += [schema.captions[key] for key in self.captions]
        wanted += [MEL] * self.mel + [AUDIO] * self.audio
        wanted += [AUDIO_CAPTION, AUDIO_CAPTION_SOURCE] * self.audio_caption
        if self.metadata:
            wanted += [schema.date] + ([schema.audio_source] if schema.audio_source else [])
        return tuple(wanted)


def check_columns(found: Collection[str], needed: Collection[str], where: str) -> None:
    """Refuse a set that lacks columns, naming each.

    Raises:
        DataError: If one is missing.
    """
    missing = [name for name in needed if name not in found]
    if missing:
        raise DataError(
            f"{where} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}",
            expected=f"{', '.join(needed)}",
            remedy="leave out what needs them, or add them (s2s-map dataset build makes such sets)",
        )

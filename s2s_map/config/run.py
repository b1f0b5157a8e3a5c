"""Schema of a run config: which region, which imagery, which model, which questions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from s2s_map.config.checked import Checked, Degrees
from s2s_map.config.cluster import ClusterConfig
from s2s_map.config.files import is_file, is_folder, usable_path
from s2s_map.config.formats import GEOTIFF, FormatConfig
from s2s_map.config.kinded import Kinded
from s2s_map.config.load import parse_model, read_yaml
from s2s_map.config.metadata import MetadataConfig
from s2s_map.config.model import Precision
from s2s_map.config.region_path import file_and_layer
from s2s_map.plugins.kinds import PROBABILITY

Level = Literal["token", "patch"]
ZarrFormat = Literal[2, 3]

LONGEST_WKT = 1_000_000
"""Characters of a region at most."""


CATALOG_FILE = "data_catalog.yaml"
"""What a catalog file is called that need not be named."""


class QueryConfig(Checked):
    """One question: texts, a recording or both, less other texts. It becomes one layer.

    Several parts are composed of their unit vectors: the mean of what is asked for, scaled to
    length 1, less the mean of minus:, scaled to length 1, and the result scaled to length 1.
    """

    several_lines = frozenset({"text", "texts", "minus"})

    name: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the layer and its files, written in lower case with hyphens. "
        "Made from the text or the file's name if left out.",
    )
    text: str | None = Field(
        default=None, description="What to listen for, in English, such as 'waves on a shore'."
    )
    audio: str | None = Field(
        default=None,
        description="A recording to ask with, WAV, FLAC, OGG or MP3 of any length; a path relative "
        "to this file, or sample:NAME.",
    )

    texts: tuple[str, ...] = Field(
        default=(),
        max_length=1000,
        description="Several texts whose mean is asked, such as [birds singing, crickets]; with "
        "audio: the recording is one more part of the mean.",
    )
    minus: tuple[str, ...] = Field(
        default=(),
        max_length=1000,
        description="Texts to take off, such as [traffic]: birds minus traffic.",
    )

    @field_validator("audio")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        return usable_path(value) if value is not None else None

    @model_validator(mode="after")
    def _something(self) -> QueryConfig:
        if self.text is None and self.audio is None and not self.texts:
            raise ValueError("a query has text:, texts: or audio:, something to listen for")
        if self.text is not None and self.texts:
            raise ValueError("a query has either text: or texts:, not both")
        given = [*([] if self.text is None else [self.text]), *self.texts, *self.minus]
        if not all(text.strip() for text in given):
            raise ValueError("the text of a query is empty")
        return self


class GridConfig(Checked):
    """The cells of the map."""

    cell_m: int = Field(
        default=160, gt=0, le=1_000_000, description="Side of a map cell, whole metres."
    )
    crs: str | None = Field(
        default=None,
        description="Projected CRS in metres, such as EPSG:32721, or one by name, such as Africa "
        "or LAEA 0N 20E (docs/regions.md). Left out: the imagery's own where it is in metres, else "
        "the UTM zone if the region fits, else the best equal-area one of a lattice.",
    )
    block_cells: int = Field(
        default=128,
        ge=1,
        le=4096,
        description="Side of a block, cells. A block is read, embedded and stored as one piece.",
    )


class PatchConfig(Checked):
    """What the model is shown at a time."""

    size_m: float | None = Field(
        default=None,
        ge=0.1,
        le=1_000_000,
        description="Ground size of a patch, metres. Left out: what the source's sensor profile "
        "says, times the zoom.",
    )
    zoom: Literal[1, 3, 5] = Field(
        default=1, description="Zoom level of the sensor profile: 1, 3 or 5 times its patch."
    )
    stride_m: float = Field(
        default=640.0,
        ge=0.01,
        le=1_000_000,
        description="Distance between the centres of patches, metres.",
    )
    level: Level = Field(
        default="token",
        description="token: the 14 x 14 parts of all overlapping patches are blended onto the "
        "cells. patch: one cell is one patch (cell_m equal to stride_m).",
    )
    resampling: Literal["block", "exact"] = Field(
        default="block",
        description="block: imagery is resampled to model pixels once a block, and patches are cut "
        "from it. exact: each patch is cut out in the source's own pixels and resized by itself, "
        "as for the published model; slower.",
    )


class ProbabilityConfig(Kinded):
    """How a similarity becomes a probability; a method of a package has further settings."""

    registry: ClassVar = PROBABILITY
    key: ClassVar[str] = "method"

    method: str = Field(
        default="softmax",
        max_length=200,
        description="softmax: over the query and a background vocabulary of its kind, "
        "uncalibrated. similarity: the cosine similarity alone. Or one of a package, or "
        "python:MODULE:NAME (docs/adding.md).",
    )
    temperature: float | None = Field(
        default=None,
        ge=1e-6,
        le=1000,
        description="Of the softmax. Left out: what the model's card says.",
    )
    max_cosine: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="Entries of the vocabulary this near to the query (cosine) are dropped as "
        "near-synonyms.",
    )


class RunConfig(Checked):
    """A run: from a region and questions to maps."""

    several_lines = frozenset({"region"})
    longest = {"region": LONGEST_WKT}  # noqa: RUF012

    output: str = Field(
        min_length=1,
        description="Folder for the results, relative to the working folder; or "
        "s3://BUCKET/PREFIX, with credentials from the environment.",
    )
    title: str | None = Field(default=None, description="Heading of the preview and the item.")
    source: str = Field(
        description="Imagery: a name from the catalog (see `s2s-map catalog list`)."
    )
    catalog: str | None = Field(
        default=None,
        description="Catalog file with the source, relative to this file. Left out: "
        "data_catalog.yaml beside this file, then in the working folder, then the user's and the "
        "shipped one.",
    )
    region: str | Annotated[list[Degrees], Field(min_length=4, max_length=4)] | None = Field(
        default=None,
        description="Where: a country, first-level unit or island by name or ISO code (Kenya, KE, "
        "CH-ZH, Corsica), its main part; France (French Guiana) for another; [west, south, east, "
        "north] in degrees; the path of a GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML or KMZ, "
        "with the layer after a colon where it has several (file.gpkg:layer); or WKT in degrees. "
        "Left out: all that the imagery covers.",
    )
    model: str = Field(
        default="s2s-mini",
        description="Model by name (see `s2s-map models list`), or a folder with model.safetensors "
        "and card.json, or python:MODULE:NAME for one of your own.",
    )
    queries: tuple[QueryConfig, ...] = Field(
        min_length=1,
        max_length=1000,
        description="The questions, each a text, a recording or several of them; one layer each.",
    )
    grid: GridConfig = Field(default_factory=GridConfig, description="The cells of the map.")
    patches: PatchConfig = Field(
        default_factory=PatchConfig, description="What the model is shown at a time."
    )
    metadata: MetadataConfig | None = Field(
        default=None,
        description="What a model with metadata is given beside the image: time_slots, "
        "hour_reference, time_zone, place, audio_source, caption_source, masked_tokens. Left out: "
        "the place of each patch and the published demo's sources.",
    )
    probability: SerializeAsAny[ProbabilityConfig] = Field(
        default_factory=ProbabilityConfig, description="How a similarity becomes a probability."
    )
    device: str = Field(
        default="auto",
        description="auto (a GPU if there is one), cpu, cuda or cuda:N.",
    )
    precision: Precision = Field(
        default="auto",
        description="What the satellite branch multiplies in: fp32, or bf16 (3 to 4 times as fast "
        "where the processor or GPU has it; embeddings keep a cosine of 0.999). auto: bf16 on such "
        "a device for models with a vision transformer, else fp32. A run goes on in the precision "
        "it began with.",
    )
    batch_size: int = Field(
        default=16, ge=1, le=4096, description="Patches per pass of the encoder."
    )
    cluster: ClusterConfig = Field(
        default_factory=ClusterConfig,
        description="Where the blocks are computed; `cluster: local` is short for its `use:`.",
    )
    overviews: int = Field(
        default=256,
        ge=0,
        le=1_000_000,
        description="Means of the embeddings over 2 x 2, 4 x 4 ... cells are kept, until the whole "
        "map fits within so many cells a side: a map that is looked at from afar is asked quickly. "
        "A third more space; 0: none.",
    )
    zarr_format: ZarrFormat = Field(
        default=3, description="Format of maps.zarr: 3, or 2 for GIS with GDAL before 3.8."
    )
    formats: tuple[SerializeAsAny[FormatConfig], ...] = Field(
        default=(),
        max_length=20,
        description="Formats of each layer's files beside GeoTIFF: names, or {format: NAME} with "
        "settings, of a package or python:MODULE:NAME (docs/adding.md).",
    )

    @field_validator("formats")
    @classmethod
    def _once(cls, value: tuple[FormatConfig, ...]) -> tuple[FormatConfig, ...]:
        named = [one.format for one in value]
        if GEOTIFF in named:
            raise ValueError("geotiff is written always: name others alone")
        if len(set(named)) < len(named):
            raise ValueError("has a format twice")
        return value

    @field_validator("region", mode="before")
    @classmethod
    def _one_region(cls, value: object) -> object:
        if isinstance(value, list) and any(isinstance(part, str) for part in value):
            raise ValueError(
                "a list of places is several maps: write it as regions: of a batch file, s2s-map "
                "batch plan"
            )
        return value

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
            raise ValueError("takes auto, cpu, cuda or cuda:N")
        return value

    @field_validator("output", "source", "model")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty")
        return usable_path(value)


def load_run_config(path: str | Path) -> RunConfig:
    """Read a run config; its paths become relative to the config file.

    ``data_catalog.yaml`` beside it becomes its catalog, unless it names one.

    Args:
        path: A YAML file.

    Raises:
        ConfigError: For a missing file or anything that does not validate.

    Examples:
        >>> config = load_run_config("workflows/demo.yaml")
        >>> config.source
        'iguacu_landsat8'
    """
    file = Path(path)
    config = parse_model(RunConfig, read_yaml(file), str(file))
    return anchored_config(config, file.resolve().parent)


def anchored_config(config: RunConfig, folder: Path) -> RunConfig:
    """Return a config whose paths of recordings, regions and models are seen from a folder."""
    queries = tuple(
        query.model_copy(update={"audio": anchored(query.audio, folder)})
        for query in config.queries
    )
    region = config.region
    if isinstance(region, str) and any(
        is_file(folder / path) for path in (region, file_and_layer(region)[0])
    ):
        region = str(folder / region)
    model = str(folder / config.model) if is_folder(folder / config.model) else config.model
    catalog = folder / (config.catalog or CATALOG_FILE)
    named = str(catalog) if config.catalog or is_file(catalog) else None
    changed = {"queries": queries, "region": region, "model": model, "catalog": named}
    return config.model_copy(update=changed)


def anchored(audio: str | None, folder: Path) -> str | None:
    """Return a recording's path as seen from a folder; sample:NAME stays as it is."""
    if audio is None or audio.startswith("sample:"):
        return audio
    return str(folder / audio)

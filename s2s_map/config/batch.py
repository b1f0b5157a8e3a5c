"""Schema of a batch: regions x sources x models, all asked the same questions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from s2s_map.config.checked import Checked, Degrees
from s2s_map.config.load import parse_model, read_yaml
from s2s_map.config.run import RunConfig, anchored_config
from s2s_map.errors import ConfigError

RegionSpec = str | Annotated[list[Degrees], Field(min_length=4, max_length=4)] | None

type EveryMap = Callable[[str, RegionSpec], dict[str, RegionSpec]]
"""Which regions, by name, one region of a batch stands for."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.IGNORECASE)
_PREFIX = re.compile(r"s3://[^/@]+/+[^/].*", re.IGNORECASE)
_ALL = " (all)"
_OF_THE_BATCH = ("output", "title", "region", "source", "model", "queries")


class BatchConfig(Checked):
    """Many runs that share everything but region, source and model."""

    output: str = Field(
        min_length=1,
        description="Folder for all results, relative to the working folder, or "
        "s3://BUCKET/PREFIX; a folder, or prefix, per run.",
    )
    title: str | None = Field(default=None, description="Title of the collection of all runs.")
    regions: dict[str, RegionSpec | tuple[str, ...]] = Field(
        min_length=1,
        description="Regions by name, each as `region:` of a run config; nothing for all that the "
        "imagery covers. Several maps: a list of places, or France (all) for every part of it.",
    )
    sources: tuple[str, ...] = Field(min_length=1, description="Imagery: names from the catalog.")
    models: tuple[str, ...] = Field(
        default=("s2s-mini",), min_length=1, description="Models by name or folder."
    )
    queries: list[dict[str, Any]] = Field(
        min_length=1,
        description="The questions, as `queries:` of a run config. A run embeds its region once "
        "for all of them.",
    )
    defaults: dict[str, Any] = Field(
        default_factory=dict,
        description="Everything else of a run config, the same for all runs: grid, patches, "
        "cluster and so on.",
    )
    parallel: int = Field(default=1, ge=1, le=64, description="Runs at a time, each a process.")

    @field_validator("output")
    @classmethod
    def _has_a_prefix(cls, value: str) -> str:
        if "://" in value and not _PREFIX.fullmatch(value):
            raise ValueError("takes a folder or s3://BUCKET/PREFIX")
        return value

    @field_validator("regions")
    @classmethod
    def _file_names(
        cls, value: dict[str, RegionSpec | tuple[str, ...]]
    ) -> dict[str, RegionSpec | tuple[str, ...]]:
        for name, spec in value.items():
            if isinstance(spec, tuple) and not spec:
                raise ValueError(f"{name}: a list of no places")
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot name a folder; use letters, digits and - _ .")
        return value

    @field_validator("defaults")
    @classmethod
    def _not_the_batchs(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in _OF_THE_BATCH:
            if key in value:
                raise ValueError(f"{key} belongs to the batch itself, not into its defaults")
        return value


@dataclass(frozen=True)
class BatchRun:
    """One run of a batch.

    Attributes:
        name: Name of its folder within the batch's.
        region: Name of its region.
        config: Its run config.
    """

    name: str
    region: str
    config: RunConfig


def load_batch(
    path: str | Path, every_map: EveryMap = lambda name, spec: {name: spec}
) -> tuple[BatchConfig, list[BatchRun]]:
    """Read a batch file and the runs that it stands for, regions first.

    Args:
        path: A YAML file.
        every_map: Which regions one stands for, see `pipeline.batch.batch_regions`.

    Raises:
        ConfigError: For a missing file, anything that does not validate, or two runs of one name.
    """
    file = Path(path)
    batch = parse_model(BatchConfig, read_yaml(file), str(file))
    runs = []
    for region, spec in _every_region(batch, every_map).items():
        for source in batch.sources:
            for model in batch.models:
                name = "-".join((region, _short(source), _short(model)))
                fields = {
                    **batch.defaults,
                    "output": _below(batch.output, name),
                    "title": f"{batch.title or region}: {name}",
                    "region": spec,
                    "source": source,
                    "model": model,
                    "queries": batch.queries,
                }
                config = parse_model(RunConfig, fields, str(file))
                runs.append(BatchRun(name, region, anchored_config(config, file.resolve().parent)))
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{file}: two runs are named {twice[0]}", remedy="name one differently")
    return batch, runs


def _every_region(batch: BatchConfig, every_map: EveryMap) -> dict[str, RegionSpec]:
    found: dict[str, RegionSpec] = {}
    for region, spec in batch.regions.items():
        listed: list[tuple[str, RegionSpec]] = (
            [(f"{region}-{_file_name(name, i)}", name) for i, name in enumerate(spec, 1)]
            if isinstance(spec, tuple)
            else [(region, spec)]
        )
        for name, one in listed:
            for key, area in every_map(name, one).items():
                if key in found:
                    raise ConfigError(
                        f"two regions are named {key}", remedy="name one of them differently"
                    )
                found[key] = area
    return found


def _file_name(place: str, number: int) -> str:
    """Return what the files of a place in a list are called: its number if in another script."""
    letters = unicodedata.normalize("NFKD", place.removesuffix(_ALL)).encode("ascii", "ignore")
    return _short(letters.decode()).lower() or str(number)


def _short(model: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", model.rstrip("/").rsplit("/", 1)[-1]).strip("-.")


def _below(output: str, name: str) -> str:
    return f"{output.rstrip('/')}/{name}" if "://" in output else str(Path(output) / name)

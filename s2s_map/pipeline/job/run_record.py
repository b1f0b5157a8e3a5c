"""``run.json``: what a folder's results were made from, by what, and how long it took."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from s2s_map.config.kinded import RECORDED
from s2s_map.config.load import parse_model
from s2s_map.config.making_time import making_time
from s2s_map.config.model import ModelCard
from s2s_map.config.run import ProbabilityConfig, QueryConfig, RunConfig
from s2s_map.errors import StoreError
from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.block_provenance import Making
from s2s_map.outputs.checksums import FileEntry
from s2s_map.outputs.holes import RunHole
from s2s_map.outputs.manifest import read_files
from s2s_map.outputs.path import ObjectPath, OutputPath
from s2s_map.pipeline.engine.cores import usable_cores
from s2s_map.pipeline.job.job import Job
from s2s_map.plugins.registry import used_packages
from s2s_map.rasters.provenance import Credit, Provenance, software_versions
from s2s_map.redaction import file_json
from s2s_map.scoring.layers import ConceptLayer

SCHEMA = 1


@dataclass(frozen=True)
class Asked:
    """How a layer was asked.

    Attributes:
        query: The question.
        probability: How its similarities became probabilities.
    """

    query: QueryConfig
    probability: ProbabilityConfig

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "query": self.query.model_dump(mode="json"),
            "probability": self.probability.model_dump(mode="json"),
        }


@dataclass
class RunRecord:
    """What ``run.json`` holds.

    Attributes:
        config: The resolved run config.
        created: When the maps were last written.
        imagery: Whose imagery.
        model: Whose model.
        model_sha256: Hash of its weights.
        imagery_time: Start and end of the imagery, if known.
        metadata: What the model was given beside the image; None for a model without metadata.
        software: Versions.
        machine: Processor and system.
        timings: Seconds by stage.
        counts: Blocks, patches, cells.
        failed: Blocks without embeddings, each with the reason.
        holes: Imagery that could not be read in blocks that have embeddings.
        made_with: Devices and batch sizes that blocks were made with.
        concepts: What every layer was asked, by name.
        asked: How to ask every layer again, by name.
        files: Every file of the results but ``run.json``, by name.
        embeddings_sha256: Of the checksums of the blocks that the maps were made from.
        remarks: What is off with the colours of the imagery, a line each.
        last_concept: The layer that `query` added last; not written.
        replaced_last: Whether that replaced a layer of its name; not written.
    """

    config: RunConfig
    created: datetime
    imagery: Credit
    model: Credit
    model_sha256: str
    imagery_time: tuple[datetime, datetime] | None = None
    metadata: Mapping[str, Any] | None = None
    software: Mapping[str, str] = field(default_factory=software_versions)
    machine: Mapping[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    holes: tuple[RunHole, ...] = ()
    made_with: tuple[Making, ...] = ()
    concepts: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)
    embeddings_sha256: str = ""
    remarks: tuple[str, ...] = ()
    last_concept: str | None = None
    replaced_last: bool = False

    @classmethod
    def of(cls, job: Job) -> RunRecord:
        """Begin the record of a job."""
        entry = job.entry
        interval = entry.interval
        return cls(
            config=job.config,
            created=making_time(),
            imagery=Credit(
                name=job.config.source,
                title=entry.title,
                licence=entry.licence,
                attribution=entry.attribution,
                licence_url=entry.licence_url,
                provider=entry.provider,
            ),
            model=model_credit(job.card),
            model_sha256=job.card.sha256,
            imagery_time=None if interval is None else (_aware(interval[0]), _aware(interval[1])),
            metadata=None if job.metadata is None else job.metadata.describe(),
            software={**software_versions(), **used_packages()},
            machine=machine(),
        )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add to the seconds of a stage what is done within."""
        began = time.monotonic()
        yield
        seconds = self.timings.get(stage, 0.0) + time.monotonic() - began
        self.timings[stage] = round(seconds, 3)

    def provenance(self) -> Provenance:
        """What every file says about its making: the same wherever it lies and runs.

        Not where the output lies, on what it was computed, and which folders of this machine the
        config's files lie in; `write` keeps all that.
        """
        return Provenance(
            run=heading(self.config),
            created=self.created,
            imagery=self.imagery,
            model=self.model,
            model_sha256=self.model_sha256,
            imagery_time=self.imagery_time,
            metadata=self.metadata,
            config=_published(self.config),
            software=self.software,
        )

    def name_concepts(self, layers: Sequence[ConceptLayer]) -> None:
        """List what the layers were asked."""
        self.concepts = {
            layer.name: {"title": layer.title, "method": layer.method, "query": dict(layer.query)}
            for layer in layers
        }

    def write(self, path: str | os.PathLike[str] | ObjectPath) -> None:
        """Write the record.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        interval = self.imagery_time
        content = {
            "schema": SCHEMA,
            "created": self.created.isoformat(timespec="seconds"),
            "config": self.config.model_dump(mode="json"),
            "imagery": self.imagery.as_dict(),
            "imagery_time": None if interval is None else [t.isoformat() for t in interval],
            "model": {**self.model.as_dict(), "sha256": self.model_sha256},
            "metadata": None if self.metadata is None else dict(self.metadata),
            "concepts": self.concepts,
            "asked": {n: a.as_dict() for n, a in self.asked.items() if n in self.concepts},
            "counts": self.counts,
            "failed_blocks": self.failed,
            "holes": [asdict(hole) for hole in self.holes],
            "made_with": [asdict(making) for making in self.made_with],
            "embeddings_sha256": self.embeddings_sha256,
            "remarks": list(self.remarks),
            "timings_s": self.timings,
            "software": dict(self.software),
            "machine": dict(self.machine),
            "files": {name: entry.as_dict() for name, entry in self.files.items()},
        }
        with replacing_file(path) as partial:
            partial.write_text(file_json(content), "utf-8")


def read_record(path: OutputPath) -> RunRecord:
    """Read a ``run.json``.

    Raises:
        StoreError: For a file that is missing, damaged or of another schema.
    """
    remedy = "finish the run first: s2s-map run CONFIG"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise StoreError(
                f"{path} has schema {content['schema']}", expected=str(SCHEMA), remedy=remedy
            )
        model = dict(content["model"])
        sha256 = model.pop("sha256")
        interval = content["imagery_time"]
        return RunRecord(
            config=parse_model(RunConfig, content["config"], str(path), context=RECORDED),
            created=datetime.fromisoformat(content["created"]),
            imagery=Credit(**content["imagery"]),
            model=Credit(**model),
            model_sha256=sha256,
            imagery_time=None
            if interval is None
            else (datetime.fromisoformat(interval[0]), datetime.fromisoformat(interval[1])),
            metadata=content.get("metadata"),
            software=content["software"],
            machine=content["machine"],
            timings=content["timings_s"],
            counts=content["counts"],
            failed=content.get("failed_blocks", {}),
            holes=tuple(RunHole(**hole) for hole in content.get("holes", ())),
            made_with=tuple(Making(**making) for making in content.get("made_with", ())),
            concepts=content["concepts"],
            asked={name: _asked(how) for name, how in content.get("asked", {}).items()},
            files=read_files(content.get("files")),
            embeddings_sha256=content.get("embeddings_sha256", ""),
            remarks=tuple(content.get("remarks", ())),
        )
    except FileNotFoundError:
        raise StoreError(f"no finished run at {path.parent}", remedy=remedy) from None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged: {error!r}", remedy=remedy) from error


def model_credit(card: ModelCard) -> Credit:
    """Whose model a card describes."""
    return Credit(card.name, card.title, card.licence, card.attribution)


def heading(config: RunConfig) -> str:
    """Return what a run is called: its title, else its imagery and, where it has a name, region."""
    if config.title:
        return config.title
    region = config.region
    if not isinstance(region, str) or "((" in region:  # A box, or WKT.
        return config.source
    path = PurePath(region)
    return f"{path.stem if path.is_absolute() else region}, {config.source}"


def _published(config: RunConfig) -> dict[str, Any]:
    """Return what of a config decides the maps; of paths their last parts."""
    shown = config.model_dump(mode="json", exclude={"output", "cluster", "catalog"})
    for key in ("model", "region"):
        shown[key] = _last_part(shown[key])
    for query in shown["queries"]:
        query["audio"] = _last_part(query["audio"])
    return shown


def _last_part(value: Any) -> Any:
    path = PurePath(value) if isinstance(value, str) else None
    return path.name if path is not None and path.is_absolute() else value


def machine() -> dict[str, Any]:
    """Return what computed a run, without names or addresses."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": usable_cores(),
    }


def _asked(content: Mapping[str, Any]) -> Asked:
    where = "asked"
    return Asked(
        parse_model(QueryConfig, content["query"], where),
        parse_model(ProbabilityConfig, content["probability"], where, context=RECORDED),
    )


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)

"""What is looked at: a run, or all finished runs of a batch on one map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

from s2s_map.errors import S2SMapError, StoreError
from s2s_map.outputs import names
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath
from s2s_map.pipeline.batch.batch_folder import REPORT
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.server.viewed_run import ViewedRun, fingerprint


@dataclass(frozen=True, eq=False)
class Viewed:
    """What is looked at, as it was at one moment.

    Attributes:
        runs: The runs, at least one.
        version: Changes with what any of them holds.
        missing: What of a batch cannot be shown, a line each.
    """

    runs: tuple[ViewedRun, ...]
    version: str
    missing: tuple[str, ...] = ()

    @cached_property
    def layers(self) -> dict[str, list[tuple[ViewedRun, ConceptLayer]]]:
        """The layers by name, each with the runs that have it."""
        found: dict[str, list[tuple[ViewedRun, ConceptLayer]]] = {}
        for run in self.runs:
            for name, layer in run.layers.items():
                found.setdefault(name, []).append((run, layer))
        return found

    def colour_range(self, name: str) -> tuple[float, float]:
        """Return where the colours of a layer begin and end, the same in all runs."""
        return joined_range([layer.colour_range for _, layer in self.layers[name]])

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) of all runs, degrees."""
        every = [run.bounds for run in self.runs]
        return (
            min(b[0] for b in every),
            min(b[1] for b in every),
            max(b[2] for b in every),
            max(b[3] for b in every),
        )

    @property
    def time_slots(self) -> tuple[str, ...]:
        """Labels of the time slots of all runs, in order."""
        return tuple(dict.fromkeys(slot for run in self.runs for slot in run.time_slots))

    @property
    def attribution(self) -> str:
        """Whose imagery and models, once each."""
        return " ".join(dict.fromkeys(run.record.provenance().attribution for run in self.runs))


def joined_range(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the range that holds all of some."""
    return min(low for low, _ in ranges), max(high for _, high in ranges)


class Watched:
    """An output that is looked at while others may write to it.

    Args:
        folder: The output of a run or of a batch.
    """

    def __init__(self, folder: OutputPath) -> None:
        self.folder = folder
        self._lock = Lock()
        self._seen: Viewed | None = None

    def now(self) -> Viewed:
        """Return what lies there now, opened anew only if it has changed.

        Raises:
            StoreError: If there is no finished run.
        """
        with self._lock:
            folders = _folders(self.folder)
            version = _version(folders)
            if self._seen is None or self._seen.version != version:
                self._seen = _opened(self.folder, folders, version)
            return self._seen

    def last(self) -> Viewed:
        """Return what was seen last; opened now if nothing was."""
        return self._seen or self.now()

    def is_written(self) -> bool:
        """Return whether a run is at work in what is looked at."""
        return any(run.is_written() for run in self.last().runs)


def _folders(folder: OutputPath) -> list[OutputPath]:
    """Return the outputs of the runs: the folder itself, or those that a batch lists in it."""
    report = folder / REPORT
    if not report.is_file():
        return [folder]
    try:
        runs = json.loads(report.read_text(encoding="utf-8"))["runs"]
        listed = [str(run["name"]) for run in runs]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{report} is damaged: {error!r}", remedy="start the batch again"
        ) from None
    # By name: a batch's folder may have been moved with all that is in it.
    return [folder / name for name in listed if _is_plain(name)]


def _is_plain(name: str) -> bool:
    return Path(name).name == name and name not in ("", ".", "..")


def _version(folders: list[OutputPath]) -> str:
    whole = " ".join(fingerprint(folder) for folder in folders)
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def _opened(folder: OutputPath, folders: list[OutputPath], version: str) -> Viewed:
    if folders == [folder]:
        return Viewed((ViewedRun.open(folder),), version)
    runs, missing = [], []
    for one in folders:
        try:
            if not (open_output(one).finished_results() / names.RECORD).is_file():
                missing.append(f"{one.name} is not finished")
                continue
            runs.append(ViewedRun.open(one))
        except S2SMapError as error:
            missing.append(f"{one.name}: {error.found}")
    if not runs:
        raise StoreError(
            f"no finished run of the batch at {folder}",
            remedy="finish one first: s2s-map batch run CONFIG",
        )
    return Viewed(tuple(runs), version, tuple(missing))

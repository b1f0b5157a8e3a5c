"""The models of the runs that are looked at, loaded when the first question is asked."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from s2s_map.server.viewed_run import ViewedRun

if TYPE_CHECKING:
    from s2s_map.models.loaded import LoadedModel


class Models:
    """Models by the hash of their weights, at most one of each kept."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loaded: dict[str, LoadedModel] = {}

    def of(self, run: ViewedRun) -> LoadedModel:
        """Return the model of a run, loaded now if it is not.

        Raises:
            ModelError: If it is not there any more.
            OutputMismatchError: If it is another one now.
        """
        from s2s_map.pipeline.verbs.query import model_of

        with self._lock:
            key = run.record.model_sha256
            if key not in self._loaded:
                self._loaded[key] = model_of(run.record)
            return self._loaded[key]

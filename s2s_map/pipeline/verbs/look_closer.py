"""Looking at one place of a finished run again: the patch that the model saw, nothing written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.run import QueryConfig
from s2s_map.embeddings.opening import open_embeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.encoding.code_texts import vocabulary_codes
from s2s_map.encoding.queries import QueryEmbedding, encode_query
from s2s_map.encoding.query_model import QueryModel
from s2s_map.encoding.satellite import patch_pixels
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.errors import ImageryError, ModelError, OutputMismatchError, QueryError
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model
from s2s_map.outputs import names
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, output_path
from s2s_map.pipeline.job.frozen_search import thaw
from s2s_map.pipeline.job.job import Job, resolve
from s2s_map.pipeline.job.output_folder import differences
from s2s_map.pipeline.job.run_record import RunRecord, read_record
from s2s_map.pipeline.verbs.cell_lookup import Cell, cell_at
from s2s_map.scoring.codes import CodeInUse, strongest_codes
from s2s_map.tiling.patches import PatchSet
from s2s_map.tiling.validity import model_valid, token_valid


@dataclass(frozen=True, eq=False)
class Looked:
    """A place looked at closer, nothing written yet.

    Attributes:
        record: What the maps were made from.
        store: The embeddings.
        job: The run, looked up again.
        query: What was asked.
        patchset: The one patch.
        cell: The cell in the map.
        slot: Index of the time slot.
        place: Longitude and latitude that were asked for.
        pixels: Red, green, blue of the patch (3, y, x), north up.
        similarity: Cosine of the whole patch with the query.
        heat: Cosine of each token with the query (tokens, tokens), north up; NaN: no imagery.
        codes: The strongest codes of the patch.
    """

    record: RunRecord
    store: EmbeddingsStore
    job: Job
    query: QueryEmbedding
    patchset: PatchSet
    cell: Cell
    slot: int
    place: tuple[float, float]
    pixels: NDArray[np.uint8]
    similarity: float
    heat: NDArray[np.float32]
    codes: tuple[CodeInUse, ...]

    @property
    def cell_similarity(self) -> float:
        """Similarity in the map, at the place's cell."""
        return float(self.cell.values[self.slot] @ self.query.vector)

    @property
    def mark(self) -> tuple[float, float]:
        """Where in the patch the place is, as shares from the west and from the north."""
        west, _, _, north = self.patchset.read_bounds
        side = self.patchset.layout.patch_m
        return (self.cell.x - west) / side, (north - self.cell.y) / side


def look_closer(
    out: str | Path | ObjectPath,
    lon: float,
    lat: float,
    question: QueryConfig,
    time_slot: str | None = None,
    codes: int = 8,
    catalogs: Sequence[str | Path] = (),
    model: QueryModel | None = None,
) -> Looked:
    """Look at the patch of a place again, as `explain`, and write nothing.

    Args:
        out: Output folder of a finished run.
        lon: Degrees east, WGS 84.
        lat: Degrees north.
        question: What to listen for.
        time_slot: Label of the time slot; the first one if None.
        codes: How many codes to show.
        catalogs: Catalog files that come before the usual ones.
        model: That of the run, if it is loaded already.

    Raises:
        S2SMapError: As `explain`.
    """
    from s2s_map.models.codes import codebook_vectors, patch_codes

    folder = output_path(out)
    record = read_record(open_output(folder).finished_results() / names.RECORD)
    home = open_output(folder).finished_home()
    store = open_embeddings(home)
    slot = _slot(store, time_slot)
    cell = cell_at(store, lon, lat)
    # Where it was opened, not where it was made: it may have been moved.
    config = record.config.model_copy(update={"output": str(folder)})
    job = thaw(resolve(config, catalogs, home), home)
    _check_unchanged(store, job)
    model = model or load_model(record.config.model)
    if not isinstance(model, LoadedModel):
        raise ModelError(f"the model {job.card.name} has no codebook that can be looked into")
    query = encode_query(model, question, vectors_folder())

    patchset = job.layout.patch_near(cell.x, cell.y)
    image = job.source.read(patchset.read_bounds, patchset.read_shape, job.grid.crs)
    index = np.zeros(1, dtype=np.intp)
    seen = token_valid(model_valid(image.valid, patchset), patchset, index)[0]
    if not seen.any():
        raise ImageryError(
            f"no imagery in the patch around {lon:g} {lat:g}",
            remedy="choose a place further from the edge of the imagery",
        )
    pixels = patch_pixels(image, patchset, index)[0]
    metadata = None if job.metadata is None else job.metadata.of(patchset.centres(index))[slot]
    mix = patch_codes(model, pixels, model.resolution_for(job.layout.patch_m), metadata)
    vocabulary, active = vocabulary_codes(model, vectors_folder())
    heat = (mix.tokens @ query.vector).astype(np.float32)
    heat[~seen] = np.nan
    side = job.layout.tokens
    strongest = strongest_codes(
        mix.weights, mix.length, codebook_vectors(model), query.vector, active, vocabulary, codes
    )
    return Looked(
        record,
        store,
        job,
        query,
        patchset,
        cell,
        slot,
        (lon, lat),
        pixels,
        float(mix.vector @ query.vector),
        heat.reshape(side, side),
        tuple(strongest),
    )


def _slot(store: EmbeddingsStore, label: str | None) -> int:
    if label is None:
        return 0
    if label not in store.time_slots:
        raise QueryError(
            f"no time slot {label!r}", expected=f"one of {', '.join(store.time_slots)}"
        )
    return store.time_slots.index(label)


def _check_unchanged(store: EmbeddingsStore, job: Job) -> None:
    there = dict(store.attributes.get("identity", {}))
    here = json.loads(json.dumps(job.identity()))
    # Explained in float32, here as anywhere: what the run multiplied in does not matter.
    for identity in (there, here):
        identity["model"] = {**identity.get("model", {}), "precision": None}
        # Nor how missing pixels were filled: what is explained is mostly a whole patch.
        identity["patches"] = {**identity.get("patches", {}), "no_data": None}
    changed = differences(there, here)
    if changed:
        raise OutputMismatchError(
            f"what the embeddings were made from has changed: {', '.join(changed)}",
            remedy="explain a run of the imagery, catalog and model as they are now",
        )

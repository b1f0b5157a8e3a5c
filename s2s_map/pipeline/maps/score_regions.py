"""From a store of embeddings to ``maps.zarr`` and its GeoTIFFs, region by region."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import batched
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.embeddings.sealed import DamagedBlocksError, SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import InterruptedRunError
from s2s_map.outputs import names
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath, wrapped
from s2s_map.outputs.staging import staged
from s2s_map.pipeline.engine.executor import Executor, StoppedError, ThreadsExecutor
from s2s_map.pipeline.maps.questions import QuestionGroup, Questions
from s2s_map.rasters.building import MapsBuilding, same_cells
from s2s_map.rasters.cog import file_stem
from s2s_map.rasters.formats import LayerFormats
from s2s_map.rasters.maps import MapRegion, read_maps
from s2s_map.rasters.maps_schema import CHUNK_CELLS, variable
from s2s_map.reporter import Reporter
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.scoring.probability import score_concepts

GEOTIFF_ALONE = LayerFormats()
_READ_BYTES = 64 << 20
_KEPT_BYTES = 128 << 20
_IN_FLIGHT = 2


def scoring_bytes(queries: int, cells: int) -> int:
    """Return the bytes that threads of one process take to score, roughly.

    Regions are scored one by one: only so far does the size of the maps matter.

    Args:
        queries: How many questions.
        cells: Of the whole map.
    """
    answers = min(max(_KEPT_BYTES, 8 * CHUNK_CELLS**2), queries * 8 * min(cells, CHUNK_CELLS**2))
    # What is read, and the same again while it is compared.
    return _IN_FLIGHT * (answers + 2 * _READ_BYTES)


@dataclass(frozen=True, eq=False)
class RegionTask:
    """Score one region for every question, write it, mark it; pickles.

    Attributes:
        store: The embeddings.
        questions: What is asked.
        building: Where the answers go.
    """

    store: SealedEmbeddings
    questions: Questions
    building: MapsBuilding

    def __call__(self, region: MapRegion, stop: Event) -> str:
        """Do it; memory depends neither on the number of questions nor on that of time slots.

        Raises:
            DamagedBlocksError: For embeddings that are not what was recorded; nothing is marked.
        """
        self.building.check_there()
        self.store.check(region.y, region.x)
        with wrapped(self.building.path):
            self._score(region, stop)
        self.building.region_done(region)
        return region.key

    def _score(self, region: MapRegion, stop: Event) -> None:
        arrays = [variable(self.building.path, name) for name in ("probability", "similarity")]
        most = max(1, _KEPT_BYTES // (2 * 4 * CHUNK_CELLS**2))
        for group in self.questions.groups():
            for indices in batched(range(len(group.queries)), most):
                for slot in range(len(self.store.time_slots)):
                    if stop.is_set():
                        raise StoppedError
                    answers = self._answers(region, slot, group.part(slice(*_ends(indices))))
                    for i, index in enumerate(indices):
                        place = self.building.names.index(group.queries[index].name)
                        for array, answer in zip(arrays, answers, strict=True):
                            array[place, slot, region.y, region.x] = answer[i]

    def _answers(
        self, region: MapRegion, slot: int, group: QuestionGroup
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        shape = (len(group.queries), _length(region.y), _length(region.x))
        probability = np.full(shape, np.nan, dtype=np.float32)
        similarity = np.full(shape, np.nan, dtype=np.float32)
        for rows in _pieces(self.store, region):
            values = self.store.read_cells(slot, rows, region.x)
            if np.isnan(values[..., 0]).all():
                continue
            p, s = score_concepts(values, group.vectors, group.background, group.keep, group.method)
            here = slice(rows.start - region.y.start, rows.stop - region.y.start)
            probability[:, here], similarity[:, here] = p, s
        return probability, similarity


@dataclass(frozen=True, eq=False)
class LayerTask:
    """Summarise one finished layer and write its GeoTIFFs, styles and other files; pickles.

    Attributes:
        building: Where its cells are.
        layers: All layers by name.
        folder: Where the files go.
        attributes: Provenance for the tags.
        formats: Formats of the files.
    """

    building: MapsBuilding
    layers: Mapping[str, ConceptLayer]
    folder: OutputPath
    attributes: Mapping[str, Any]
    formats: LayerFormats

    def __call__(self, name: str, stop: Event) -> str:
        """Do it."""
        building, slots = self.building, self.building.time_slots
        building.check_there()
        with building.local_layer(self.layers[name]) as layer:
            with staged(self.folder) as folder:
                self.formats.write(folder, layer, building.grid, slots, self.attributes)
            building.layer_done(name, layer.summary)
        return name


@dataclass(frozen=True, eq=False)
class Before:
    """What the next results take over from the finished ones.

    Attributes:
        layers: The layers that may be kept, as they were written.
        order: Names of all layers that there were, in order.
        bad: Files that are not as they were written, each with how.
    """

    layers: tuple[ConceptLayer, ...] = ()
    order: tuple[str, ...] = ()
    bad: Mapping[str, str] = field(default_factory=dict)


def score_maps(
    out: OutputPath,
    store: SealedEmbeddings,
    questions: Questions,
    identity: Mapping[str, Any],
    zarr_format: Any,
    reporter: Reporter,
    executor: Executor | None = None,
    before: Before | None = None,
    formats: LayerFormats = GEOTIFF_ALONE,
) -> MapsBuilding:
    """Ask all questions of a store, and keep the answers where the next results are made.

    Layers that the finished maps have already are taken over; those of the same name replaced.

    Args:
        out: The output.
        store: The embeddings.
        questions: What is asked.
        identity: What the embeddings are, so that unfinished maps of others are not gone on with.
        zarr_format: Version of the Zarr format.
        reporter: Receives the progress.
        executor: Where regions are scored; threads of this process if None.
        before: What of the finished results is taken over; all layers if None.
        formats: Formats of the files of layers.

    Returns:
        The maps, not yet in their place.

    Raises:
        InterruptedRunError: On Ctrl-C; finished regions are kept.
        DamagedBlocksError: With all blocks that are not what was recorded, when every region that
            can be scored is.
        OutputError: For a full disk and the like.
    """
    output = open_output(out)
    results = output.next_results()
    old = _existing(output.finished_results(), store) if before is None else before.layers
    asked = questions.by_name()
    kept = [layer for layer in old if layer.name not in asked]
    first = [layer.name for layer in old] if before is None else before.order
    order = [name for name in first if name in asked or any(k.name == name for k in kept)]
    named = tuple(dict.fromkeys([*order, *asked]))
    building = MapsBuilding(results / names.MAPS, named, store.grid, tuple(store.time_slots))
    about = {
        "embeddings": identity,
        "questions": [part.identity(query) for part, query in asked.values()],
        "kept": [[layer.described(), _modified(layer)] for layer in kept],
        **formats.identity(),
    }
    goes_on = building.begin(about, zarr_format, output.unfinished_results(results))
    wanted = names.wanted_names(named, store.time_slots, formats.endings)
    output.begin_results(results, wanted, None if goes_on else building.folder)
    building.carry(kept)
    todo = building.missing_regions()
    reporter.start("Scoring", len(todo), "regions")
    task = RegionTask(store, questions, building)
    _each(executor, task, todo, lambda: reporter.advance(1))
    reporter.finish()
    return building


def layers_of(
    building: MapsBuilding,
    questions: Questions,
    out: OutputPath,
    before: Before | None = None,
) -> list[ConceptLayer]:
    """Return all layers of maps that are scored; the cells are read when they are indexed."""
    asked = questions.by_name()
    if before is not None:
        old = {layer.name: layer for layer in before.layers}
    else:
        maps = open_output(out).finished_results() / names.MAPS
        old = {layer.name: layer for layer in read_maps(maps)} if maps.exists() else {}
    layers = []
    for name in building.names:
        cells = (building.cells(name, "probability"), building.cells(name, "similarity"))
        if name in asked:
            (part, query), known = asked[name], building.layer_summary(name)
            label, about = part.method().label, part.describe(query)
            layers.append(ConceptLayer(name, query.title, about, *cells, label, known))
        else:
            layers.append(replace(old[name], probability=cells[0], similarity=cells[1]))
    return layers


def write_layers(
    building: MapsBuilding,
    layers: Sequence[ConceptLayer],
    out: OutputPath,
    attributes: Mapping[str, Any],
    reporter: Reporter,
    executor: Executor | None = None,
    bad: Collection[str] = (),
    formats: LayerFormats = GEOTIFF_ALONE,
) -> list[ConceptLayer]:
    """Write the GeoTIFFs of layers that are not written yet.

    Args:
        building: The scored maps.
        layers: All layers.
        out: The output; files of layers that are kept are taken over from its finished results.
        attributes: Provenance for the tags.
        reporter: Receives the progress.
        executor: Where they are written; threads of this process if None.
        bad: Names of finished files that are not as they were written: made again.
        formats: Formats of the files; of kept layers those beside GeoTIFF are written again.

    Returns:
        The layers with their summaries.
    """
    building.check_there()
    output, results = open_output(out), building.target.parent
    kept = [layer for layer in layers if layer.known and not building.layer_summary(layer.name)]
    stems = [
        file_stem(layer, slot, len(building.time_slots))
        for layer in kept
        for slot in building.time_slots
    ]
    kept_files = (f"{stem}{end}" for stem in stems for end in names.LAYER_ENDINGS)
    wanted = [name for name in kept_files if name not in bad]
    output.keep_files(output.finished_results(), results, wanted)
    endings = formats.endings
    todo = [layer.name for layer in layers if not _is_written(building, layer, results, endings)]
    reporter.advance(len(layers) - len(todo))
    named = {layer.name: layer for layer in layers}
    task = LayerTask(building, named, results, attributes, formats)
    _each(executor, task, todo, lambda: reporter.advance(1))
    return [
        replace(layer, known=building.layer_summary(layer.name) or layer.known) for layer in layers
    ]


def _is_written(
    building: MapsBuilding, layer: ConceptLayer, out: OutputPath, endings: Sequence[str]
) -> bool:
    known, slots = building.layer_summary(layer.name) or layer.known, building.time_slots
    stems = [file_stem(layer, slot, len(slots)) for slot in slots]
    return known is not None and all(
        (out / f"{stem}{ending}").exists() for stem in stems for ending in endings
    )


def _existing(out: OutputPath, store: EmbeddingsStore) -> list[ConceptLayer]:
    path = out / names.MAPS
    if not path.exists() or not same_cells(path, store.grid, store.time_slots):
        return []
    return read_maps(path)


def _modified(layer: ConceptLayer) -> Any:
    return None if layer.known is None else layer.known.as_dict()


def _each[Item](
    executor: Executor | None,
    task: Callable[[Item, Event], str],
    items: Sequence[Item],
    done: Callable[[], None],
) -> None:
    stop = Event()
    bad: dict[str, str] = {}
    store: OutputPath | None = None
    try:
        for outcome in (executor or ThreadsExecutor()).run(task, items, stop):
            if outcome.result is not None:
                done()
            elif outcome.final and isinstance(outcome.error, DamagedBlocksError):
                bad |= outcome.error.reasons
                store = outcome.error.store
            elif outcome.final and outcome.error is not None:
                raise outcome.error
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "stopped while the maps were written",
            remedy="start the same run again to go on where it stopped",
        ) from None
    finally:
        stop.set()
    if store is not None:
        raise DamagedBlocksError(store, bad)


def _pieces(store: EmbeddingsStore, region: MapRegion) -> Iterator[slice]:
    """Yield runs of rows of a region, along the chunks of the store, each of a bounded size."""
    row_bytes = _length(region.x) * store.dim * 4
    chunk = store.chunk_cells
    step = max(1, _READ_BYTES // (row_bytes * chunk)) * chunk
    top = region.y.start
    while top < region.y.stop:
        bottom = min((top // step + 1) * step, region.y.stop)
        yield slice(top, bottom)
        top = bottom


def _ends(indices: tuple[int, ...]) -> tuple[int, int]:
    return indices[0], indices[-1] + 1


def _length(part: slice) -> int:
    return int(part.stop - part.start)

"""Asking a finished run again, without its imagery."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from s2s_map.config.cluster import ClusterConfig
from s2s_map.config.making_time import making_time
from s2s_map.config.run import ProbabilityConfig, QueryConfig
from s2s_map.embeddings.objects import ObjectPath, OutputPath, output_path
from s2s_map.embeddings.sealed import DamagedBlocksError
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.errors import OutputMismatchError, QueryError, StoreError
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model
from s2s_map.pipeline import folder as names
from s2s_map.pipeline.cluster import open_executor
from s2s_map.pipeline.generations import finished_results, keep_files, publish
from s2s_map.pipeline.late_data import replaced_blocks
from s2s_map.pipeline.ledger import LedgerState
from s2s_map.pipeline.mapping import score_maps
from s2s_map.pipeline.opening import OpenRun
from s2s_map.pipeline.progress import Reporter
from s2s_map.pipeline.record import RunRecord, read_record
from s2s_map.pipeline.scoring import encode_questions
from s2s_map.pipeline.writing import write_results

_OTHER_DATA = "its object holds other data than was recorded"


def query(
    out: str | Path | ObjectPath,
    text: str | None = None,
    *,
    audio: str | None = None,
    texts: Sequence[str] = (),
    minus: Sequence[str] = (),
    name: str | None = None,
    probability: ProbabilityConfig | None = None,
    reporter: Reporter | None = None,
    cluster: ClusterConfig | None = None,
    strict: bool = False,
) -> OpenRun:
    """Ask a finished run something else and add the answer as a layer.

    Needs neither the imagery nor the satellite encoder.

    Args:
        out: Output of a finished run, a folder or ``s3://bucket/prefix``.
        text: What to listen for.
        audio: A recording, alone or as a further part of the question.
        texts: Further texts; the question is the mean of all parts, see `QueryConfig`.
        minus: Texts to take off.
        name: Name of the layer; made from the text or file name if None. A layer of that name is
            replaced.
        probability: Another way from similarity to probability than the run's.
        reporter: Told of the progress.
        cluster: Where the maps are scored and written; threads of this process if None, wherever
            the run was computed.
        strict: Refuse a question that is not understood, instead of saying so.

    Returns:
        The run with the new layer, opened.

    Raises:
        QueryError: For a query that cannot be asked.
        StoreError: If there is no finished run.
        DamagedBlocksError: For embeddings that are not what was recorded; the maps stay as they
            are.
        OutputMismatchError: If the model is no longer the one the embeddings were made with.
        ClusterError: For a cluster that cannot be used.

    Examples:
        >>> query("out/demo", "a river flowing", name="river")  # doctest: +SKIP
    """
    folder, watch = output_path(out), reporter or Reporter()
    if text is None and audio is None and not texts:
        raise QueryError("no question", expected="a text, or a recording with --audio")
    question = QueryConfig.model_construct(
        name=name, text=text, audio=audio, texts=tuple(texts), minus=tuple(minus)
    )
    names.check_access(folder, write=True)
    created = making_time()
    record = read_record(finished_results(folder) / names.RECORD)
    # First of all: the model is not loaded for embeddings that cannot be read.
    names.open_embeddings(folder)
    config = record.config
    model = load_model(config.model)
    _check_model(model, record)
    settings = probability or config.probability
    questions = encode_questions(
        model, model.card, [question], settings, vectors_folder(), record.concepts
    )
    questions.say(watch.note, strict=strict)
    with names.locked(folder, watch.note) as lock:
        began = time.monotonic()
        with names.open_ledger(folder) as ledger:
            state = ledger.state()
        _check_all_there(folder, state, record)
        store = names.open_embeddings(folder, state)
        replaced = replaced_blocks(store, state.records)
        if replaced:
            raise DamagedBlocksError(store.path, dict.fromkeys(replaced, _OTHER_DATA))
        done = state.content
        where = cluster or ClusterConfig()
        called = str(folder.resolve() if isinstance(folder, Path) else folder)
        with open_executor(where, called, watch) as executor:
            building = score_maps(
                folder, store, questions, done, config.zarr_format, watch, executor
            )
            results = building.target.parent
            lock.check()
            keep_files(finished_results(folder), results, [names.IMAGERY])
            record.created, before = created, set(record.concepts)
            write_results(folder, building, questions, record, watch, executor)
        record.replaced_last = questions.queries[0].name in before
        record.last_concept = questions.queries[0].name
        record.timings["last_query"] = round(time.monotonic() - began, 3)
        record.write(results / names.RECORD)
        lock.check()
        publish(folder, results)
    return OpenRun(folder, record, results)


def _check_all_there(folder: OutputPath, state: LedgerState, record: RunRecord) -> None:
    """Check that the ledger still has the blocks that the maps there were made from."""
    there, made_from = len(state.records), record.counts.get("blocks", 0)
    if there < made_from:
        raise StoreError(
            f"the ledger of {folder} has {there:,} of the {made_from:,} blocks that its maps were "
            "made from",
            remedy="start the same run again (s2s-map run CONFIG), which embeds the others anew",
        )


def _check_model(model: LoadedModel, record: RunRecord) -> None:
    if model.sha256 != record.model_sha256:
        raise OutputMismatchError(
            f"the model {model.name} has the hash {model.sha256[:12]}",
            expected=f"{record.model_sha256[:12]}, which the embeddings were made with",
            remedy="install that version of the model, or run again with --overwrite",
        )

"""Asking a finished run again, without its imagery."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from s2s_map.config.cluster import ClusterConfig
from s2s_map.config.making_time import making_time
from s2s_map.config.run import ProbabilityConfig
from s2s_map.embeddings.opening import open_embeddings, open_ledger
from s2s_map.embeddings.sealed import DamagedBlocksError
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.errors import OutputMismatchError, StoreError
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model
from s2s_map.outputs import names
from s2s_map.outputs.ledger import LedgerState
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, OutputPath, output_path
from s2s_map.pipeline.embed.overwritten_blocks import replaced_blocks
from s2s_map.pipeline.engine.dask_cluster import open_executor
from s2s_map.pipeline.job.output_folder import check_store_id
from s2s_map.pipeline.job.question import make_question
from s2s_map.pipeline.job.run_record import Asked, RunRecord, read_record
from s2s_map.pipeline.maps.kept_layers import ask_again, look_back, say_again, say_bad
from s2s_map.pipeline.maps.questions import Questions, encode_questions
from s2s_map.pipeline.maps.score_regions import score_maps
from s2s_map.pipeline.maps.write_results import write_results
from s2s_map.pipeline.verbs.open_run import OpenRun, open_run
from s2s_map.rasters.formats import LayerFormats
from s2s_map.reporter import Reporter

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
        reporter: Receives the progress.
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
    question = make_question(name, text, audio, texts, minus)
    open_output(folder).check_access(write=True)
    created = making_time()
    record = read_record(open_output(folder).finished_results() / names.RECORD)
    # First of all: the model is not loaded for embeddings that cannot be read.
    check_store_id(open_output(folder).finished_home())
    open_embeddings(open_output(folder).finished_home())
    model = _model_of(record)
    settings = probability or record.config.probability
    questions = encode_questions(
        model, model.card, [question], settings, vectors_folder(), record.concepts
    )
    questions.say(watch.note, strict=strict)
    name = questions.queries[0].name
    asked = {name: Asked(question.model_copy(update={"name": name}), settings)}
    with open_output(folder).locked(watch.note) as lock:
        finished = _answer(folder, lock.check, model, questions, asked, watch, cluster, created)
    finished.record.replaced_last = name in record.concepts
    finished.record.last_concept = name
    return finished


def remake(
    out: str | Path | ObjectPath,
    reporter: Reporter | None = None,
    cluster: ClusterConfig | None = None,
) -> OpenRun:
    """Make again what of finished results is not as it was written, from the embeddings.

    Args:
        out: Output of a finished run, a folder or ``s3://bucket/prefix``.
        reporter: Receives the progress, and which layers cannot be made again.
        cluster: Where the maps are scored and written; threads of this process if None.

    Raises:
        StoreError: If there is no finished run, or its ``run.json`` is damaged.
        OutputMismatchError: If the model is no longer the one the embeddings were made with.
    """
    folder, watch = output_path(out), reporter or Reporter()
    open_output(folder).check_access(write=True)
    record = read_record(open_output(folder).finished_results() / names.RECORD)
    model = _model_of(record)
    nothing = Questions((), {}, record.config.probability, 1.0, "nothing is asked")
    with open_output(folder).locked(watch.note) as lock:
        return _answer(folder, lock.check, model, nothing, {}, watch, cluster, making_time())


def _answer(
    folder: OutputPath,
    check: Callable[[], None],
    model: LoadedModel,
    questions: Questions,
    asked: Mapping[str, Asked],
    watch: Reporter,
    cluster: ClusterConfig | None,
    created: datetime,
) -> OpenRun:
    """Write results with the answers to questions, and to those of layers that are damaged."""
    began = time.monotonic()
    # Only now: who held the output before may have published.
    output = open_output(folder)
    finished, home = output.finished_results(), output.finished_home()
    record = read_record(finished / names.RECORD)
    _check_model(model, record)
    with open_ledger(home) as ledger:
        state = ledger.state()
    _check_all_there(folder, state, record)
    store = open_embeddings(home, state)
    replaced = replaced_blocks(store, state.records)
    if replaced:
        raise DamagedBlocksError(store.path, dict.fromkeys(replaced, _OTHER_DATA))
    formats = LayerFormats(record.config.formats)
    wanted = names.wanted_names(questions.by_name(), store.time_slots, formats.endings)
    output.check_names(wanted)
    before = look_back(folder, store, record)
    if before.bad:
        watch.note(f"not as it was written, and made again: {say_bad(before.bad)}")
    sound = {layer.name for layer in before.layers}
    lost = [name for name in before.order if name not in sound]
    again = ask_again(questions, lost, record, model, model.card, vectors_folder())
    say_again(watch, again, "their cells were damaged")
    record.asked |= {**again.asked, **asked}
    with open_executor(cluster or ClusterConfig(), output.name, watch) as executor:
        building = score_maps(
            folder,
            store,
            again.questions,
            state.content,
            record.config.zarr_format,
            watch,
            executor,
            before,
            formats,
        )
        results = building.target.parent
        check()
        if names.IMAGERY not in before.bad:
            output.keep_files(finished, results, [names.IMAGERY])
        record.created = created
        write_results(folder, building, again.questions, record, watch, executor, before)
    record.timings["last_query"] = round(time.monotonic() - began, 3)
    record.write(results / names.RECORD)
    check()
    output.publish(results, note=watch.note)
    return open_run(folder)


def _model_of(record: RunRecord) -> LoadedModel:
    model = load_model(record.config.model)
    _check_model(model, record)
    return model


def _check_all_there(folder: OutputPath, state: LedgerState, record: RunRecord) -> None:
    """Check that the ledger still has the blocks that the maps there were made from."""
    there, made_from = len(state.records), record.counts.get("blocks", 0)
    if there < made_from:
        raise StoreError(
            f"the ledger of {folder} has {there:,} of the {made_from:,} blocks that its maps were "
            "made from",
            remedy="start the same run again (s2s-map run CONFIG), which embeds the others again",
        )


def _check_model(model: LoadedModel, record: RunRecord) -> None:
    if model.sha256 != record.model_sha256:
        raise OutputMismatchError(
            f"the model {model.name} has the hash {model.sha256[:12]}",
            expected=f"{record.model_sha256[:12]}, which the embeddings were made with",
            remedy="install that version of the model, or run again with --overwrite",
        )

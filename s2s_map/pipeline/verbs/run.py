"""The main job: from a config to maps."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from s2s_map.catalog.environment import check_environment
from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.embeddings.opening import open_ledger
from s2s_map.embeddings.overview_schema import add_levels
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.encoding.queries import query_name
from s2s_map.encoding.query_model import QueryModel
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.errors import (
    ConfigError,
    StoreError,
)
from s2s_map.models.registry import load_model
from s2s_map.outputs import names
from s2s_map.outputs.atomic import output_errors
from s2s_map.outputs.ledger import Ledger
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath, output_path
from s2s_map.outputs.zarr_files import embeddings_exist
from s2s_map.pipeline.embed.block_task import StageWatcher
from s2s_map.pipeline.embed.overwritten_blocks import check_not_replaced, drop_replaced
from s2s_map.pipeline.embed.record_end import noted_end
from s2s_map.pipeline.embed.repair_metadata import (
    mend_metadata,
    mended_check,
    store_attributes,
)
from s2s_map.pipeline.embed.retry_holes import check_mended, take_back
from s2s_map.pipeline.engine.dask_cluster import open_executor
from s2s_map.pipeline.engine.executor import Executor
from s2s_map.pipeline.job.check_settings import check_settings
from s2s_map.pipeline.job.colour_remarks import colour_remarks, unseen_note
from s2s_map.pipeline.job.device import resolve_device
from s2s_map.pipeline.job.frozen_search import freeze, keep_search
from s2s_map.pipeline.job.job import Job, resolve
from s2s_map.pipeline.job.output_folder import check_folder
from s2s_map.pipeline.job.run_record import Asked, RunRecord, read_record
from s2s_map.pipeline.maps.kept_layers import ask_again, look_back, say_again, say_bad
from s2s_map.pipeline.maps.questions import Questions, encode_questions
from s2s_map.pipeline.maps.score_regions import Before
from s2s_map.pipeline.maps.write_results import write_quicklook, write_results
from s2s_map.pipeline.verbs.open_run import OpenRun, open_run
from s2s_map.pipeline.verbs.overwrite import added_layers, begun_before, home_for
from s2s_map.pipeline.verbs.plan import long_run
from s2s_map.pipeline.verbs.plan_warnings import sample_distance_warnings
from s2s_map.pipeline.verbs.run_stages import Stages
from s2s_map.rasters.formats import LayerFormats
from s2s_map.regions.place_region import others_note
from s2s_map.reporter import Reporter


def run(
    config: RunConfig | str | Path,
    *,
    overwrite: bool = False,
    retry_holes: bool = False,
    strict: bool = False,
    catalogs: Sequence[str | Path] = (),
    reporter: Reporter | None = None,
    executor: Executor | None = None,
    on_stage: StageWatcher | None = None,
    performance_report: Path | None = None,
) -> OpenRun:
    """Map a region: embed what is not embedded yet, ask, write.

    A run that was interrupted goes on where it stopped; one that is complete asks its questions
    again without embedding. Layers that `query` added are kept.

    Args:
        config: A run config, or the path of one.
        overwrite: Start from scratch where there are results, such as those of another config.
            They stay, and can be asked, until the new ones are written; layers that `query` added
            are asked again. A run that began so and was stopped goes on instead.
        retry_holes: Embed again the blocks whose imagery had holes, and keep the others. Files that
            were holes may have changed. Blocks that failed are always tried again.
        strict: Refuse questions that are not understood, instead of saying so.
        catalogs: Catalog files that come before the usual ones.
        reporter: Receives the progress.
        executor: Where blocks are computed; what the config's `cluster:` says if None.
        on_stage: Called where a block is computed, as it enters each stage.
        performance_report: HTML file for Dask's report of what a cluster did.

    Returns:
        The finished run, opened. Blocks that failed are missing from the maps and listed in
        `OpenRun.record.failed`; running again tries them again. Imagery that could not be read
        is no data in the maps and listed in `OpenRun.record.holes`.

    Raises:
        S2SMapError: For whatever cannot be used, before anything is computed where possible.
        InterruptedRunError: On Ctrl-C or SIGTERM; running again goes on.

    Examples:
        >>> finished = run("workflows/demo.yaml")  # doctest: +SKIP
        >>> finished.concepts  # doctest: +SKIP
        ['waves', 'traffic', 'forest', 'farm', 'owl']
    """
    if not isinstance(config, RunConfig):
        config = load_run_config(config)
    if overwrite and retry_holes:
        raise ConfigError(
            "overwrite and retry_holes", expected="one of them", remedy="see s2s-map run --help"
        )
    watch = reporter or Reporter()
    out, output = output_path(config.output), open_output(config.output)
    check_settings(config)
    output.check_access(write=True)
    job, begun = (
        resolve(config, catalogs, None if overwrite else open_output(out).finished_home()),
        None,
    )
    if overwrite:
        check_environment(job.entry)
        begun = begun_before(job)
    there = None if overwrite else output.finished_home()
    job = begun[0] if begun else freeze(job, there, watch, retry_holes=retry_holes)
    _check(job, overwrite=overwrite, retry_holes=retry_holes)
    record = _begun(job, watch)
    with record.timed("prepare"):
        model = load_model(config.model, resolve_device(config.device), job.precision)
        # Questions first: a bad recording should not be found after an hour of encoding.
        questions = encode_questions(
            model, job.card, config.queries, config.probability, vectors_folder()
        )
        questions.say(watch.note, strict=strict)
    with output.locked(watch.note) as lock:
        home = finished = output.finished_home()
        if overwrite:
            begun = begun_before(job)
            home = home_for(job, None if begun is None else begun[1], watch)
        mend_metadata(job, home, watch)
        _check(job, overwrite=overwrite, retry_holes=retry_holes)
        keep_search(job, home)
        store = _open_store(job, home)
        with (
            open_ledger(home, lock.check) as ledger,
            _executor(job, ledger, executor, watch, performance_report) as where,
        ):
            drop_replaced(store, ledger, watch)
            questions, kept = _earlier(
                job, store, record, questions, model, watch, anew=home != finished
            )
            before = take_back(job, store, ledger, watch) if retry_holes else {}
            stages = Stages(
                job,
                record,
                model,
                questions,
                watch,
                lock,
                store,
                ledger,
                where,
                on_stage,
                anew=overwrite,
                before=before,
                kept=kept,
            )
            stages.embed()
            with noted_end(ledger, stages.ending, lambda: "while its maps were made"):
                building = stages.score_whole()
                results = building.target.parent
                _say_outdated(record, [layer.name for layer in kept.layers], out, watch)
                with record.timed("write"), output_errors(out):
                    lock.check()
                    write_quicklook(job, results, watch)
                    stages.check_undisturbed()
                    write_results(
                        out, building, questions, record, watch, where, before=kept, home=home
                    )
                lock.check()
                record.write(results / names.RECORD)
                check_not_replaced(store, ledger.state().records)
                lock.check()
                output.publish(results, home, watch.note)
    return open_run(out)


def _check(job: Job, *, overwrite: bool, retry_holes: bool) -> None:
    """Check that a job's output takes its embeddings and has room for its files."""
    out, slots = job.output, job.time_slots
    if overwrite:
        open_output(out).check_foreign()
    else:
        check = partial(check_folder, out, job.identity())
        if retry_holes:
            check = partial(check_mended, out, job.identity(), job.source.named_parts)
        mended_check(check, job, open_output(out).finished_home())
    asked = [query_name(query) for query in job.config.queries]
    endings = LayerFormats(job.config.formats).endings
    open_output(out).check_names(names.wanted_names(asked, slots, endings))


def _earlier(
    job: Job,
    store: EmbeddingsStore,
    record: RunRecord,
    questions: Questions,
    model: QueryModel,
    watch: Reporter,
    *,
    anew: bool,
) -> tuple[Questions, Before]:
    """Return all questions, with those of earlier layers that must be asked again, and the rest."""
    out = job.output
    record.asked = {
        query_name(query): Asked(query, job.config.probability) for query in job.config.queries
    }
    try:
        old = read_record(open_output(out).finished_results() / names.RECORD)
    except StoreError:
        old = None
    kept = Before() if anew else look_back(out, store, old)
    if old is None:
        return questions, kept
    why = "their embeddings are replaced" if anew else say_bad(kept.bad)
    sound = {layer.name for layer in kept.layers}
    lost = [name for name in (added_layers(old) if anew else kept.order) if name not in sound]
    again = ask_again(questions, lost, old, model, job.card, vectors_folder())
    say_again(watch, again, why)
    record.asked = {**old.asked, **again.asked, **record.asked}
    return again.questions, kept


def _open_store(job: Job, home: OutputPath) -> EmbeddingsStore:
    path = home / names.EMBEDDINGS
    if embeddings_exist(path):
        store = EmbeddingsStore.open(path)
    else:
        attributes, dim = store_attributes(job, uuid.uuid4().hex), job.card.config.dim
        store = EmbeddingsStore.create(path, job.grid, dim, job.time_slots, attributes)
    return add_levels(store, job.config.overviews)


def _say_outdated(
    record: RunRecord, there: Sequence[str], out: OutputPath, watch: Reporter
) -> None:
    """Note layers that queries added to maps of other embeddings: they are kept as they were."""
    try:
        before = read_record(open_output(out).finished_results() / names.RECORD)
    except StoreError:
        return
    asked = {query_name(query) for query in record.config.queries}
    kept = [name for name in there if name not in asked]
    known = before.embeddings_sha256
    if kept and known and known != record.embeddings_sha256:
        watch.note(
            f"blocks were embedded since {', '.join(kept)} was asked: that is kept as it was; "
            f"ask it again with s2s-map query {out}"
        )


def _begun(job: Job, watch: Reporter) -> RunRecord:
    """Begin the record of a job, and note what is to be known before an hour of encoding."""
    for line in (others_note(job.outline), *sample_distance_warnings(job), long_run(job)):
        if line:
            watch.note(line)
    record = RunRecord.of(job)
    record.remarks = colour_remarks(job, network=True)
    for remark in (*record.remarks, *unseen_note(job)):
        watch.note(f"imagery: {remark}")
    return record


@contextmanager
def _executor(
    job: Job, ledger: Ledger, given: Executor | None, reporter: Reporter, report: Path | None
) -> Iterator[Executor]:
    if given is not None:
        yield given
        return
    name = open_output(job.output).name
    before = ledger.state().run
    # What this output was begun on is not a misspelt address.
    known = before is not None and before.cluster == job.config.cluster.use.partition("://")[0]
    with open_executor(job.config.cluster, name, reporter, report, known=known) as opened:
        yield opened

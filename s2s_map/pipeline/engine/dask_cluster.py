"""From a `cluster:` of a config to an executor: starting, finding and checking a cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2s_map.config.cluster import ClusterConfig
from s2s_map.errors import ClusterError, ClusterUnavailableError, OutputError
from s2s_map.extras import check_extra
from s2s_map.pipeline.engine.cores import usable_cores
from s2s_map.pipeline.engine.dask_certificates import check_certificates
from s2s_map.pipeline.engine.dask_versions import check_versions, clock_skews
from s2s_map.pipeline.engine.executor import Executor, ThreadsExecutor, reason_of
from s2s_map.reporter import Reporter

if TYPE_CHECKING:
    from distributed import Client

    from s2s_map.pipeline.engine.dask_executor import DaskExecutor


_CONNECT_S = 10.0


@contextmanager
def open_executor(
    cluster: ClusterConfig,
    name: str,
    reporter: Reporter | None = None,
    performance_report: Path | None = None,
    *,
    known: bool = False,
) -> Iterator[Executor]:
    """Start or find what computes blocks; what was started here ends with the context.

    Args:
        cluster: Where to compute.
        name: What the run is called on the cluster, one at a time of each name.
        reporter: Receives the address of the status page.
        performance_report: HTML file for Dask's report of what the cluster did.
        known: Whether a scheduler has answered this run before: one that does not now is away, not
            misspelt.

    Raises:
        ClusterUnavailableError: If a known scheduler does not answer, or one has no worker.
        ClusterError: If there is no such cluster, or its workers are of other versions.
        OutputError: If the performance report cannot be written.
    """
    _check_report(cluster, performance_report)
    if cluster.use == "threads":
        yield ThreadsExecutor(cluster.in_flight)
        return
    from s2s_map.pipeline.engine.dask_executor import DaskExecutor

    kind = cluster.use.partition("://")[0]
    with ExitStack() as stack:
        if kind in ("local", "cuda"):
            client = stack.enter_context(_started(cluster))
        else:
            client = stack.enter_context(_connected(cluster, known=known))
            try:
                check_versions(client)
                skews = clock_skews(client)
            except OSError as error:
                raise ClusterUnavailableError(
                    f"the cluster at {cluster.use} does not answer: {reason_of(error)}",
                    remedy="start the same command again",
                ) from error
            for skew in skews:
                if reporter is not None:
                    reporter.note(skew)
        if reporter is not None and cluster.dashboard is not None:
            reporter.note(f"Dask's status page: {client.dashboard_link}")
        note = None if reporter is None else reporter.note
        executor = DaskExecutor(client, kind, name, cluster.in_flight, cluster.wait_s, note)
        # The client may have been replaced when a scheduler came back.
        stack.callback(lambda: executor.client.close(timeout=5))
        if performance_report is not None:
            # After the client's end is registered, so that the report is made before it.
            stack.enter_context(_reported(executor, performance_report, reporter or Reporter()))
        yield executor


@contextmanager
def _reported(executor: DaskExecutor, path: Path, reporter: Reporter) -> Iterator[None]:
    """Write Dask's report when the work ends; one that cannot be made is worth a note, no more."""
    from distributed import performance_report

    report = performance_report(filename=str(path))
    try:
        with executor.client.as_current():
            report.__enter__()
    except Exception as error:
        reporter.note(f"no performance report: {reason_of(error)}")
        yield
        return
    try:
        yield
    except Exception:
        _write_report(executor, report, path, reporter)
        raise
    _write_report(executor, report, path, reporter)


def _write_report(executor: DaskExecutor, report: Any, path: Path, reporter: Reporter) -> None:
    try:
        with executor.client.as_current():
            report.__exit__(None, None, None)
    except Exception as error:
        reporter.note(f"no performance report in {path}: {reason_of(error)}")


@contextmanager
def _started(cluster: ClusterConfig) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    kind = LocalCluster if cluster.use == "local" else _cuda_cluster()
    workers = cluster.workers or (usable_cores() if cluster.use == "local" else _gpus())
    threads = max(1, usable_cores() // workers)
    settings = {
        # Dask holds the numeric libraries to one thread; here a worker encodes one block at a time.
        f"distributed.nanny.pre-spawn-environ.{name}": threads
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    }
    # Dask always serves something: on a port of its choice, as its usual one may be taken.
    page = f"127.0.0.1:{cluster.dashboard or 0}"
    with dask.config.set(settings), ExitStack() as stack:
        with _interrupts_kept_here():
            # One thread more than blocks in flight would only wait for a slot.
            here = stack.enter_context(
                kind(
                    n_workers=workers,
                    threads_per_worker=cluster.in_flight,
                    host="127.0.0.1",
                    dashboard_address=page,
                    silence_logs=_log_level(),
                    local_directory=os.environ.get("DASK_TEMPORARY_DIRECTORY"),
                )
            )
        yield stack.enter_context(Client(here, set_as_default=False))


@contextmanager
def _connected(cluster: ClusterConfig, *, known: bool) -> Iterator[Client]:
    from distributed import Client

    check_certificates(cluster.use)
    try:
        client = Client(cluster.use, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        kind = ClusterUnavailableError if known else ClusterError
        raise kind(
            f"no Dask scheduler answers at {cluster.use} within {_CONNECT_S:.0f} s",
            remedy="check the address and that the scheduler runs: dask scheduler",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=cluster.wait_s)
        except TimeoutError:
            # It answers, so the address is right; workers may still be on their way.
            raise ClusterUnavailableError(
                f"the scheduler at {cluster.use} has no worker after {cluster.wait_s:.0f} s",
                remedy=f"start some: dask worker {cluster.use}",
            ) from None
        yield client


def _log_level() -> int:
    import logging

    # Dask's workers tell of every restart; the run's own record of blocks says what counts.
    return logging.CRITICAL


def _cuda_cluster() -> Any:
    check_extra("cuda", "cluster: cuda", error=ClusterError, instead="use cluster: local")
    _gpus()
    from dask_cuda import LocalCUDACluster

    return LocalCUDACluster


@contextmanager
def _interrupts_kept_here() -> Iterator[None]:
    """Keep Ctrl-C, which a terminal sends to all processes, from those that are started within.

    They end with this one. Threads and processes inherit which signals are blocked where they are
    started, those that a thread of Dask starts later, too.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows.
        yield
        return
    # Where it is started with the first process, it lets signals through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _gpus() -> int:
    import torch

    count = torch.cuda.device_count()
    if not count:
        raise ClusterError(
            "cluster: cuda on a machine without a GPU that torch can use",
            remedy="use cluster: local, or check the driver with s2s-map doctor",
        )
    return count


def _check_report(cluster: ClusterConfig, report: Path | None) -> None:
    if report is None:
        return
    if cluster.use == "threads":
        raise ClusterError(
            "a performance report is made by Dask, not at cluster: threads",
            remedy="use cluster: local",
        )
    check_extra("dashboard", "a performance report", error=ClusterError)
    made = not report.exists()
    try:
        with report.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise OutputError(
            f"the performance report {report} cannot be written: {error.strerror}",
            remedy="name another --performance-report",
        ) from None
    if made:
        report.unlink()

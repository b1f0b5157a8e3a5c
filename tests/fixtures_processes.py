"""Processes that start at once: forked from one that has already imported what takes seconds.

A fresh ``s2s-map`` imports for some five seconds of processor time before it does anything, and
tests start a hundred. Within `forked` a `subprocess.Popen` of Python or ``s2s-map`` is a fork of a
server process that has imported all that, with its own arguments, environment, folder and streams:
a process like any other to signal, to kill and to wait for. Tests of what a fresh interpreter does
(what it imports, its memory, ``sitecustomize``, ``--cluster local``) start one.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver, reduction
from pathlib import Path
from typing import Any

import pytest

# Nothing that starts threads. What is here read the environment when it was imported, such as
# HF_ENDPOINT: who sets that starts a fresh process.
IMPORTED = [
    "torch",
    "lightning",
    "matplotlib.backends.backend_agg",
    "matplotlib.projections",
    "dask.array",
    "distributed",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker",
    "s2s_map.cli.app",
    "s2s_map.cli.main",
    "s2s_map.pipeline.verbs.run",
    "s2s_map.pipeline.engine.dask_executor",
    "s2s_map.imagery.sources.raster.source",
]
PROGRAMS = (Path(sys.executable), Path(sys.executable).with_name("s2s-map"))

_real = subprocess.Popen


class _Stream:
    """A file descriptor that travels to the new process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        return _received, (reduction.DupFd(self.number),)


def _received(duplicate: Any) -> int:
    return int(duplicate.detach())


class Forked(_real):  # type: ignore[type-arg,misc]
    """A `subprocess.Popen` whose process is a fork of the server's.

    What it cannot do (another program, a shell, a new session) is done by the real one.
    """

    _process: Any = None

    def _execute_child(self, args: Any, *rest: Any) -> None:
        executable, preexec, _, passed, cwd, env, _, _, shell = rest[:9]
        pipes, new_session = rest[9:15], rest[-2]
        words = [os.fspath(word) for word in ([args] if isinstance(args, str | Path) else args)]
        if (
            Path(words[0]) not in PROGRAMS
            or executable
            or preexec
            or passed
            or shell
            or new_session
        ):
            super()._execute_child(args, *rest)
            return
        # The child's ends; -1 for what it inherits.
        ends = (pipes[0], pipes[3], pipes[5])
        streams = {number: _Stream(end) for number, end in enumerate(ends) if end != -1}
        environment = dict(os.environ if env is None else env)
        self._process = multiprocessing.get_context("forkserver").Process(
            target=_become,
            args=(words, environment, os.fspath(cwd or Path.cwd()), streams),
            daemon=True,
        )
        self._process.start()
        self.pid = self._process.pid
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _internal_poll(self, *rest: Any, **more: Any) -> int | None:
        if self._process is None:
            return super()._internal_poll(*rest, **more)  # type: ignore[no-any-return,misc]
        if self.returncode is None:
            self.returncode = self._process.exitcode
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._process is None:
            return super()._wait(timeout)  # type: ignore[no-any-return,misc]
        self._process.join(timeout)
        if self._internal_poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return int(self.returncode)


def _become(
    words: list[str], environment: Mapping[str, str], folder: str, streams: Mapping[int, int]
) -> None:
    """Do what Python does with these words, in the forked process."""
    # What the server is to its processes, this one is not to its own.
    multiprocessing.current_process()._config.pop("daemon")  # type: ignore[attr-defined]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in streams.items():
        os.dup2(stream, number)
        os.close(stream)
    # Buffered as for files and pipes, whatever the server's were.
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2)
    )
    sys.path[:0] = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    program, *words = words
    if Path(program) != Path(sys.executable):
        sys.argv = [program, *words]
        runpy.run_path(program, run_name="__main__")
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(words[1], "<string>", "exec"), main.__dict__)  # noqa: S102
    elif words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")


@contextmanager
def forked() -> Iterator[None]:
    """Start Python and ``s2s-map`` from the server, and the workers of Dask's local clusters."""
    import dask

    multiprocessing.set_forkserver_preload(IMPORTED)
    forkserver.ensure_running()
    settings = {
        "distributed.worker.multiprocessing-method": "forkserver",
        # The environment of now, not that of the server: for what is set later, enter again.
        "distributed.nanny.environ": dict(os.environ),
    }
    with pytest.MonkeyPatch.context() as patch, dask.config.set(settings):
        patch.setattr(subprocess, "Popen", Forked)
        yield


@pytest.fixture(scope="module")
def forked_processes() -> Iterator[None]:
    """See `forked`; for a module's ``usefixtures``."""
    with forked():
        yield

"""Workers of a cluster need the packages of a run, in the same versions."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from fixtures_plugins import install
from fixtures_processes import forked

from s2s_map.errors import ClusterError
from s2s_map.pipeline.engine import dask_worker
from s2s_map.pipeline.engine.dask_versions import check_versions, installed_versions
from s2s_map.pipeline.engine.dask_worker import TaskPlugin
from s2s_map.plugins.kinds import PROBABILITY
from s2s_map.plugins.registry import look_again


@pytest.mark.slow  # it starts a cluster
def test_a_worker_without_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client, LocalCluster

    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with (
        forked(),
        LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", **quiet) as here,
        Client(here, set_as_default=False) as client,
    ):
        check_versions(client)
        # Only now, as workers that are started here look where this process does.
        install("s2s-map-logistic", tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        look_again()
        PROBABILITY.get("logistic")
        with pytest.raises(ClusterError, match=r"s2s-map-logistic missing there, 1\.0 here"):
            check_versions(client)
    look_again()


def test_one_that_joins_later_and_lacks_it_says_so(site: Path) -> None:
    install("s2s-map-logistic", site)
    (site / "own_task.py").write_text(
        "class Task:\n    def __call__(self, item, stop):\n        return item\n"
    )
    import own_task  # type: ignore[import-not-found]

    PROBABILITY.get("logistic")
    assert installed_versions()["s2s-map-logistic"] == "1.0"
    plugin = TaskPlugin("a-token", own_task.Task(), 1)
    # What a worker is sent is unpacked there: another process, which has neither.
    del sys.modules["own_task"]
    (site / "own_task.py").unlink()
    look_again()
    plugin.setup(SimpleNamespace())  # type: ignore[arg-type]
    try:
        task, _, _ = dask_worker._INSTALLED["a-token"]
        with pytest.raises(ClusterError, match="No module named 'own_task'"):
            task(1, Event())
    finally:
        plugin.teardown(SimpleNamespace())  # type: ignore[arg-type]

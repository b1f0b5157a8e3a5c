"""What a cluster's servers offer: metrics where the documentation says, and TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import dask
import httpx
import pytest
from fixtures_processes import forked
from fixtures_waiting import free_port

from s2s_map.config.cluster import ClusterConfig
from s2s_map.errors import ClusterError
from s2s_map.pipeline.engine import dask_cluster as clusters
from s2s_map.pipeline.engine.dask_cluster import open_executor
from s2s_map.pipeline.engine.dask_executor import DaskExecutor

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Double:
    """As little as a task can do."""

    def __call__(self, item: int, stop: Event) -> int:
        return 2 * item


def test_prometheus_finds_what_the_documentation_names() -> None:
    port = free_port()
    local = ClusterConfig(use="local", workers=1, dashboard=port)
    with forked(), open_executor(local, "metrics") as executor:
        assert isinstance(executor, DaskExecutor)
        assert sum(1 for _ in executor.run(Double(), range(5), Event())) == 5
        (worker,) = executor.client.scheduler_info()["workers"].values()
        scheduler = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20.0)
        address = f"http://127.0.0.1:{worker['services']['dashboard']}/metrics"
        text = scheduler.text + httpx.get(address, timeout=20.0).text
    named = set(re.findall(r"`(dask_\w+)", (DOCS / "scheduling.md").read_text()))
    assert {name.split("_")[1] for name in named} == {"scheduler", "worker"}
    missing = {name for name in named if not re.search(rf"^{name}[{{ ]", text, re.MULTILINE)}
    assert not missing, sorted(set(re.findall(r"^dask_\w+", text, re.MULTILINE)))


def certificates(folder: Path) -> dict[str, str]:
    """Write what a client of a cluster is given; returns Dask's settings, and those of servers."""
    from distributed import Security

    made: Any = Security.temporary()
    folder.mkdir()
    settings = {"ca-file": made.tls_ca_file}
    for role in ("client", "scheduler", "worker"):
        for part in ("cert", "key"):
            settings[f"{role}.{part}"] = getattr(made, f"tls_{role}_{part}")
    for name, pem in settings.items():
        (folder / f"{name}.pem").write_text(pem)
    return {f"distributed.comm.tls.{name}": str(folder / f"{name}.pem") for name in settings}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    from distributed import LocalCluster, Security

    settings = certificates(tmp_path_factory.mktemp("tls") / "pem")
    with dask.config.set(settings):
        security = Security(require_encryption=True)
    with LocalCluster(
        n_workers=1,
        processes=False,
        protocol="tls",
        host="127.0.0.1",
        security=security,
        dashboard_address="127.0.0.1:0",
    ) as here:
        yield here.scheduler_address, settings


def test_a_cluster_over_tls(secured: tuple[str, dict[str, str]]) -> None:
    address, settings = secured
    assert address.startswith("tls://127.0.0.1:")
    named = (DOCS / "clusters.md").read_text()
    for name in ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY"):
        assert f"DASK_DISTRIBUTED__COMM__TLS__{name}" in named
    with dask.config.set(settings), open_executor(ClusterConfig(use=address), "tls") as executor:
        assert sorted(o.result for o in executor.run(Double(), range(3), Event())) == [0, 2, 4]


def test_certificates_that_do_not_serve_are_said_in_a_line(
    secured: tuple[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, settings = secured
    monkeypatch.setattr(clusters, "_CONNECT_S", 2.0)
    (tmp_path / "none.pem").write_text("nothing")
    nothing = str(tmp_path / "none.pem")
    for changed, said in (
        (dict.fromkeys(settings), "no certificates for it are named"),
        ({**settings, "distributed.comm.tls.client.cert": "/gone.pem"}, "cannot be used"),
        ({**settings, "distributed.comm.tls.ca-file": nothing}, "cannot be used"),
        (certificates(tmp_path / "others"), "no Dask scheduler answers"),
    ):
        with (
            dask.config.set(changed),
            pytest.raises(ClusterError, match=said) as refused,
            open_executor(ClusterConfig(use=address), "tls"),
        ):
            pass
        assert "\n" not in str(refused.value)

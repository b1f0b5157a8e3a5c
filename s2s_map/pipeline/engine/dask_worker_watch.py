"""How many workers a cluster has, and that one started here gets back those that it loses."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from s2s_map.errors import ClusterUnavailableError

if TYPE_CHECKING:
    from distributed import Client

WATCH_S = 2.0
"""How often the number of workers is looked up, seconds."""

DEAD_S = 10.0
"""How long the process of a worker may be gone before another takes its place, seconds."""

_CLOSE_S = 5.0


class WorkerWatch:
    """Looks up now and then how many workers there are.

    Dask's nannies restart a worker that dies, but not one that dies while it starts: they stay in
    the cluster without one. And a cluster drops a nanny whose worker takes long to come back, as on
    a busy machine. Clusters that this process started are made to start both again.

    Args:
        wait_s: How long there may be none, seconds.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._looked = 0.0
        self._seen = time.monotonic()
        self._count = 0
        self._dead_since: dict[Any, float] = {}

    def count(self, client: Client) -> int:
        """Return how many workers there are.

        Raises:
            ClusterUnavailableError: If there has been none for too long.
        """
        now = time.monotonic()
        if now - self._looked > WATCH_S:
            self._looked = now
            try:
                self._count = len(client.nthreads())
            except Exception:  # A scheduler that is gone shows in the futures it loses.
                self._count = 0
            cluster: Any = client.cluster
            if cluster is not None and self._count < len(cluster.worker_spec):
                self._replace_lost(cluster, now)
            if self._count:
                self._seen = now
            elif now - self._seen > self._wait_s:
                raise ClusterUnavailableError(
                    f"the cluster has had no worker for {self._wait_s:.0f} s",
                    remedy="start workers and run again; finished blocks are kept",
                )
        return self._count

    def _replace_lost(self, cluster: Any, now: float) -> None:
        dead = {nanny for nanny in list(cluster.workers.values()) if not nanny.is_alive()}
        self._dead_since = {nanny: self._dead_since.get(nanny, now) for nanny in dead}
        given_up = {nanny for nanny, since in self._dead_since.items() if now - since > DEAD_S}
        if given_up:
            with suppress(Exception):
                cluster.sync(_drop, cluster, given_up)
        cluster.scale(len(cluster.worker_spec))


async def _drop(cluster: Any, nannies: set[Any]) -> None:
    for name, nanny in list(cluster.workers.items()):
        if nanny in nannies:
            del cluster.workers[name]
            with suppress(Exception):
                await asyncio.wait_for(nanny.close(timeout=1), _CLOSE_S)

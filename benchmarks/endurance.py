"""A synthetic country to the end, with a worker killed again and again.

    python benchmarks/endurance.py                    # 50,176 patches, about 4 minutes
    python benchmarks/endurance.py --blocks 7 --cost-ms 4 --every 10   # 12,544 patches, a minute

First an undisturbed run on threads, with an encoder at no cost, which changes no value. Then the
same run on two worker processes, of which one is killed (SIGKILL) every so often, from embedding
to the last map. Both must agree in the checksum of every block, read back from the disk, and in
every value of the map.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthetic import country_config, on_python_path, set_cost, write_country
from tiling import print_machine

STRIDE_M = 640


@dataclass(frozen=True)
class Starts:
    """Counts the blocks that workers begin, in a file that all of them append to."""

    path: Path

    def __call__(self, stage: str, block: Any) -> None:
        """Note a block that enters a stage."""
        if stage == "read":
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(handle, b".")
            os.close(handle)

    @property
    def count(self) -> int:
        """Blocks begun so far."""
        return self.path.stat().st_size if self.path.exists() else 0


class Killer(threading.Thread):
    """Kills the oldest worker process of the client's own cluster every so many seconds."""

    def __init__(self, client: Any, every_s: float) -> None:
        super().__init__(daemon=True)
        self._client, self._every_s = client, every_s
        self._ended = threading.Event()
        self._seen: dict[int, None] = {}
        self.killed: list[int] = []

    def run(self) -> None:
        """Kill until it is told to end."""
        while not self._ended.wait(self._every_s):
            found = self._client.run(os.getpid, on_error="ignore")
            pids = {pid for pid in found.values() if isinstance(pid, int) and pid != os.getpid()}
            self._seen.update(dict.fromkeys(sorted(pids)))
            oldest = next((pid for pid in self._seen if pid in pids), None)
            if oldest is not None:
                with suppress(ProcessLookupError):
                    os.kill(oldest, signal.SIGKILL)
                    self.killed.append(oldest)

    def end(self) -> None:
        """Kill no more."""
        self._ended.set()
        self.join(timeout=30)


def main() -> int:
    """Run both, compare; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=14, help="blocks along a side")
    parser.add_argument("--block-cells", type=int, default=16, help="patches along a block")
    parser.add_argument("--cost-ms", type=float, default=5.0, help="encoder, milliseconds a patch")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between kills")
    parser.add_argument("--limit", type=float, default=900.0, help="give up after so many seconds")
    parser.add_argument("--folder", type=Path, help="for the scene (to 0.5 GB) and the stores")
    args = parser.parse_args()
    on_python_path()
    print_machine()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        # Whatever hangs must not hang for ever; the system ends the workers with their parent.
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.alarm(int(args.limit))
        return endure(Path(folder), args)


def endure(folder: Path, args: argparse.Namespace) -> int:
    """Run undisturbed, run disturbed, compare."""
    from s2s_map.pipeline.engine.dask_cluster import open_executor
    from s2s_map.pipeline.verbs.run import run

    side = args.blocks * args.block_cells * STRIDE_M
    catalog = write_country(folder, side)

    def config(out: str, **changes: Any) -> Any:
        return country_config(folder, folder / out, side, STRIDE_M, args.block_cells, **changes)

    set_cost(0)
    began = time.perf_counter()
    calm = run(config("calm"), catalogs=[catalog])
    print(
        f"undisturbed, threads, encoder at no cost: {time.perf_counter() - began:.1f} s", flush=True
    )
    set_cost(args.cost_ms)
    disturbed = config("disturbed", cluster={"use": "local", "workers": 2})
    starts = Starts(folder / "starts")
    with open_executor(disturbed.cluster, "endurance") as executor:
        killer = Killer(executor.client, args.every)  # type: ignore[attr-defined]
        killer.start()
        began = time.perf_counter()
        try:
            done = run(disturbed, catalogs=[catalog], executor=executor, on_stage=starts)
            seconds = time.perf_counter() - began
        finally:
            killer.end()
    counts = done.record.counts
    again = starts.count - counts["blocks"]
    print(
        f"disturbed, 2 workers, encoder of {args.cost_ms:g} ms: {counts['patches']} patches, "
        f"{counts['blocks']} blocks in {seconds:.1f} s\n"
        f"  workers killed: {len(killer.killed)}, one every {args.every:g} s\n"
        f"  blocks begun again: {again} ({again / counts['blocks']:.1%})\n"
        f"  blocks failed: {counts['blocks_failed']}"
    )
    wrong = differing(calm, done)
    print(f"  blocks and maps that differ from the undisturbed run: {len(wrong)} {wrong[:3]}")
    enough = bool(killer.killed) and counts["blocks"] == args.blocks**2
    held = enough and not wrong and not counts["blocks_failed"]
    print("held" if held else "FAILED")
    return 0 if held else 1


def differing(calm: Any, done: Any) -> list[str]:
    """Return what differs: blocks by the checksums of what is on the disk, maps by their values."""
    from s2s_map.outputs.disk_ledger import JournalLedger
    from s2s_map.outputs.names import LEDGER

    with JournalLedger(done.folder / LEDGER) as ledger:
        noted = ledger.state().records
    first, second = calm.embeddings, done.embeddings
    wrong = []
    for block in first.grid.blocks():
        found = second.checksum(block)
        record = noted.get(block.key)
        if record is None or record.checksum != found or first.checksum(block) != found:
            wrong.append(block.key)
    wrong += [name for name in calm.maps.data_vars if not calm.maps[name].equals(done.maps[name])]
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())

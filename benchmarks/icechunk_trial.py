"""Icechunk held against what we promise of an output, see docs/adr/0103-icechunk.md.

    pip install icechunk==2.3.0
    python benchmarks/icechunk_trial.py            # in a folder, and on a local S3 server
    python benchmarks/icechunk_trial.py --kills 40 --blocks 1024

Writers are real processes and are killed by SIGKILL. The array is that of our embeddings in small:
(time, y, x, dim) float16, a chunk per block, CRC-32C at its end. A block is finished when the
commit that holds it has landed; the commit says which block it is, and of which config.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import icechunk
import numpy as np
import pytest
import xarray as xr
import zarr
from fixtures_objects import SECRET, new_bucket, serve_s3, use_s3
from zarr.codecs import Crc32cCodec

from s2s_map.outputs.path import ObjectPath, output_path

icechunk.set_logs_filter("off")

SIDE, CELLS, DIM = 4, 8, 32
Block = tuple[int, int]
BLOCKS: list[Block] = [(row, col) for row in range(SIDE) for col in range(SIDE)]


# --- One run ---------------------------------------------------------------------------------


def storage(where: str) -> icechunk.Storage:
    if not where.startswith("s3://"):
        return icechunk.local_filesystem_storage(where)
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    return icechunk.s3_storage(
        bucket=bucket,
        prefix=prefix,
        endpoint_url=os.environ["AWS_ENDPOINT_URL"],
        allow_http=True,
        force_path_style=True,
        from_env=True,
        region="us-east-1",
    )


def start(where: str, side: int = SIDE) -> icechunk.Repository:
    # Chunks of a few bytes would lie within manifests; ours never do.
    config = icechunk.RepositoryConfig.default()
    config.inline_chunk_threshold_bytes = 0
    repo = icechunk.Repository.create(storage(where), config)
    session = repo.writable_session("main")
    make_array(session, side)
    session.commit("start")
    repo.save_config()
    return repo


def make_array(session: Any, side: int = SIDE) -> None:
    zarr.create_array(
        session.store,
        name="embedding",
        shape=(1, side * CELLS, side * CELLS, DIM),
        chunks=(1, CELLS, CELLS, DIM),
        dtype="f2",
        fill_value=float("nan"),
        compressors=[Crc32cCodec()],
        dimension_names=["time", "y", "x", "dim"],
        overwrite=True,
    )


def values(config: str, block: Block) -> np.ndarray:
    seed = int.from_bytes(f"{config}{block}".encode(), "big") % 2**63
    return np.random.default_rng(seed).standard_normal((1, CELLS, CELLS, DIM)).astype("f2")


def place(block: Block) -> tuple[slice, slice, slice]:
    row, col = block
    return (
        slice(None),
        slice(row * CELLS, (row + 1) * CELLS),
        slice(col * CELLS, (col + 1) * CELLS),
    )


def put(session: Any, config: str, block: Block) -> None:
    zarr.open_array(session.store, path="embedding", mode="r+")[place(block)] = values(
        config, block
    )


def finished(repo: icechunk.Repository) -> dict[Block, str]:
    """Blocks by the config of the commit that wrote them last."""
    found: dict[Block, str] = {}
    for info in repo.ancestry(branch="main"):
        if "block" in info.metadata:
            found.setdefault(tuple(info.metadata["block"]), info.metadata["config"])
    return found


def read(repo: icechunk.Repository) -> np.ndarray:
    return zarr.open_array(repo.readonly_session("main").store, path="embedding", mode="r")[:]


def whose(repo: icechunk.Repository) -> Counter[str]:
    """Of which config each block of the array is, by its values."""
    there, count = read(repo), Counter[str]()
    for block in BLOCKS:
        part = there[place(block)]
        owners = [c for c in "AB" if np.array_equal(part, values(c, block))]
        count[owners[0] if owners else "none" if np.isnan(part).all() else "torn"] += 1
    return count


def run(where: str, config: str, rebase: bool, order: list[Block], wait_s: float = 0) -> None:
    """Write the blocks that are missing, a commit for each; prints what it has done."""
    repo = icechunk.Repository.open(storage(where))
    done = finished(repo)
    solver = icechunk.ConflictDetector() if rebase else None
    for block in order:
        if block in done and done[block] == config:
            continue
        session = repo.writable_session("main")
        put(session, config, block)
        print("put", block, flush=True)
        time.sleep(wait_s)
        about = {"block": list(block), "config": config}
        session.commit("block", metadata=about, rebase_with=solver)
        print("done", block, flush=True)


def child(where: str, config: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, "--run", where, config, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- What goes wrong -------------------------------------------------------------------------


def killed(where: str, times: int) -> str:
    """Writers that are killed at random: nothing finished is lost, nothing is half."""
    lost = torn = again = bad = 0
    for number in range(times):
        here = f"{where}/{number}"
        repo = start(here)
        writer, nth = child(here, "A"), random.randint(1, 2 * len(BLOCKS) - 1)  # noqa: S311
        said = [writer.stdout.readline().strip() for _ in range(nth)]  # type: ignore[union-attr]
        time.sleep(random.random() * 0.02)  # noqa: S311
        writer.kill()
        said += [line.strip() for line in writer.communicate()[0].splitlines()]
        there = finished(repo)
        claimed = {line.removeprefix("done ") for line in said if line.startswith("done")}
        lost += len(claimed - {str(block) for block in there})
        count = whose(repo)
        torn += count["torn"] + (count["A"] != len(there))
        resumed = child(here, "A")
        out = resumed.communicate()[0]
        again += sum(line.startswith("done") for line in out.splitlines()) - (
            len(BLOCKS) - len(there)
        )
        bad += whose(repo) != {"A": len(BLOCKS)}
    return (
        f"{times} kills: {lost} finished blocks lost, {torn} torn, {again} done twice, "
        f"{bad} arrays not as undisturbed after going on"
    )


def raced(where: str, *, rebase: bool) -> str:
    """Two runs of different configs at once."""
    repo = start(where)
    flags = ["--rebase"] if rebase else []
    runs = {
        "A": child(where, "A", *flags, "--wait", "0.02"),
        "B": child(where, "B", *flags, "--wait", "0.02", "--reverse"),
    }
    ends = {}
    for config, process in runs.items():
        out, error = process.communicate()
        blocks = sum(line.startswith("done") for line in out.splitlines())
        kind = next((w for w in ("ConflictError", "RebaseFailed") if w in error), "error")
        ends[config] = f"{config} {blocks} commits, " + (
            "ended well" if not process.returncode else f"ended by {kind}"
        )
    count = dict(sorted(whose(repo).items()))
    return f"{'; '.join(ends.values())}; the array holds {count}"


def commits_at_once(where: str, times: int) -> str:
    """Two processes of one config, other blocks each, commits rebased: is any lost?"""
    claimed = there = ended = 0
    for number in range(times):
        repo = start(f"{where}/{number}")
        parts = [child(f"{where}/{number}", "A", "--rebase", "--part", str(p)) for p in (0, 1)]
        for process in parts:
            out, _ = process.communicate()
            claimed += sum(line.startswith("done") for line in out.splitlines())
            ended += not process.returncode
        there += whose(repo)["A"]
    return (
        f"{times} times: {claimed} commits said to have landed, {there} blocks are there; "
        f"{ended} of {2 * times} workers ended well"
    )


def replaced(where: str) -> str:
    """An output that is overwritten while it is read."""
    repo = start(where)
    run_here(repo, "A")
    reader = repo.readonly_session("main")
    array = zarr.open_array(reader.store, path="embedding", mode="r")
    half = array[:, : 2 * CELLS]
    session = repo.writable_session("main")
    make_array(session)
    for block in BLOCKS[:8]:
        put(session, "B", block)
    during = dict(whose(repo))  # And a kill here would leave this.
    for block in BLOCKS[8:]:
        put(session, "B", block)
    session.commit("replaced")
    rest = array[:, 2 * CELLS :]
    old = np.concatenate([half, rest], axis=1)
    whole = all(np.array_equal(old[place(b)], values("A", b)) for b in BLOCKS)
    after = dict(whose(repo))
    soon = datetime.now(UTC) + timedelta(hours=1)
    repo.expire_snapshots(older_than=soon)
    gone = repo.garbage_collect(soon).chunks_deleted
    try:
        array[:]
        still = "still reads"
    except Exception as error:
        still = f"fails ({type(error).__name__})"
    return (
        f"others see {during} before the commit, {after} after; the reader's map is "
        f"{'the old one' if whole else 'MIXED'}; after garbage collection ({gone} chunks) "
        f"it {still}"
    )


def late(where: str) -> str:
    """A worker thought dead puts its block late, of another config, after a new run has begun."""
    repo = start(where)
    fork = pickle.loads(pickle.dumps(repo.writable_session("main").fork()))  # noqa: S301
    own = repo.writable_session("main")
    said = []
    # The new run has done half of its blocks.
    run_here(repo, "B", BLOCKS[:8])
    put(fork, "A", BLOCKS[0])
    said.append(f"put, never merged: {dict(whose(repo))}")
    for name, block in (("a block that was done again", BLOCKS[0]), ("one not yet", BLOCKS[12])):
        put(own, "A", block)
        for solver in (None, icechunk.ConflictDetector()):
            try:
                own.commit("late", rebase_with=solver)
                end = "LANDS"
            except Exception as error:
                end = f"refused ({type(error).__name__})"
            said.append(f"commit of {name}, {'rebased' if solver else 'as it is'}: {end}")
            if end == "LANDS":
                break
        own = own if name.endswith("yet") else session_before(repo)
    return "; ".join([*said, f"at the end {dict(whose(repo))}"])


def session_before(repo: icechunk.Repository) -> Any:
    """A session as the late worker opened it: on the snapshot before the new run's blocks."""
    first = list(repo.ancestry(branch="main"))[-2].id
    now = repo.lookup_branch("main")
    repo.reset_branch("main", first)
    session = repo.writable_session("main")
    repo.reset_branch("main", now)
    return session


def damaged(where: str) -> str:
    """What lies on a disk changes: is it noticed when blocks are read?"""
    ends = []
    for kind in ("flipped bit", "cut", "gone", "exchanged"):
        here = f"{where}/{kind.replace(' ', '-')}"
        repo = start(here)
        run_here(repo, "A")
        chunks = sorted(Path(here, "chunks").rglob("*"))
        chunks = [path for path in chunks if path.is_file()]
        one, other = chunks[0], chunks[1]
        raw = bytearray(one.read_bytes())
        if kind == "flipped bit":
            raw[100] ^= 4
            one.write_bytes(raw)
        elif kind == "cut":
            one.write_bytes(raw[:-8])
        elif kind == "gone":
            one.unlink()
        else:
            one.write_bytes(other.read_bytes())
            other.write_bytes(raw)
        try:
            found = dict(whose(icechunk.Repository.open(storage(here))))
            ends.append(f"{kind}: NOT NOTICED, {found}")
        except Exception as error:
            ends.append(f"{kind}: {type(error).__name__}")
    return "; ".join(ends)


def run_here(repo: icechunk.Repository, config: str, blocks: list[Block] = BLOCKS) -> None:
    for block in blocks:
        session = repo.writable_session("main")
        put(session, config, block)
        session.commit("block", metadata={"block": list(block), "config": config})


# --- What others see, and what it costs -------------------------------------------------------


def others(where: str) -> str:
    """Programs that know no icechunk."""
    repo = start(where)
    run_here(repo, "A")
    ends = []
    try:
        xr.open_zarr(where)
        ends.append("xarray by the path: opens")
    except Exception as error:
        ends.append(f"xarray by the path: {type(error).__name__}")
    ends.append(
        f"xarray by icechunk's store: {
            dict(xr.open_zarr(repo.readonly_session('main').store, consolidated=False).sizes)
        }"
    )
    import rasterio

    for name in (where, f'ZARR:"{where}"', f'ZARR:"{where}":/embedding'):
        try:
            rasterio.open(name)
            ends.append("GDAL: opens")
        except rasterio.errors.RasterioIOError as error:
            ends.append(f"GDAL {rasterio.__gdal_version__}: {str(error).replace(where, 'OUT')}")
    return "; ".join(ends)


def same_bytes(where: str) -> str:
    """Two runs of one config: are the files the same?"""
    files = []
    for number in (1, 2):
        run_here(start(f"{where}/{number}"), "A")
        root = Path(where, str(number))
        files.append({str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()})
    return f"{len(files[0])} files, of which {len(files[0] & files[1])} have the same name twice"


def secrets(where: str) -> str:
    """What a worker is sent."""
    start(where)
    sent = pickle.dumps(icechunk.Repository.open(storage(where)).writable_session("main").fork())
    return f"the key is {'' if SECRET.encode() in sent else 'not '}in what is sent to workers"


def output(where: str) -> ObjectPath:
    found = output_path(where)
    assert isinstance(found, ObjectPath)  # noqa: S101
    return found


def costs(where: str, blocks: int) -> str:
    """Requests of a commit for each block; and what is there in the end. Ours: see ADR 58."""
    side = int(blocks**0.5)
    asked: Counter[str] = Counter()

    class Count(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            asked.update(re.findall(r"GET|PUT|HEAD|POST|DELETE", record.getMessage())[:1])

    log = logging.getLogger("werkzeug")
    log.setLevel(logging.INFO)
    log.handlers, log.propagate = [Count()], False
    repo, ends = start(where, side), []
    for number in range(side * side):
        asked.clear()
        session = repo.writable_session("main")
        put(session, "A", divmod(number, side))
        session.commit("block", metadata={"block": [0, number], "config": "A"})
        if number + 1 in (1, side * side // 4, side * side):
            ends.append(f"block {number + 1:,}: {dict(asked)}")
    log.setLevel(logging.ERROR)
    count, size = Counter[str](), Counter[str]()
    for item in output(where).files().items():
        top = str(item[0].relative_to(output(where))).partition("/")[0]
        count[top] += 1
        size[top] += item[1].size
    there = ", ".join(f"{count[t]:,} {t} {size[t] / 1e6:.2f} MB" for t in sorted(count))
    return "; ".join([*ends, there])


# --- All of it -------------------------------------------------------------------------------


@contextmanager
def places(kind: str) -> Iterator[Callable[[str], str]]:
    if kind == "folder":
        with tempfile.TemporaryDirectory() as folder:
            yield lambda name: f"{folder}/{name}"
        return
    with serve_s3() as url, pytest.MonkeyPatch.context() as patch:
        use_s3(patch, url)
        bucket = new_bucket(url)
        yield lambda name: f"s3://{bucket}/{name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs=2, metavar=("WHERE", "CONFIG"))
    parser.add_argument("--rebase", action="store_true")
    parser.add_argument("--reverse", action="store_true")
    parser.add_argument("--part", type=int)
    parser.add_argument("--wait", type=float, default=0.0)
    parser.add_argument("--only", default="", help="trials of which the name has this")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=1024)
    given = parser.parse_args()
    if given.run:
        where, config = given.run
        order = list(BLOCKS) if given.part is None else BLOCKS[given.part :: 2]
        order = order[::-1] if given.reverse else order
        run(where, config, given.rebase, order, given.wait)
        return
    print(f"icechunk {icechunk.__version__}, {len(BLOCKS)} blocks")
    for kind in ("folder", "s3"):
        with places(kind) as at:
            trials: dict[str, Callable[[], str]] = {
                "killed while writing": lambda: killed(at("killed"), given.kills),
                "two runs, commits rebased": lambda: raced(at("rebased"), rebase=True),
                "two runs, no rebase": lambda: raced(at("plain"), rebase=False),
                "two workers of one run": lambda: commits_at_once(at("workers"), given.kills),
                "replaced while read": lambda: replaced(at("replaced")),
                "late data": lambda: late(at("late")),
            }
            if kind == "folder":
                trials |= {
                    "damage at rest": lambda: damaged(at("damaged")),
                    "other programs": lambda: others(at("others")),
                    "the same bytes": lambda: same_bytes(at("same")),
                }
            else:
                trials |= {
                    "secrets": lambda: secrets(at("secrets")),
                    "costs": lambda: costs(at("costs"), given.blocks),
                }
            for name, trial in trials.items():
                if given.only not in name:
                    continue
                try:
                    print(f"{kind:>6} | {name}: {trial()}", flush=True)
                except Exception as error:
                    print(f"{kind:>6} | {name}: {json.dumps(repr(error)[:600])}", flush=True)


if __name__ == "__main__":
    main()

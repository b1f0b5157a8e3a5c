"""Overviews that are killed while they are written end with the bytes of undisturbed ones."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures_faults import TESTS, TIMES, all_bytes, environment
from fixtures_objects import new_bucket, serve_s3, use_s3
from fixtures_plain_model import write_plain_job
from fixtures_waiting import wait_until

from s2s_map.config.run import RunConfig
from s2s_map.embeddings.overviews import open_levels
from s2s_map.outputs.path import ObjectPath
from s2s_map.pipeline.verbs.overviews import add_overviews
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import verify
from s2s_map.pipeline.verbs.verify_overviews import verify_overviews

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("forked_processes")]

SCRIPT = TESTS / "faults" / "run_overviews.py"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Level 2 is written with the blocks, levels 4, 8 and 16 are made from it."""
    folder = tmp_path_factory.mktemp("faults") / "job"
    made = write_plain_job(folder, 3, 64, patches={"stride_m": 280}, overviews=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield made


@pytest.fixture(scope="module")
def without(job: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("without") / "out"
    run(RunConfig(**{**job, "output": str(out), "overviews": 0}))
    return out


def killed(*arguments: object) -> bool:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], env=environment(), check=False
    )
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def some(most: int, *about: object) -> list[int]:
    # Not for secrets: at which file it strikes.
    chance = random.Random(  # noqa: S311
        f"{about} {os.environ.get('S2S_MAP_FAULTS_SEED', time.time_ns())}"
    )
    return [chance.randint(1, most) for _ in range(3 * TIMES)]


def test_a_run_is_killed(
    job: dict[str, Any], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    # Of 109: metadata, two files a shard, and what is recorded of them.
    for nth in some(108, "run"):
        out = tmp_path / str(nth)
        config = tmp_path / "job.yaml"
        config.write_text(yaml.safe_dump({**job, "output": str(out)}))
        assert killed(config, nth)
        run(config)
        assert all_bytes(out) == undisturbed
        assert verify(out) == verify_overviews(out) == []
        shutil.rmtree(out)


def test_adding_is_killed(without: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    wanted = {k: v for k, v in undisturbed.items() if k.startswith("embeddings")}
    for nth in some(108, "add"):
        out = tmp_path / str(nth)
        shutil.copytree(without, out)
        assert killed(out, nth, 16)
        # Whatever there is can be read, and is right.
        sums = [
            level.read(slice(0, level.geobox.shape[0]), slice(0, level.geobox.shape[1]))[1].sum()
            for level in open_levels(out)
        ]
        assert set(sums) == {sums[0]}
        add_overviews(out, cells=16)
        assert {k: v for k, v in all_bytes(out).items() if k.startswith("embeddings")} == wanted
        assert verify_overviews(out) == []
        shutil.rmtree(out)


def test_adding_into_an_object_store_is_killed(
    job: dict[str, Any], undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = "embeddings.zarr/overviews/"
    wanted = {
        name.removeprefix(folder): content
        for name, content in undisturbed.items()
        if name.startswith(folder) and not name.endswith("seals.json")
    }
    with serve_s3() as server:
        use_s3(monkeypatch, server)
        root = ObjectPath(f"s3://{new_bucket(server)}", "out")
        run(RunConfig(**{**job, "output": str(root), "overviews": 0}))
        place = root / "embeddings.zarr" / "overviews"
        (after,) = some(40, "objects")[:1]
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(root), "0", "16"], env=environment()
        )
        wait_until(lambda: len(place.files()) >= after, process)
        process.kill()
        process.wait()
        # As whoever takes over from a process of this machine that is gone.
        add_overviews(str(root), cells=16)
        found = {str(p.relative_to(place)): p.read_bytes() for p in place.files()}
        found.pop("seals.json")
        assert found == wanted
        assert verify_overviews(str(root)) == []

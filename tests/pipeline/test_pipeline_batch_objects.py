"""Batches whose output is a prefix of an object store: the promises of a folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pystac.validation
import pytest
import rasterio.warp
import yaml
from fixtures_objects import SECRET, new_bucket, proxied, serve_s3, use_s3
from fixtures_plain_model import MODEL, write_plain_job
from fixtures_waiting import wait_until

from s2s_map.config.batch import load_batch
from s2s_map.errors import ConfigError, OutputError, OutputUnavailableError
from s2s_map.outputs.owner import Owner, process_start
from s2s_map.outputs.path import ObjectPath, output_path
from s2s_map.outputs.s3_lock import LOCK
from s2s_map.pipeline.batch.run_batch import plan_batch, run_batch
from s2s_map.pipeline.verbs.status import verify

pytestmark = pytest.mark.usefixtures("forked_processes")

TESTS = Path(__file__).parents[1]
S2S_MAP = Path(sys.executable).with_name("s2s-map")
WEST, EAST = (f"{name}-noise-python-fixtures_plain_model-PLAIN" for name in ("west", "east"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture
def root(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    monkeypatch.chdir(tmp_path)
    # For the runs, which are processes of their own.
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    use_s3(monkeypatch, server)
    return ObjectPath(f"s3://{new_bucket(server)}", "maps/batch")


def box(left_m: float) -> list[float]:
    west, north = 600_100.0 + left_m, 7_199_900.0
    lon, lat = rasterio.warp.transform(
        "EPSG:32721", "EPSG:4326", [west, west + 400.0], [north - 400.0, north]
    )
    return [lon[0], lat[0], lon[1], lat[1]]


def write_batch(folder: Path, output: object, **changes: object) -> Path:
    job = write_plain_job(folder)
    batch = {
        "output": str(output),
        "title": "Two places",
        "regions": {"west": box(0.0), "nowhere": box(50_000.0), "east": box(600.0)},
        "sources": ["noise"],
        "models": [MODEL],
        "queries": [{"text": "traffic"}],
        "defaults": {name: job[name] for name in ("device", "grid", "patches")},
        "parallel": 2,
        **changes,
    }
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump(batch, sort_keys=False))
    return path


class ObjectIO(pystac.stac_io.DefaultStacIO):
    """Reads where we write."""

    def read_text_from_href(self, href: str) -> str:
        return output_path(href).read_text()


def tags(place: ObjectPath) -> dict[str, str]:
    return {str(path): info.e_tag for path, info in place.files().items()}


def states(outcomes: list[Any]) -> list[str]:
    return [outcome.state for outcome in outcomes]


def test_the_same_promises_as_in_a_folder(root: ObjectPath, tmp_path: Path) -> None:
    outcomes, code = run_batch(*load_batch(write_batch(tmp_path, root)))
    assert states(outcomes) == ["complete", "failed", "complete"], outcomes
    assert code == 2
    assert {path.name for path in root.iterdir()} == {
        WEST, EAST, "runs", "batch.json", "collection.json",
    }  # fmt: skip
    report = json.loads((root / "batch.json").read_text())
    assert report["exit_code"] == 2
    assert [run["exit_code"] for run in report["runs"]] == [0, 2, 0]
    assert report["runs"][0]["output"] == str(root / WEST)
    assert yaml.safe_load((root / f"runs/{WEST}.yaml").read_text())["output"] == str(root / WEST)
    assert "traffic" in (root / f"runs/{WEST}.log").read_text()
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in (root / "runs").files())

    # The collection is valid, and opens as it lies there.
    opened = pystac.Collection.from_file(str(root / "collection.json"), ObjectIO())
    pystac.validation.validate_dict(opened.to_dict(transform_hrefs=False), extensions=[])
    items = list(opened.get_items())
    assert [item.id for item in items] == [f"Two-places-{name}" for name in (WEST, EAST)]
    for item in items:
        maps = item.assets["maps"].get_absolute_href()
        assert maps is not None
        assert maps.startswith(f"{root}/")
        assert (output_path(maps) / "zarr.json").is_file()

    # Once more: nothing of the runs is touched.
    before = tags(root / WEST) | tags(root / EAST)
    again, code = run_batch(*load_batch(write_batch(tmp_path, root)))
    assert (states(again), code) == (["up to date", "failed", "up to date"], 2)
    assert tags(root / WEST) | tags(root / EAST) == before

    # Another question: other maps of the same embeddings.
    asked = load_batch(write_batch(tmp_path, root, queries=[{"text": "birds"}]))
    assert states([one for _, one in plan_batch(asked[1])]) == ["planned", "failed", "planned"]
    again, _ = run_batch(*asked)
    assert states(again) == ["complete", "failed", "complete"]
    shards = tags(root / WEST / "embeddings.zarr/embedding/c")
    assert shards
    assert {key: before[key] for key in shards} == shards
    links = json.loads((root / "collection.json").read_text())["links"]
    here = [link["href"] for link in links if link["rel"] == "item"]
    assert all("/results/0002-" in href for href in here)
    assert all((root / href.removeprefix("./")).is_file() for href in here)


def test_a_second_start_is_refused(root: ObjectPath, tmp_path: Path) -> None:
    batch, runs = load_batch(write_batch(tmp_path, root))
    other = subprocess.Popen(["sleep", "60"])
    try:
        owner = Owner("o", "here", other.pid, process_start(other.pid) or "", "today")
        (root / LOCK).write_bytes(json.dumps(asdict(owner)).encode())
        with pytest.raises(OutputError, match=rf"another run is writing to {root} \(process"):
            run_batch(batch, runs)
    finally:
        other.kill()
        other.wait()
    assert [path.name for path in root.iterdir()] == [LOCK]
    # The holder is dead: its lease is taken over.
    said: list[str] = []
    assert run_batch(batch, runs, note=said.append)[1] == 2
    assert any("which is gone" in line for line in said)


def test_a_store_that_is_away_is_said_in_a_line(
    root: ObjectPath, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, runs = load_batch(write_batch(tmp_path, root))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for start in (lambda: run_batch(batch, runs), lambda: plan_batch(runs)):
        with pytest.raises(OutputUnavailableError, match="cannot be reached") as refused:
            start()
        assert "\n" not in str(refused.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    elsewhere = load_batch(write_batch(tmp_path, "s3://no-such-bucket-here/maps"))
    with pytest.raises(OutputError, match="no such bucket"):
        run_batch(*elsewhere)
    for output in ("gs://bucket/maps", "s3://bucket", "s3://bucket/"):
        with pytest.raises(ConfigError, match="takes a folder or s3://BUCKET/PREFIX"):
            load_batch(write_batch(tmp_path, output))


def test_logs_and_reports_that_cannot_be_put_keep_no_run(root: ObjectPath, tmp_path: Path) -> None:
    batch, runs = load_batch(write_batch(tmp_path, root, regions={"west": box(0.0)}))
    said: list[str] = []
    reports = []
    with proxied(os.environ["AWS_ENDPOINT_URL"]) as proxy:

        def answer(method: str, path: str, number: int) -> tuple[int, str] | None:
            if method == "PUT" and path.endswith(".log"):
                return 403, "AccessDenied"
            if method == "PUT" and path.endswith("batch.json"):
                reports.append(path)
                # The second and third: as the run begins and ends.
                return (403, "AccessDenied") if len(reports) in (2, 3) else None
            return None

        proxy.answer = answer
        outcomes, code = run_batch(batch, runs, note=said.append)
    assert (states(outcomes), code) == (["complete"], 0)
    assert json.loads((root / "batch.json").read_text())["exit_code"] == 0
    assert sum("the report is not up to date" in line for line in said) == 2
    assert sum(f"the log of {WEST} is not kept" in line for line in said) == 1


def test_an_interrupted_batch_goes_on(root: ObjectPath, tmp_path: Path) -> None:
    path = write_batch(tmp_path, root, regions={"west": box(0.0), "east": box(600.0)}, parallel=1)
    process = subprocess.Popen(
        [S2S_MAP, "batch", "run", path],
        env={**os.environ, "S2S_TEST_COST_MS": "60"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until((root / WEST / "blocks").is_dir, process)
        report = json.loads((root / "batch.json").read_text())
        assert report["exit_code"] is None
        assert [run["state"] for run in report["runs"]] == ["running", "planned"]
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[0]
    finally:
        process.kill()
    assert process.returncode == 4, said
    report = json.loads((root / "batch.json").read_text())
    assert report["exit_code"] == 4
    assert [run["state"] for run in report["runs"]] == ["interrupted", "interrupted"]
    assert "stopped with" in (root / f"runs/{WEST}.log").read_text()
    assert not (root / LOCK).is_file()
    outcomes, code = run_batch(*load_batch(path))
    assert (states(outcomes), code) == (["complete", "complete"], 0)
    for name in (WEST, EAST):
        assert verify(str(root / name)) == []

"""The Prefect flow against a Prefect server of its own, on loopback, in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
import rasterio.warp
import yaml
from filelock import FileLock
from fixtures_plain_model import MODEL, write_plain_job
from fixtures_servers import answers
from fixtures_waiting import free_port, wait_until

# Not importorskip: importing Prefect makes a folder in the user's home.
# Slow for Prefect: its server and every flow are processes, and each imports it for seconds.
pytestmark = [
    pytest.mark.skipif(find_spec("prefect") is None, reason="no extra prefect"),
    pytest.mark.slow,
]

FLOW = Path(__file__).parents[1] / "workflows" / "schedule" / "prefect_flow.py"

# Stands for s2s-map: the exit code and number of starts of a run are told by its name.
PROGRAM = """
import pathlib, subprocess, sys, time
name = pathlib.Path(sys.argv[2]).stem.split("-")[0]
count = pathlib.Path(sys.argv[2] + ".starts")
count.write_text(count.read_text() + "x" if count.exists() else "x")
print("the run", name, flush=True)
if name == "hangs":
    time.sleep(900)
if name == "stopped" and len(count.read_text()) == 1:
    sys.exit(4)
if name == "stopped":
    code = "from s2s_map.cli.main import main; main()"
    sys.exit(subprocess.call([sys.executable, "-c", code, *sys.argv[1:]]))
sys.exit({"bad": 2, "holes": 3, "never": 4}[name])
"""
CALL = (
    "import importlib.util, pathlib, sys\n"
    "spec = importlib.util.spec_from_file_location('prefect_flow', sys.argv[1])\n"
    "flow = importlib.util.module_from_spec(spec)\n"
    "sys.modules['prefect_flow'] = flow\n"
    "spec.loader.exec_module(flow)\n"
    "state = flow.map_batch(pathlib.Path(sys.argv[2]), retry_delay_s=0.1,\n"
    "    program=(sys.executable, sys.argv[3]), return_state=True)\n"
    "print('FLOW', state.name, state.message)\n"
    "sys.exit(flow.exit_code(state))\n"
)
# Without a flow: a run whose thread comes just too late for `stop` to see its process, then states.
UNIT = (
    CALL.partition("state =")[0]
    + """
from prefect.logging import disable_run_logger
from prefect.states import Cancelled, Crashed

class Late(set):
    def add(self, process):
        flow._children.stop()
        assert process.poll() is None
        super().add(process)

flow._children.alive = Late()
program = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(900)")
try:
    with disable_run_logger():
        flow.map_region.fn("late", pathlib.Path("late.yaml"), program)
except flow.RunEndedError as error:
    print("ENDED", error.code)
codes = [flow.exit_code(state) for state in (
    Cancelled(), Crashed(), flow.Completed(), flow.Completed(name=flow.HOLES_STATE),
    flow.Failed(data=flow.RunEndedError(4, "stopped")), flow.Failed(data=ValueError("x")),
)]
print("CODES", *codes)
"""
)


def box(left_m: float) -> list[float]:
    west, north = 600_200.0 + left_m, 7_199_600.0
    lon, lat = rasterio.warp.transform(
        "EPSG:32721", "EPSG:4326", [west, west + 300.0], [north - 300.0, north]
    )
    return [lon[0], lat[0], lon[1], lat[1]]


def write_batch(folder: Path, regions: list[str]) -> Path:
    job = write_plain_job(folder)
    batch = {
        "output": "maps",
        "regions": {name: box(100.0 * index) for index, name in enumerate(regions)},
        "sources": ["noise"],
        "models": [MODEL],
        "queries": [{"text": "traffic"}],
        "defaults": {name: job[name] for name in ("device", "grid", "patches")},
        "parallel": 2,
    }
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump(batch, sort_keys=False))
    (folder / "program.py").write_text(PROGRAM)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server; yields the environment in which it is found."""
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment = {
        **kept,
        "HOME": str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "NO_PROXY": "127.0.0.1",
        # How often what serves the flow looks for runs to start; 10 s if left out.
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        # Where the runs find the model without torch.
        "PYTHONPATH": str(Path(__file__).parent),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(lambda: answers(f"{environment['PREFECT_API_URL']}/health"), process)
        yield environment
    finally:
        # The group that start_new_session made: the server and what it started.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def start(batch: Path, server: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CALL, FLOW, batch, batch.parent / "program.py"],
        cwd=batch.parent,
        env=server,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def serve_once(batch: Path, server: dict[str, str]) -> None:
    """Serve the flow on a schedule, as the documentation says, and have it started once."""
    api, folder = server["PREFECT_API_URL"], batch.parent
    with (folder / "served.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, FLOW, batch, "--cron", "30 1 * * *"],
            cwd=folder,
            env=server,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=api, trust_env=False) as client:

            def deployments() -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = client.post("/deployments/filter", json={}).json()
                return found

            def state() -> str:
                found = client.get(f"/flow_runs/{run}").raise_for_status().json()
                return str(found["state"]["type"])

            wait_until(deployments, process)
            (served,) = deployments()
            assert served["schedules"][0]["schedule"]["cron"] == "30 1 * * *"
            program = [sys.executable, str(folder / "program.py")]
            started = client.post(
                f"/deployments/{served['id']}/create_flow_run",
                json={"parameters": {"batch": str(batch), "program": program}},
            )
            run = started.raise_for_status().json()["id"]
            ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
            wait_until(lambda: state() in ended, process)
            assert state() in ended[:2], (folder / "served.log").read_text()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def break_under_holes(folder: Path) -> None:
    """Put a scene that cannot be read under the one that has no data in places."""
    scenes = folder / "scenes"
    scenes.mkdir()
    whole = (folder / "scene.tif").rename(scenes / "above.tif").read_bytes()
    (scenes / "below.tif").write_bytes(whole[: len(whole) // 2])
    catalog = yaml.safe_load((folder / "data_catalog.yaml").read_text())
    catalog["noise"].update(uri="scenes/*.tif", on_missing="nodata")
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(catalog))


def starts(folder: Path) -> dict[str, int]:
    return {
        path.name.split("-")[0]: len(path.read_text())
        for path in (folder / "maps" / "runs").glob("*.starts")
    }


def test_exit_codes_decide_what_is_tried_again(tmp_path: Path, server: dict[str, str]) -> None:
    batch = write_batch(tmp_path, ["stopped", "bad", "holes"])
    process = start(batch, server)
    said = process.communicate()[0]
    assert process.returncode == 2, said
    assert "FLOW Failed 1 of 3 runs failed: bad-noise-python-fixtures_plain_model-PLAIN" in said, (
        said
    )
    assert starts(tmp_path) == {"stopped": 2, "bad": 1, "holes": 1}
    finished = tmp_path / "maps" / "stopped-noise-python-fixtures_plain_model-PLAIN"
    assert (finished / "item.json").is_file()

    # The server knows the same.
    answer = httpx.post(
        f"{server['PREFECT_API_URL']}/task_runs/filter", json={}, trust_env=False
    ).raise_for_status()
    states = {run["name"].split("-")[0]: run["state"]["name"] for run in answer.json()}
    assert states == {
        "stopped": "Completed",
        "bad": "Failed",
        "holes": "CompletedWithHoles",
    }

    # A repeated start, by the schedule, leaves alone what is up to date.
    before = (finished / "run.json").stat().st_mtime_ns
    serve_once(batch, server)
    assert starts(tmp_path) == {"stopped": 2, "bad": 2, "holes": 2}
    assert (finished / "run.json").stat().st_mtime_ns == before


def test_holes_and_stopped_runs_are_told_each_night(tmp_path: Path, server: dict[str, str]) -> None:
    batch = write_batch(tmp_path, ["stopped"])
    break_under_holes(tmp_path)
    (tmp_path / "maps").mkdir()
    with FileLock(tmp_path / "maps" / ".lock"):
        process = start(batch, server)
        said = process.communicate()[0]
        assert process.returncode == 2, said
        assert "another run is writing to maps" in said
        assert starts(tmp_path) == {}
    # Stopped and started again in the first night; the second starts nothing, and tells the same.
    for _ in range(2):
        process = start(batch, server)
        said = process.communicate()[0]
        assert process.returncode == 3, said
        assert "FLOW CompletedWithHoles with holes: stopped-noise" in said
        assert starts(tmp_path) == {"stopped": 2}


def test_what_is_stopped_each_time_ends_with_4(tmp_path: Path, server: dict[str, str]) -> None:
    process = start(write_batch(tmp_path, ["never", "bad"]), server)
    said = process.communicate()[0]
    assert process.returncode == 4, said
    assert starts(tmp_path) == {"never": 4, "bad": 1}


def test_a_run_that_starts_while_the_flow_is_cancelled_is_stopped(
    tmp_path: Path, server: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNIT, FLOW],
        cwd=tmp_path,
        env=server,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"ENDED {-signal.SIGTERM}" in done.stdout, done.stderr
    assert "CODES 4 1 0 3 4 1" in done.stdout, done.stdout + done.stderr


def test_a_cancelled_flow_leaves_no_run_behind(tmp_path: Path, server: dict[str, str]) -> None:
    process = start(write_batch(tmp_path, ["hangs"]), server)
    wait_until(lambda: starts(tmp_path) == {"hangs": 1}, process)
    process.send_signal(signal.SIGINT)
    try:
        # The run would go on for longer than a test may; the pipe closes with the last of them.
        process.communicate()
    finally:
        process.kill()
        process.wait()
    assert starts(tmp_path) == {"hangs": 1}

"""Stopped verbs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fixtures_plain_model import write_plain_job
from fixtures_waiting import HANG_S

from s2s_map.cli.stopping import resumable
from s2s_map.errors import InterruptedRunError

pytestmark = pytest.mark.usefixtures("forked_processes")

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
# The deadline is shortened, and all else is the command itself.
HASTY = "from s2s_map.cli import main; main.STOP_S = 1.5; main.main()"

STOPPING_MODEL = """
import os, signal, sys
from fixtures_plain_model import Plain

class Stopped(Plain):
    def load(self, device):
        os.kill(os.getpid(), getattr(signal, os.environ["S2S_TEST_SIGNAL"]))
        return super().load(device)

MODEL = Stopped()
"""


def test_ctrl_c_is_one_line_and_exit_code_4() -> None:
    expected = pytest.raises(InterruptedRunError, match="training was stopped; start")
    with expected as error, resumable("training"):
        raise KeyboardInterrupt
    assert error.value.exit_code == 4


def test_anything_else_passes() -> None:
    with pytest.raises(ValueError, match="no"), resumable("training"):
        raise ValueError("no")


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_stopped_while_the_model_is_loaded(tmp_path: Path, number: str) -> None:
    write_plain_job(tmp_path, model="python:stopping_model:MODEL")
    (tmp_path / "stopping_model.py").write_text(STOPPING_MODEL)
    done = subprocess.run(
        [sys.executable, "-c", "from s2s_map.cli.main import main; main()", "run", "job.yaml"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "S2S_TEST_SIGNAL": number, "PYTHONPATH": f"{TESTS}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "start the same command again" in done.stderr


def test_a_server_that_hangs_does_not_keep_a_stopped_run(tmp_path: Path) -> None:
    write_plain_job(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/scene.tif"
        catalog = tmp_path / "data_catalog.yaml"
        entry = yaml.safe_load(catalog.read_text())["noise"]
        catalog.write_text(yaml.safe_dump({"noise": {**entry, "uri": address}}))
        process = subprocess.Popen(
            [sys.executable, "-c", HASTY, "run", "job.yaml"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(HANG_S)
        asked, _ = silent.accept()
        with asked:
            asked.recv(1)
            process.send_signal(signal.SIGTERM)
            # It ends while the server still keeps it waiting.
            _, err = process.communicate()
    assert process.returncode == 4, err
    assert err.strip().startswith("error: stopped; what was at work did not end within 1.5 s")

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
from fixtures_waiting import HANG_S, wait_until

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


def errors_in(text: str) -> list[str]:
    """The lines that speak of an error; others are notes of the run."""
    return [line for line in text.splitlines() if "rror" in line]


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
    assert "Traceback" not in done.stderr
    assert len(errors_in(done.stderr)) == 1
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


PROGRAM = "from s2s_map.cli.main import main; main()"

# What happens at a second Ctrl-C, by where the process is then.
INTERRUPTED_AGAIN = {
    "while a model loads": """
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    """,
    "while it is handled": """
        try:
            os.kill(os.getpid(), signal.SIGINT)
            wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            wait()
    """,
    "while a library makes an error of it": """
        try:
            os.kill(os.getpid(), signal.SIGINT)
            wait()
        except BaseException as error:
            os.kill(os.getpid(), signal.SIGINT)
            raise ImportError("half a library") from error
    """,
    "while the interpreter ends": """
        import atexit
        atexit.register(wait)
        atexit.register(os.kill, os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    """,
}

TWICE_MODEL = """
import os, signal, time
from fixtures_plain_model import Plain

def wait():
    time.sleep(0.3)

class Stopped(Plain):
    def load(self, device):
        {body}
        return super().load(device)

MODEL = Stopped()
"""


def interrupted(
    folder: Path, program: str = PROGRAM, *, start_new_session: bool = False
) -> tuple[int, list[str]]:
    """Run job.yaml as a process; returns exit code and errors on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "job.yaml"],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": f"{TESTS}:{folder}"},
        start_new_session=start_new_session,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, errors_in(done.stderr)


@pytest.mark.parametrize("when", INTERRUPTED_AGAIN)
def test_ctrl_c_twice_is_one_line(tmp_path: Path, when: str) -> None:
    write_plain_job(tmp_path, model="python:twice_model:MODEL")
    body = INTERRUPTED_AGAIN[when].strip()
    (tmp_path / "twice_model.py").write_text(TWICE_MODEL.replace("{body}", body))
    code, lines = interrupted(tmp_path)
    assert code == 4, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: stopped")
    assert "start the same command again" in lines[0]


STOPS_AT_IMPORT = """
import os, signal, sys

class Stops:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Stops())
from s2s_map.cli.main import main
main()
"""


@pytest.mark.parametrize("name", ["typer", "pydantic", "rasterio"])
def test_ctrl_c_while_libraries_are_imported(tmp_path: Path, name: str) -> None:
    write_plain_job(tmp_path)
    # A session of its own is that of a fresh interpreter, which has imported nothing yet.
    program = STOPS_AT_IMPORT.format(name=name)
    code, lines = interrupted(tmp_path, program, start_new_session=True)
    assert code == 4, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: stopped")


def test_ctrl_c_twice_at_a_terminal_with_workers(tmp_path: Path) -> None:
    """A terminal sends it to the worker processes, too."""
    config = write_plain_job(tmp_path, cluster={"use": "local", "workers": 1})
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", "job.yaml"],
        cwd=tmp_path,
        env={**ENVIRONMENT, "S2S_TEST_COST_MS": "20"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: '"done"' in read(Path(config["output"]) / "ledger.jsonl"))
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    # Read to its end: workers that outlive it would keep it open.
    _, err = process.communicate()
    assert process.returncode == 4, err
    assert "Traceback" not in err
    errors = errors_in(err)
    assert len(errors) == 1, err
    assert errors[0].startswith("error: ")
    assert "stopped" in errors[0]


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""

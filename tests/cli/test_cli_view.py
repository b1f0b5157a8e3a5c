"""The command itself: it prints its address, and ends when it is told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fixtures_cli import call
from fixtures_job import write_job

from s2s_map.pipeline.verbs.run import run

S2S_MAP = Path(sys.executable).with_name("s2s-map")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Path(str(run(write_job(folder)).folder)).resolve()


@contextmanager
def started(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Start the command; yields the process, its address, and the lines so far."""
    command = [str(S2S_MAP), "view", *map(str, arguments), "--no-open"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        found = re.search(r"http://\S+", "".join(lines))
        assert found, "".join(lines)
        yield process, found[0], lines
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_even_with_a_request_open(finished: Path, number: int) -> None:
    with started(finished, "--port", 0) as (process, url, _):
        address = httpx.URL(url)
        assert httpx.get(f"http://127.0.0.1:{address.port}/", trust_env=False).is_success
        # A client that never finishes its request, and one that is kept alive.
        with socket.create_connection(("127.0.0.1", address.port or 0)) as open_request:
            open_request.sendall(b"GET / HTTP/1.1\r\n")
            process.send_signal(number)
            # Any waiting for it would be found by pytest's own timeout.
            rest = process.communicate()[0]
        assert process.returncode == 0
        assert "stopped" in rest
        assert "Traceback" not in rest


def test_it_says_where_and_what_asking_takes(finished: Path) -> None:
    with started(finished, "--port", 0) as (_, url, lines):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#ask=[\w-]{32}", url)
        assert "hidden" not in "".join(lines)


def test_others_are_let_in_only_with_a_word(finished: Path) -> None:
    with started(finished, "--port", 0, "--host", "0.0.0.0") as (_, _, lines):  # noqa: S104
        assert "whoever reaches this machine" in "".join(lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no finished run at nowhere"),
        (["{out}", "--basemap", "tiles"], "expected https://HOST/"),
        (["{out}", "--basemap", "https://a/{z}/{x}/{y}.png"], "without --basemap-attribution"),
        (["{out}", "--basemap", "https://a/{z}/{x}/{y}; x", "--basemap-attribution", "A"], "tiles"),
        (
            ["{out}", "--basemap", "https://\u4f8b/{z}/{x}/{y}", "--basemap-attribution", "A"],
            "tiles",
        ),
        (["{out}", "--host", "no such host"], "cannot listen at"),
    ],
)
def test_bad_input_is_one_line(
    finished: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [a.replace("{out}", str(finished)) for a in arguments]
    assert call("view", *given, "--no-open") == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_a_taken_port_is_one_line(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert call("view", finished, "--port", port, "--no-open") == 2
    assert "--port, or 0 for any that is free" in capsys.readouterr().err

"""What run refuses, validate and plan refuse: before the work, and without a trace of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fixtures_job import write_job
from fixtures_models import TINY

from s2s_map.config.model import EventsAudioConfig
from s2s_map.config.run import load_run_config
from s2s_map.errors import ConfigError, S2SMapError
from s2s_map.outputs.output import open_output
from s2s_map.pipeline.job.check_settings import check_settings
from s2s_map.pipeline.job.job import resolve

HEARS = TINY.model_copy(update={"audio": EventsAudioConfig()})


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"output": "/dev/null"}, "/dev/null is not a folder"),
        ({"output": "/dev/null/below"}, "/dev/null"),
        ({"output": "scene.tif"}, "is a file"),
        ({"output": "loop"}, "loop"),
        ({"device": "cuda:700"}, "cuda:700"),
        ({"queries": [{"text": "birds " * 600}]}, "tokens"),
        ({"queries": [{"text": "waves"}, {"text": "Waves!"}]}, "waves"),
        ({"queries": [{"audio": "pipe"}]}, "it is a pipe"),
        ({"queries": [{"audio": "."}]}, "it is a folder"),
        ({"queries": [{"audio": "/dev/zero"}]}, "it is a device"),
        ({"queries": [{"audio": "loud.wav"}]}, "1e+30"),
        ({"queries": [{"audio": "empty.wav"}]}, "lasts 0 s"),
        ({"queries": [{"audio": "fast.wav"}]}, "at most 768,000"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    soundfile.write("loud.wav", np.full(8000, 1e30), 8000, subtype="FLOAT")
    soundfile.write("empty.wav", np.zeros(0), 8000)
    soundfile.write("fast.wav", np.zeros(8000), 10**9)
    before = listed(tmp_path)
    config = load_run_config(write_job(tmp_path, network=HEARS, **change))
    with pytest.raises(S2SMapError) as error:
        check_settings(config)
    assert says in str(error.value)
    assert set(listed(tmp_path)) >= set(before)
    assert not Path("out").exists()


def test_damaged_weights_are_found_before_the_work(tmp_path: Path) -> None:
    config = load_run_config(write_job(tmp_path))
    check_settings(config)
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\7")
    with pytest.raises(S2SMapError, match="SHA-256"):
        check_settings(config)


def test_a_folder_that_may_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere: what the system answers to others is said in its place.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(S2SMapError, match="may not be written to"):
        open_output(tmp_path / "new" / "out").check_place()
    open_output("/tmp").check_place()  # noqa: S108


@pytest.mark.parametrize(
    "change",
    [
        {"grid": {"cell_m": 1, "block_cells": 1}},
        {"grid": {"cell_m": 5, "block_cells": 4096}, "patches": {"size_m": 0.5, "stride_m": 0.25}},
    ],
)
def test_what_no_machine_could_do_is_refused_uncounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="at most"):
        resolve(load_run_config(write_job(tmp_path, **change)))
